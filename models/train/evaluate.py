"""What lacewing-tiny shows, as a Markdown table.

    python models/train/evaluate.py models/lacewing-tiny --dense DIR [--goldens tests/goldens/lacewing-tiny.json]

Arithmetic is transformers' own (LlamaForCausalLM in f32), apart from the last row, which compares Lacewing's command line
with it. --dense is the twin of `train.py --dense`. Exits with 1 when an aim is missed.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

import corpus
import questions
from generator import Generator
from topics import has_fact, load_topics

ROOT = Path(__file__).parents[2]
HELD_ROWS, ROW = 400, 512
N_PROMPTS, MAX_TOKENS = 20, 120


def check_2_4(folder: Path) -> tuple[int, int, float]:
    """(linear layers, those that are 2:4, share of fours with exactly two weights that are not zero)."""
    n_linears = n_sparse = full = fours = 0
    for name, weight in load_file(folder / "model.safetensors").items():
        if weight.ndim == 2 and "embed" not in name:
            live = (weight.view(-1, 4) != 0).sum(1)
            n_linears += 1
            n_sparse += bool((live <= 2).all())
            full += (live == 2).sum().item()
            fours += live.numel()
    return n_linears, n_sparse, full / fours


def held_rows(folder: Path) -> torch.Tensor:
    """Held-out dialogues as rows of ROW + 1 ids."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return torch.from_numpy(corpus.pack(Generator("held", 1), tokenizer, ROW, HELD_ROWS, 7).astype("int64"))


def in_answer(rows: torch.Tensor, tokenizer) -> torch.Tensor:
    """Whether each target (every id but the first of a row) is said by the model: text of an answer, or its end."""
    assistant, end = tokenizer.convert_tokens_to_ids("<|assistant|>"), tokenizer.convert_tokens_to_ids(corpus.END)
    mask = torch.zeros_like(rows, dtype=torch.bool)
    for row, ids in enumerate(rows.tolist()):
        speaking = False
        for at, id in enumerate(ids):
            mask[row, at] = speaking
            speaking = id == assistant or (speaking and id != end)
    return mask[:, 1:]


@torch.no_grad()
def perplexity(model, rows: torch.Tensor, answers: torch.Tensor) -> tuple[float, float, list[float]]:
    """(perplexity of all targets, of the answers alone, live FFN fraction per layer)."""
    live = [0.0] * model.config.num_hidden_layers
    hooks = []
    for i, layer in enumerate(model.model.layers):

        def count(module, inputs, output, i=i):
            live[i] += (output > 0).float().mean().item()

        hooks.append(layer.mlp.gate_proj.register_forward_hook(count))
    losses = []
    batches = rows.split(8)
    for batch in batches:
        logits = model(batch[:, :-1]).logits
        losses.append(F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="none").view(len(batch), -1))
    for hook in hooks:
        hook.remove()
    loss = torch.cat(losses)
    return math.exp(loss.mean()), math.exp(loss[answers].mean()), [total / len(batches) for total in live]


def prompt_ids(tokenizer, question: str) -> list[int]:
    """Ids of a conversation that begins with `question`, up to where the answer begins."""
    messages = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt == corpus.render(messages) + "<|assistant|>", prompt
    return tokenizer(prompt, add_special_tokens=False).input_ids


@torch.no_grad()
def greedy(model, prompts: list[list[int]]):
    """transformers' greedy continuation of prompts of one length."""
    ids = torch.tensor(prompts)
    options = {"max_new_tokens": MAX_TOKENS, "do_sample": False, "pad_token_id": model.config.eos_token_id}
    return model.generate(ids, attention_mask=torch.ones_like(ids), output_logits=True, return_dict_in_generate=True, **options)


def replies(model, tokenizer, questions: list[str]) -> list[str]:
    """Greedy answers. Prompts of one length run together, so that none is padded."""
    by_length: dict[int, list[int]] = {}
    prompts = [prompt_ids(tokenizer, question) for question in questions]
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    texts = [""] * len(questions)
    for length, members in by_length.items():
        out = greedy(model, [prompts[i] for i in members])
        for i, row in zip(members, out.sequences[:, length:], strict=True):
            texts[i] = tokenizer.decode(row, skip_special_tokens=True)
    return texts


def golden(model, tokenizer, question: str) -> dict:
    """One answer for Lacewing's tests: ids of prompt and answer, whether it ended, text, least margin between two logits."""
    prompt = prompt_ids(tokenizer, question)
    out = greedy(model, [prompt])
    ids = out.sequences[0, len(prompt) :].tolist()
    ended = ids[-1] == tokenizer.eos_token_id
    best = torch.stack(out.logits)[:, 0].topk(2).values
    margin = round((best[:, 0] - best[:, 1]).min().item(), 4)
    return {"question": question, "prompt_ids": prompt, "ids": ids, "ended": ended, "text": tokenizer.decode(ids, skip_special_tokens=True), "margin": margin}


def lacewing_reply(folder: Path, question: str) -> tuple[list[int], bool]:
    """The same answer by Lacewing's command line: its ids, and whether it ended."""
    command = ["cargo", "run", "--release", "--quiet", "--", "generate", str(folder), "--chat", question, "--temperature", "0", "--max-tokens", str(MAX_TOKENS), "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr}")
    report = json.loads(result.stdout)
    return report["ids"], report["finish_reason"] == "stop"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dense", type=Path, help="the dense SiLU twin")
    parser.add_argument("--goldens", type=Path, help="also write the prompts and transformers' ids here, for Lacewing's tests")
    parser.add_argument("--no-lacewing", action="store_true", help="leave out the comparison with Lacewing")
    args = parser.parse_args()
    folder = args.model.resolve()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    table: list[tuple[str, str, str, bool]] = []

    n_linears, n_sparse, full = check_2_4(folder)
    table.append(("linear layers that are 2:4", "all", f"{n_sparse} of {n_linears} ({full:.2%} of the fours hold exactly two weights)", n_sparse == n_linears))

    rows = held_rows(folder)
    answers = in_answer(rows, tokenizer)
    all_text, own_text, live = perplexity(model, rows, answers)
    mean_live = sum(live) / len(live)
    table.append(("live FFN neurons, held-out text", "<= 20 %", f"{mean_live:.1%} (layers: {', '.join(f'{x:.1%}' for x in live)})", mean_live <= 0.2))
    table.append(("perplexity, held-out text", "", f"{all_text:.3f} (answers alone {own_text:.3f})", True))
    if args.dense:
        twin = AutoModelForCausalLM.from_pretrained(args.dense.resolve(), dtype=torch.float32).eval()
        assert (args.dense / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes(), "the twin has another tokenizer"
        twin_all, twin_own, _ = perplexity(twin, rows, answers)
        table.append(("perplexity of the dense SiLU twin", "", f"{twin_all:.3f} (answers alone {twin_own:.3f})", True))
        ratio, ratio_own = all_text / twin_all - 1, own_text / twin_own - 1
        table.append(("sparse against dense perplexity", "<= +15 %", f"{ratio:+.1%} (answers alone {ratio_own:+.1%})", ratio <= 0.15))

    # Harder, and without an aim: questions about the same facts in words of their own, most of them without the term itself.
    free = [(question, topic.fact) for topic in load_topics() if not topic.is_small_talk for question in topic.held]
    texts = replies(model, tokenizer, [question for question, _ in free])
    n_free = sum(has_fact(text, fact) for text, (_, fact) in zip(texts, free, strict=True))
    table.append((f"freely worded questions answered right, of {len(free)}", "", f"{n_free / len(free):.1%}", True))

    asked = json.loads(questions.FILE.read_text(encoding="utf-8"))
    right: dict[str, list[bool]] = {}
    for entry, text in zip(asked, replies(model, tokenizer, [entry["question"] for entry in asked]), strict=True):
        good = has_fact(text, entry["fact"])
        right.setdefault(entry["kind"], []).append(good)
        if not good:
            print(f"wrong ({entry['topic']}): {entry['question']}\n    {text}", file=sys.stderr)
    n_right = sum(map(sum, right.values()))
    kinds = ", ".join(f"{kind} {sum(results)}/{len(results)}" for kind, results in right.items())
    table.append((f"held-out questions answered right, of {len(asked)}", ">= 90 %", f"{n_right / len(asked):.1%} ({kinds})", n_right >= 0.9 * len(asked)))

    # The one of the README, and every tenth of the list, so that all kinds are among them.
    prompts = ["What is 2:4 sparsity?", *(entry["question"] for entry in asked[:: len(asked) // N_PROMPTS])][:N_PROMPTS]
    expected = [golden(model, tokenizer, question) for question in prompts]
    if args.goldens:
        args.goldens.write_text("[\n" + ",\n".join(json.dumps(e) for e in expected) + "\n]\n", encoding="utf-8")
    if not args.no_lacewing:
        same = sum(lacewing_reply(folder, e["question"]) == (e["ids"], e["ended"]) for e in expected)
        table.append((f"Lacewing's greedy ids equal to transformers', of {N_PROMPTS} prompts", "all", str(same), same == N_PROMPTS))

    print("| | aim | measured |\n| --- | --- | --- |")
    for name, aim, value, ok in table:
        print(f"| {name} | {aim} | {value}{'' if ok else ' **missed**'} |")
    sys.exit(not all(ok for *_, ok in table))


if __name__ == "__main__":
    main()
