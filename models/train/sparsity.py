"""2:4 masks and the control of activation sparsity.

2:4 ("N:M", Zhou et al. 2021, "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch"): of every four
neighbouring weights of a row, the two of least magnitude are zero in the forward pass; gradients go straight through, and
what is pruned decays (SR-STE), so that masks settle. Activation sparsity (Song et al. 2024, "ProSparse"): ReLU gates, and an
L1 term on them whose weight grows along a sine until the target share of live neurons is reached.
"""

import math

import torch
from torch import Tensor

from network import Network

# SR-STE's pull on pruned weights, per step and unit of learning rate.
PRUNED_DECAY = 0.2


def mask_2_4(weight: Tensor) -> Tensor:
    """1 at the two greatest magnitudes of each four along a row, else 0; the earlier one wins a tie."""
    magnitude = weight.abs().view(-1, 4).unbind(1)
    keep = []
    for i, mine in enumerate(magnitude):
        rank = sum((other >= mine if j < i else other > mine).to(torch.uint8) for j, other in enumerate(magnitude) if j != i)
        keep.append(rank < 2)
    return torch.stack(keep, dim=1).view(weight.shape).to(weight.dtype)


@torch.no_grad()
def redraw_masks(network: Network) -> None:
    """Draws every mask anew."""
    for linear in network.linears():
        linear.mask.copy_(mask_2_4(linear.weight))


@torch.no_grad()
def decay_pruned(network: Network, learning_rate: float) -> None:
    """SR-STE's regulariser, decoupled from Adam as weight decay is in AdamW."""
    for linear in network.linears():
        linear.weight.mul_(1 - learning_rate * PRUNED_DECAY * (1 - linear.mask))


@torch.no_grad()
def remove_pruned(network: Network) -> None:
    """Sets pruned weights to zero, from when masks are frozen on."""
    for linear in network.linears():
        linear.weight.mul_(linear.mask)


class LiveTarget:
    """The weight of the L1 term: grows while more neurons live than planned for this point of the training."""

    START, END = 0.1, 0.6  # where in the training the plan descends
    FACTOR, LEAST = 1.1, 0.02  # step of the weight, up or down, and its lower end

    def __init__(self, target: float):
        self.target = target
        self.strength = self.LEAST
        self.first = None  # live fraction when the plan begins to descend

    def planned(self, progress: float) -> float:
        """Planned live fraction at `progress` (0 to 1): from where it was to the target along a sine."""
        at = min(1.0, (progress - self.START) / (self.END - self.START))
        return self.first + (self.target - self.first) * math.sin(at * math.pi / 2)

    def update(self, network: Network, progress: float, live: float) -> None:
        """Adapts the L1 weight to the measured live fraction."""
        if progress < self.START:
            return
        if self.first is None:
            self.first = live
        self.strength = max(self.LEAST, self.strength * (self.FACTOR if live > self.planned(progress) else 1 / self.FACTOR))
        self.apply(network)

    def apply(self, network: Network) -> None:
        """Hands the weight to the layers, once the plan has begun."""
        for layer in network.layers:
            layer.l1 = self.strength if self.first is not None else 0.0
