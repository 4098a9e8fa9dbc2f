"""A device without numbers: what computes there shows on a CPU that nothing mixes devices or reads results.

torch's fake tensors know shape, type and device: an operation on tensors of two devices fails as on a GPU,
and nothing is computed. The device is called meta: a torch for CPUs can index on no other beside its own.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from preprocess.identity import ROOT

ELSEWHERE = "meta"

ANSWERS: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.item: lambda _: 0,
    Tensor.__bool__: lambda _: True,
    Tensor.__float__: lambda _: 0.0,
    Tensor.__int__: lambda _: 0,
    Tensor.__index__: lambda _: 0,
    Tensor.tolist: lambda tensor: np.zeros(tensor.shape).tolist(),
    Tensor.nonzero: lambda tensor: tensor.new_zeros(1, tensor.dim(), dtype=torch.long),
}
"""What those are told that ask for numbers: zeros."""

COPIES = (Tensor.cpu, Tensor.to)
"""What brings a tensor from one device to another."""


class Readers(TorchFunctionMode):
    """Answers who asks for numbers, and remembers who asks for the device's: they wait until it is done.

    On a GPU who brings something there from memory that isn't pinned waits too; those aren't remembered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        """File and line of each."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.numpy:
            return array_of(args[0])
        if func in ANSWERS:
            return self.answer(func, args[0])
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor) and args[1].dim() == 0:
            args = (args[0], self.answer(Tensor.__index__, args[1]))  # torch would ask without telling
        result = func(*args, **kwargs or {})
        if func in COPIES and args[0].device.type == ELSEWHERE != result.device.type:
            self.waits.append(asker())
        return result

    def answer(self, func: Any, tensor: Tensor) -> Any:
        """Return what `func` shall read."""
        if tensor.device.type == ELSEWHERE:
            self.waits.append(asker())
        return ANSWERS[func](tensor)


def array_of(tensor: Tensor) -> Any:
    """Return zeros in place of a tensor, if it is here and numpy knows its type."""
    if tensor.device.type != "cpu":
        raise TypeError(f"numpy can't read a tensor of the device {tensor.device}: bring it here first")
    return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))


def asker() -> str:
    """Return the last line of this project that led here."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(str(ROOT))]
    frame = [frame for frame in frames if frame.filename != __file__][-1]
    return f"{frame.filename.removeprefix(str(ROOT))}:{frame.lineno}"


@contextmanager
def elsewhere() -> Iterator[Readers]:
    """Within the block tensors have no numbers, and `ELSEWHERE` is a device like another."""
    autocast: Callable[..., Any] = torch.autocast

    def known_here(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return autocast("cpu" if device_type == ELSEWHERE else device_type, *args, **kwargs)

    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        Readers() as readers,
        mock.patch.object(torch, "autocast", known_here),
    ):
        yield readers
