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

from model import pixels
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

MAKERS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)
"""What makes a tensor of numbers, which are brought to its device."""

PINNED = "pinned"
"""Attribute of tensors in memory from which a device can fetch."""

INDEXING = (Tensor.__getitem__, Tensor.__setitem__)
"""What brings an index to the tensor's device."""


class Readers(TorchFunctionMode):
    """Answers who asks for numbers, and remembers who waits until the device is done.

    That is who asks for its numbers, and who brings it some that it can't fetch by itself: from memory that
    isn't pinned, or without `non_blocking`.
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
        if func is Tensor.pin_memory:
            pinned = args[0].clone()
            setattr(pinned, PINNED, True)
            return pinned
        if func in ANSWERS:
            return self.answer(func, args[0])
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor) and args[1].dim() == 0:
            args = (args[0], self.answer(Tensor.__index__, args[1]))  # torch would ask without telling
        result = func(*args, **kwargs or {})
        if self.waited(func, args, kwargs or {}, result):
            self.waits.append(asker())
        return result

    @staticmethod
    def waited(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> bool:
        """Whether numbers came from the device, or to it with nobody but this process to bring them."""
        if func in COPIES:
            fetched = kwargs.get("non_blocking") and hasattr(args[0], PINNED)
            return is_there(args[0]) != is_there(result) and not (is_there(result) and fetched)
        if func in INDEXING:
            numbers = args[1] if isinstance(args[1], tuple) else (args[1],)
            return is_there(args[0]) and any(map(is_brought, numbers))
        if func in MAKERS:
            return is_there(result) and not is_there(args[-1])
        return False

    def answer(self, func: Any, tensor: Tensor) -> Any:
        """Return what `func` shall read."""
        if tensor.device.type == ELSEWHERE:
            self.waits.append(asker())
        return ANSWERS[func](tensor)


def is_there(value: Any) -> bool:
    """Whether it is a tensor of the other device."""
    return isinstance(value, Tensor) and value.device.type == ELSEWHERE


def is_brought(index: Any) -> bool:
    """Whether numbers of an index have to be brought to the tensor's device."""
    return isinstance(index, list | tuple | np.ndarray) or (isinstance(index, Tensor) and not is_there(index))


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
        mock.patch.object(pixels, "PINNING", (ELSEWHERE,)),
    ):
        yield readers
