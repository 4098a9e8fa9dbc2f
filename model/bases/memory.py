"""How much memory a base will take on a device, counted without holding it; what every base's doctor says.

Weights are counted. What a pass holds beside them is a base's own table, of tensors that were counted once on
the meta device. The allocator and the libraries take something for themselves.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.params import SWITCHES, MemorySwitches

GIB = 2**30

HALF, FULL = 2, 4
"""Bytes of a number; a trained weight, its gradient and each of its two moments take `FULL`."""


USUAL_RANK = 16
"""Of low-rank updates, where `train_joint.lora_rank` says nothing else."""

SPARING = "with runtime.mixed_precision and runtime.gradient_checkpointing"
"""What training is counted with: the frozen base is then loaded in half precision, however it is stored."""


class Memory(NamedTuple):
    """What something takes on a device (bytes)."""

    counted: int
    """Weights, with gradients and moments of those that learn."""

    estimated: int
    """What a pass holds beside them."""

    def __str__(self) -> str:
        counted, estimated = (f"{part / GIB:.1f}" for part in self)
        return f"{sum(self) / GIB:.1f} GiB ({counted} of weights counted, {estimated} beside them estimated)"


class Turn(NamedTuple):
    """What networks that run together take (numbers)."""

    weights: int
    held: int


def drawing_memory(
    turns: Sequence[Turn], weights: int, adapter: int, switches: MemorySwitches, stored: int
) -> Memory:
    """Return what drawing takes on the device at most.

    Args:
        turns: Of networks, as large as `switches` have them run.
        weights: Of all networks together, which some turns may share.
        adapter: Its weights, which stay on the device.
        switches: With `offload` the networks take turns, so the largest counts; else all lie there at once.
        stored: Bytes of a number that isn't loaded in half precision.
    """
    width = HALF if switches.half else stored
    largest = max(turns, key=sum) if switches.offload else Turn(weights, max(turn.held for turn in turns))
    return Memory((largest.weights + adapter) * width, largest.held * width)


def training_memory(frozen: int, learning: int, held: int, stored: int) -> Memory:
    """Return what training takes, one sample at a time.

    Args:
        frozen: Weights that stay in the `stored` bytes.
        learning: Weights that learn.
        held: Numbers beside them; activations are halved by `runtime.mixed_precision`.
        stored: Bytes of a frozen weight in memory: `HALF` with `runtime.mixed_precision`.
    """
    return Memory(frozen * stored + learning * 4 * FULL, held * HALF)


def drawing_lines(needed: Callable[[MemorySwitches], Memory]) -> list[str]:
    """Return a line for every setting: for which memory it is, what it takes, and what it does."""
    lines = []
    for name, switches in SWITCHES.items():
        memory = "without a limit" if name == "off" else f"for {name} GB"
        lines.append(f"try-on {memory}: --low-memory {name}: {needed(switches)}; {switches}")
    return lines


def training_lines(needed: Mapping[str, Memory]) -> list[str]:
    """Return a line for each device and training stage: what it needs, and whether the device has it."""
    return [
        f"{device} ({held / GIB:.1f} GiB): {stage}, a sample at a time {SPARING}: {memory}: "
        f"{'fits' if sum(memory) < held else 'does not fit'}"
        for device, held in device_memory().items()
        for stage, memory in needed.items()
    ]


def device_memory() -> dict[str, int]:
    """Return the memory of this machine and of each of its GPUs (bytes)."""
    devices = {"cpu": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        devices[f"cuda:{number} {properties.name}"] = properties.total_memory
    return devices


def num_weights(module: nn.Module) -> int:
    """Return how many weights a module has."""
    return sum(weight.numel() for weight in module.parameters())


def num_updates(network: nn.Module, targets: Sequence[str], rank: int = USUAL_RANK) -> int:
    """Return how many weights low-rank updates of the layers called `targets` have, as peft calls them."""
    called = tuple(f".{target}" for target in targets)
    layers = [layer for name, layer in network.named_modules() if f".{name}".endswith(called)]
    return sum(rank * (len(layer.weight) + layer.weight[0].numel()) for layer in layers)
