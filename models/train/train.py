"""Trains lacewing-tiny from nothing.

    python models/train/train.py --out models/lacewing-tiny            the model: 2:4-sparse, ReLU with few live neurons
    python models/train/train.py --out DIR --dense                     its dense SiLU twin, for comparison

Uses a CUDA device when there is one, else the CPU. Prints its progress. A run that was stopped goes on from its last
checkpoint in --work when started again with the same options.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer

import corpus
from generator import Generator
from network import Config, Network
from sparsity import LiveTarget, decay_pruned, redraw_masks, remove_pruned

# (row length, share of all tokens, most turns of a dialogue): short rows first, because attention costs less there.
STAGES = [(128, 0.5, 2), (256, 0.3, 4), (512, 0.2, 7)]
TOKENS_PER_STEP = 4096
LEARNING_RATE, LAST_LEARNING_RATE, WARM_UP = 2.5e-3, 1e-4, 0.03
WEIGHT_DECAY = 0.05
# Masks are drawn anew so often (steps) until this part of the training, then stay.
REDRAW_EVERY, FREEZE_AT = 20, 0.6
LIVE_TARGET, WATCH_EVERY = 0.16, 20
PRINT_EVERY, SAVE_EVERY = 50, 500


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory of the finished model")
    parser.add_argument("--dense", action="store_true", help="train the dense SiLU twin instead")
    parser.add_argument("--tokens", type=float, default=20.5e6, help="training tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "work", help="caches and checkpoints")
    return parser.parse_args()


def prepare(args: argparse.Namespace, config: Config) -> tuple[Tokenizer, list[np.ndarray]]:
    """Tokenizer and packed rows of each stage, from the cache when it was made from the same data."""
    folder = args.work / f"data-{corpus.fingerprint()}-{args.seed}-{int(args.tokens)}"
    names = [folder / f"rows-{row}.npy" for row, _, _ in STAGES]
    if not all(name.exists() for name in names):
        started = time.time()
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = corpus.train_tokenizer(config.vocab_size, args.seed)
        tokenizer.save(str(folder / "tokenizer.json"))
        generator = Generator("train", args.seed)
        for name, (row, share, max_turns) in zip(names, STAGES, strict=True):
            n_rows = math.ceil(args.tokens * share / TOKENS_PER_STEP) * TOKENS_PER_STEP // row
            partial = name.with_suffix(".partial.npy")
            np.save(partial, corpus.pack(generator, tokenizer, row, n_rows, max_turns))
            os.replace(partial, name)
            print(f"data: {n_rows} rows of {row} tokens, {len(generator.seen)} different dialogues, {time.time() - started:.0f} s", flush=True)
    return Tokenizer.from_file(str(folder / "tokenizer.json")), [np.load(name) for name in names]


def batches(stages: list[np.ndarray], seed: int) -> list[tuple[int, np.ndarray]]:
    """(stage, rows) of every step; rows shuffled within a stage."""
    steps = []
    for stage, rows in enumerate(stages):
        order = np.random.default_rng([seed, stage]).permutation(len(rows))
        steps += [(stage, part) for part in order.reshape(-1, TOKENS_PER_STEP // STAGES[stage][0])]
    return steps


def learning_rate(progress: float) -> float:
    """Linear warm-up, then a cosine."""
    if progress < WARM_UP:
        return LEARNING_RATE * progress / WARM_UP
    fall = (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
    return LAST_LEARNING_RATE + (LEARNING_RATE - LAST_LEARNING_RATE) * fall


class Training:
    """Network, optimiser and what else a checkpoint holds."""

    def __init__(self, args: argparse.Namespace, config: Config, steps: list, stages: list[np.ndarray]):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = Network(config, sparse=not args.dense, seed=args.seed).to(self.device)
        matrices = [p for p in self.network.parameters() if p.ndim == 2 and p is not self.network.embedding]
        others = [p for p in self.network.parameters() if p.ndim == 1] + [self.network.embedding]
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
        self.live_target = LiveTarget(LIVE_TARGET)
        self.steps, self.stages, self.step = steps, stages, 0
        kind = "dense" if args.dense else "sparse"
        self.checkpoint = args.work / f"{kind}-{corpus.fingerprint()}-{args.seed}-{int(args.tokens)}.pt"

    def save(self) -> None:
        """Writes the checkpoint; a stop while writing leaves the one before."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "live_target": vars(self.live_target)}
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def resume(self) -> None:
        """Goes on from the checkpoint, if there is one."""
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=self.device)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
            vars(self.live_target).update(state["live_target"])
            self.live_target.apply(self.network)
            print(f"resumed at step {self.step}", flush=True)

    def one_step(self) -> torch.Tensor:
        """One batch; returns its loss, still on the device."""
        network, progress = self.network, self.step / len(self.steps)
        if network.sparse:
            frozen = progress >= FREEZE_AT
            if not frozen and self.step % REDRAW_EVERY == 0:
                redraw_masks(network)
        watch = network.sparse and self.step % WATCH_EVERY == 0
        for layer in network.layers:
            layer.watch = watch
        stage, rows = self.steps[self.step]
        ids = torch.from_numpy(self.stages[stage][rows].astype(np.int64)).to(self.device)
        loss = F.cross_entropy(network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rate = learning_rate(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if network.sparse:
            if frozen:
                remove_pruned(network)
            else:
                decay_pruned(network, rate)
            if watch:
                self.live_target.update(network, progress, network.live_fraction())
        self.step += 1
        return loss.detach()

    def run(self) -> None:
        """All steps that are left."""
        started, first = time.time(), self.step
        losses = []
        while self.step < len(self.steps):
            losses.append(self.one_step())
            if self.step % PRINT_EVERY == 0 or self.step == len(self.steps):
                n = len(self.steps)
                seconds = (time.time() - started) / (self.step - first)
                live = f", live {self.network.live_fraction():.3f}, l1 {self.live_target.strength:.3f}" if self.network.sparse else ""
                loss = torch.stack(losses).mean().item()
                print(
                    f"step {self.step}/{n}: loss {loss:.4f}{live}, {TOKENS_PER_STEP / seconds:.0f} tokens/s, {seconds * (n - self.step) / 60:.0f} min left",
                    flush=True,
                )
                losses = []
            if self.step % SAVE_EVERY == 0 or self.step == len(self.steps):
                self.save()


def hugging_face_tensors(network: Network) -> dict[str, torch.Tensor]:
    """Names and shapes of LlamaForCausalLM; bf16; masks applied."""
    c = network.config
    tensors = {"model.embed_tokens.weight": network.embedding, "model.norm.weight": network.norm}
    for i, layer in enumerate(network.layers):
        name = f"model.layers.{i}"
        qkv, o, gate_up, down = (w.weight if w.mask is None else w.weight * w.mask for w in (layer.qkv, layer.o, layer.gate_up, layer.down))
        q, k, v = qkv.split([c.n_heads * c.head_dim, c.d_kv, c.d_kv])
        gate, up = gate_up.chunk(2)
        tensors |= {f"{name}.self_attn.{x}_proj.weight": w for x, w in (("q", q), ("k", k), ("v", v), ("o", o))}
        tensors |= {f"{name}.mlp.{x}_proj.weight": w for x, w in (("gate", gate), ("up", up), ("down", down))}
        tensors |= {f"{name}.input_layernorm.weight": layer.attention_norm, f"{name}.post_attention_layernorm.weight": layer.ffn_norm}
    return {name: tensor.detach().to("cpu", torch.bfloat16).contiguous().clone() for name, tensor in tensors.items()}


def export(network: Network, tokenizer: Tokenizer, out: Path) -> None:
    """Writes the Hugging Face directory, apart from its model card."""
    c = network.config
    out.mkdir(parents=True, exist_ok=True)
    bos, end = tokenizer.token_to_id(corpus.BOS), tokenizer.token_to_id(corpus.END)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": c.vocab_size,
        "hidden_size": c.d_model,
        "intermediate_size": c.d_ff,
        "num_hidden_layers": c.n_layers,
        "num_attention_heads": c.n_heads,
        "num_key_value_heads": c.n_kv_heads,
        "head_dim": c.head_dim,
        "hidden_act": "relu" if network.sparse else "silu",
        "max_position_embeddings": c.context,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": c.rope_theta,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": bos,
        "eos_token_id": end,
        "torch_dtype": "bfloat16",
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": corpus.BOS,
        "eos_token": corpus.END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": c.context,
        "chat_template": corpus.CHAT_TEMPLATE,
    }
    generation = {"bos_token_id": bos, "eos_token_id": end, "do_sample": False}
    for name, value in (("config", config), ("tokenizer_config", tokenizer_config), ("generation_config", generation)):
        (out / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(str(out / "tokenizer.json"))
    save_file(hugging_face_tensors(network), str(out / "model.safetensors"), metadata={"format": "pt"})


def main() -> None:
    args = parse()
    config = Config()
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer, stages = prepare(args, config)
    training = Training(args, config, batches(stages, args.seed), stages)
    training.resume()
    training.run()
    export(training.network, tokenizer, args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
