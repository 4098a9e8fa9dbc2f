"""What a step of Muon costs beside `torch.optim.Muon`, on the matrices of a base's denoiser.

    python -m tests.benchmarks.bench_muon [tiny | small]

Steps of both alternate in one process, on random gradients; medians are compared. torch's takes matrices
alone, so the weights that AdamW steps are left out.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Muon

from model.bases.tiny.networks import SMALL, TinyPreset, build_tiny_base
from train.muon import MuonAndAdamW, is_matrix

STEPS, WARM_UP = 12, 2


def milliseconds(step: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Time and print."""
    name = sys.argv[1] if len(sys.argv) > 1 else "tiny"
    unet = build_tiny_base({"tiny": TinyPreset(), "small": SMALL}[name], 0).tryon_unet
    ours = [nn.Parameter(weight.detach()) for weight in unet.parameters() if is_matrix(weight)]
    flat = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in ours]
    for weight in ours + flat:
        weight.grad = torch.randn_like(weight)
    together = MuonAndAdamW([{"params": ours}], learning_rate=1e-3, weight_decay=0.01)
    alone = Muon(flat, lr=1e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    rows = [(milliseconds(together.step), milliseconds(alone.step)) for _ in range(STEPS + WARM_UP)]
    mine, torchs = map(statistics.median, zip(*rows[WARM_UP:], strict=True))
    told = f"{name}: {len(ours)} matrices, {mine:.0f} ms, torch.optim.Muon {torchs:.0f} ms"
    print(f"{told}: ratio {mine / torchs:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
