"""Muon for the matrices of a network and AdamW for the rest of it, as one optimiser."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer

SMALLEST_SIDE = 16
"""A matrix with a shorter side is stepped by AdamW: it has few directions to be made alike."""


class MuonAndAdamW(Optimizer):
    """Step matrices, and kernels as matrices of (outputs, all else), by Muon; everything else by AdamW.

    Both have the groups' learning rates, for Muon's steps are scaled to the size of AdamW's. What is a matrix
    is told by the shape alone, so that low-rank updates and adapters are treated like other layers.

    Args:
        groups: `params`, and `lr` where that isn't `learning_rate`.
        learning_rate: Of the groups without their own.
        weight_decay: Decoupled, of all.

    Source:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale of steps by
        Liu et al. 2025, "Muon is scalable for LLM training", eq. 4.
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
        views = [{"params": [flat(w) for w in group["params"]]} for group in self.half(matrices=True)]
        rest = [{"params": group["params"]} for group in self.half(matrices=False)]
        self.muon = Muon(views, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self.adamw = AdamW(rest, weight_decay=weight_decay, fused=True)

    def half(self, *, matrices: bool) -> list[dict[str, Any]]:
        """Return the groups of matrices, or those of all else."""
        return [group for group in self.param_groups if group["matrices"] == matrices]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        assert closure is None, "gradients are made before"
        self.look_again()
        for optimizer, matrices in ((self.muon, True), (self.adamw, False)):
            for inner, outer in zip(optimizer.param_groups, self.half(matrices=matrices), strict=True):
                inner["lr"] = outer["lr"]
            optimizer.step()
        self.muon.zero_grad(set_to_none=True)  # else its views would keep gradients that the weights let go

    def look_again(self) -> None:
        """Let Muon's views show gradients, and weights where they are now: they may have changed device."""
        for inner, outer in zip(self.muon.param_groups, self.half(matrices=True), strict=True):
            for view, weight in zip(inner["params"], outer["params"], strict=True):
                view.data = flat(weight)
                view.grad = None if weight.grad is None else flat(weight.grad)

    def state_dict(self) -> dict[str, Any]:
        """Return learning rates, momenta and moments."""
        inner = {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}
        return super().state_dict() | inner

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.look_again()
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])


def is_matrix(weight: Tensor) -> bool:
    """Whether both sides of a weight, all but its outputs taken together, are long enough."""
    return weight.ndim >= 2 and min(weight.shape[0], weight[0].numel()) >= SMALLEST_SIDE


def flat(tensor: Tensor) -> Tensor:
    """Return a view of (outputs, all else) that is no part of any graph."""
    return tensor.detach().view(len(tensor), -1)
