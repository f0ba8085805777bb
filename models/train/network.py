"""The network that is trained: LlamaForCausalLM, written out so that 2:4 masks and activation sparsity are in plain view.

One class serves both models. `sparse=True` is lacewing-tiny: every linear layer is multiplied by a 2:4 mask and the FFN is
ReLU-gated. `sparse=False` is its dense twin: no masks, SiLU. Weights are kept fused (q, k, v in one matrix, gate and up in
another), because a CPU multiplies one tall matrix faster than three small ones; `to_hugging_face` splits them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Sizes. Every input dimension of a linear layer is a multiple of 256, so that each weight layout applies."""

    vocab_size: int = 1536
    d_model: int = 256
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    d_ff: int = 768
    context: int = 512
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5

    @property
    def d_kv(self) -> int:
        """Width of all keys (or values) of one position."""
        return self.n_kv_heads * self.head_dim


class _Masked(torch.autograd.Function):
    """weight * mask forwards; the whole gradient backwards (straight-through), so that a pruned weight can return."""

    @staticmethod
    def forward(ctx, weight, mask):
        return weight * mask

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class SparseLinear(nn.Module):
    """y = (weight * mask) x, without bias. `mask` is all ones in the dense twin and is then not multiplied at all."""

    def __init__(self, d_in: int, d_out: int, sparse: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.register_buffer("mask", torch.ones(d_out, d_in) if sparse else None)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.mask is None else _Masked.apply(self.weight, self.mask)
        return F.linear(x, weight)


class _ReluGlu(torch.autograd.Function):
    """relu(gate) * up, and the gradient of `strength` * mean(relu(gate)) added on the way back.

    The L1 term of ProSparse is put into the backward pass by hand: its value is never needed, only its gradient, and the
    matrix of activations is the largest of the whole step.
    """

    @staticmethod
    def forward(ctx, gate_up, strength):
        gate, up = gate_up.chunk(2, dim=-1)
        active = F.relu(gate)
        ctx.save_for_backward(active, up)
        ctx.slope = strength / gate.numel()
        return active * up

    @staticmethod
    def backward(ctx, grad):
        active, up = ctx.saved_tensors
        live = active > 0
        d_gate_up = torch.empty(*grad.shape[:-1], 2 * grad.shape[-1], dtype=grad.dtype, device=grad.device)
        d_gate, d_up = d_gate_up.chunk(2, dim=-1)
        torch.mul(grad, up, out=d_gate)
        d_gate.add_(ctx.slope).mul_(live)
        torch.mul(grad, active, out=d_up)
        return d_gate_up, None


class Layer(nn.Module):
    """Pre-norm attention and pre-norm gated FFN, each added to the residual."""

    def __init__(self, config: Config, sparse: bool):
        super().__init__()
        c = config
        self.config, self.sparse = c, sparse
        self.attention_norm = nn.Parameter(torch.ones(c.d_model))
        self.ffn_norm = nn.Parameter(torch.ones(c.d_model))
        self.qkv = SparseLinear(c.d_model, c.n_heads * c.head_dim + 2 * c.d_kv, sparse)
        self.o = SparseLinear(c.n_heads * c.head_dim, c.d_model, sparse)
        self.gate_up = SparseLinear(c.d_model, 2 * c.d_ff, sparse)
        self.down = SparseLinear(c.d_ff, c.d_model, sparse)
        self.l1 = 0.0  # weight of mean(relu(gate)) in the loss
        self.watch = False  # whether to note the live fraction of each pass, which costs time
        self.live = 0.0

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        c = self.config
        n_rows, n_tokens, _ = x.shape
        qkv = self.qkv(F.rms_norm(x, (c.d_model,), self.attention_norm, c.rms_norm_eps))
        qkv = qkv.view(n_rows, n_tokens, c.n_heads + 2 * c.n_kv_heads, c.head_dim).transpose(1, 2)
        q, k, v = qkv.split([c.n_heads, c.n_kv_heads, c.n_kv_heads], dim=1)
        groups = c.n_heads // c.n_kv_heads
        k = rotate(k, rope).repeat_interleave(groups, dim=1)
        out = F.scaled_dot_product_attention(rotate(q, rope), k, v.repeat_interleave(groups, dim=1), is_causal=True)
        x = x + self.o(out.transpose(1, 2).reshape(n_rows, n_tokens, -1))
        gate_up = self.gate_up(F.rms_norm(x, (c.d_model,), self.ffn_norm, c.rms_norm_eps))
        if self.watch:
            self.live = (gate_up[..., : c.d_ff] > 0).float().mean().item()
        if self.sparse:
            hidden = _ReluGlu.apply(gate_up, self.l1)
        else:
            gate, up = gate_up.chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        return x + self.down(hidden)


def rope_table(config: Config) -> tuple[Tensor, Tensor]:
    """cos and sin [context, head_dim], halves repeated as Hugging Face's Llama does."""
    half = config.head_dim // 2
    theta = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(config.context, dtype=torch.float64)[:, None] * torch.cat([theta, theta])
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding of x [rows, heads, tokens, head_dim]; pairs are (i, i + head_dim / 2)."""
    cos, sin = (t[: x.shape[-2]] for t in rope)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Network(nn.Module):
    """Token ids [rows, tokens] -> logits [rows, tokens, vocab_size]."""

    def __init__(self, config: Config, sparse: bool, seed: int):
        super().__init__()
        self.config, self.sparse = config, sparse
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.layers = nn.ModuleList(Layer(config, sparse) for _ in range(config.n_layers))
        self.norm = nn.Parameter(torch.ones(config.d_model))
        for name, value in zip(("cos", "sin"), rope_table(config), strict=True):
            self.register_buffer(name, value, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        residual = (2 * self.config.n_layers) ** -0.5
        nn.init.normal_(self.embedding, std=0.02, generator=generator)
        for layer in self.layers:
            for linear, scale in ((layer.qkv, 1), (layer.o, residual), (layer.gate_up, 1), (layer.down, residual)):
                nn.init.normal_(linear.weight, std=scale * linear.weight.shape[1] ** -0.5, generator=generator)

    def linears(self) -> list[SparseLinear]:
        """Every linear layer, which is every matrix but the embedding."""
        return [linear for layer in self.layers for linear in (layer.qkv, layer.o, layer.gate_up, layer.down)]

    def forward(self, ids: Tensor) -> Tensor:
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            x = layer(x, (self.cos, self.sin))
        return F.linear(F.rms_norm(x, (self.config.d_model,), self.norm, self.config.rms_norm_eps), self.embedding)

    def live_fraction(self) -> float:
        """Mean over the layers of the share of FFN neurons whose gate was above zero in the last watched pass."""
        return sum(layer.live for layer in self.layers) / len(self.layers)
