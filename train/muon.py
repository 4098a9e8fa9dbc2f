"""Muon for the matrices of a network and AdamW for the rest of it, as one optimiser."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

SMALLEST_SIDE = 16
"""A matrix with a shorter side is stepped by AdamW: it has few directions to be made alike."""
MOMENTUM = 0.95
RMS_OF_ADAMW = 0.2
"""Root mean square of what a step of AdamW is, as a share of its learning rate."""
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SMALLEST_NORM = 1e-7
LARGEST_PIECE = 2**24
"""Numbers in the matrices that are stepped at once, which takes some seven times their memory."""


class MuonAndAdamW(Optimizer):
    """Step matrices, and kernels as matrices of (outputs, all else), by Muon; everything else by AdamW.

    Both have the groups' learning rates, for Muon's steps are scaled to the size of AdamW's. What is a matrix
    is told by the shape alone, so that low-rank updates and adapters are treated like other layers.

    Matrices of one shape are made orthogonal together. `torch.optim.Muon` takes one after the other, and for
    networks of a few hundred small ones that was a quarter of a training step.

    Args:
        groups: `params`, a list, and `lr` where that isn't `learning_rate`.
        learning_rate: Of the groups without their own.
        weight_decay: Decoupled, of all.

    Source:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with Nesterov's
        momentum; the scale of steps by Liu et al. 2025, "Muon is scalable for LLM training", eq. 4.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, learning_rate: float, weight_decay: float
    ) -> None:
        halves = [
            group | {"params": [w for w in group["params"] if is_matrix(w) == matrices], "matrices": matrices}
            for group in groups
            for matrices in (True, False)
        ]
        super().__init__(halves, {"lr": learning_rate, "weight_decay": weight_decay})
        rest = [{"params": group["params"]} for group in self.half(matrices=False)]
        self.adamw = AdamW(rest, weight_decay=weight_decay, fused=True)

    def half(self, *, matrices: bool) -> list[dict[str, Any]]:
        """Return the groups of matrices, or those of all else."""
        return [group for group in self.param_groups if group["matrices"] == matrices]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        assert closure is None, "gradients are made before"
        for group in self.half(matrices=True):
            self.step_matrices(group)
        for inner, outer in zip(self.adamw.param_groups, self.half(matrices=False), strict=True):
            inner["lr"] = outer["lr"]
        self.adamw.step()

    def step_matrices(self, group: dict[str, Any]) -> None:
        """Change the matrices of a group that have a gradient."""
        for piece in pieces(weight for weight in group["params"] if weight.grad is not None):
            changes = orthogonal(torch.stack([self.ahead(weight) for weight in piece]))
            length = group["lr"] * RMS_OF_ADAMW * max(changes.shape[1:]) ** 0.5
            for weight, change in zip(piece, changes, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(change.view(weight.shape), alpha=length)

    def ahead(self, weight: Tensor) -> Tensor:
        """(m, n) Nesterov's gradient of a matrix, whose momentum takes in the present one."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(momentum, MOMENTUM).flatten(1)

    def state_dict(self) -> dict[str, Any]:
        """Return learning rates, momenta and moments."""
        return super().state_dict() | {"adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        self.adamw.load_state_dict(state_dict["adamw"])


def pieces(weights: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Deal matrices into lists of one shape, those of several no larger than `LARGEST_PIECE`."""
    alike: defaultdict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for weight in weights:
        alike[len(weight), weight[0].numel()].append(weight)
    for (rows, columns), same in alike.items():
        count = max(1, LARGEST_PIECE // (rows * columns))
        yield from (same[first : first + count] for first in range(0, len(same), count))


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, m, n) matrices, to such with the same singular vectors and all singular values near 1.

    Source:
        Jordan et al. 2024: five steps of a quintic Newton-Schulz iteration, in bf16 on a GPU. Few processors
        have bf16.
    """
    linear, cubic, quintic = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    made = matrices.mT if tall else matrices
    made = made / made.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    if made.is_cuda:
        made = made.bfloat16()
    for _ in range(ITERATIONS):
        gram = made @ made.mT
        made = torch.baddbmm(
            made, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), made, beta=linear
        )
    return (made.mT if tall else made).to(matrices.dtype)


def is_matrix(weight: Tensor) -> bool:
    """Whether both sides of a weight, all but its outputs taken together, are long enough."""
    return weight.ndim >= 2 and min(weight.shape[0], weight[0].numel()) >= SMALLEST_SIDE
