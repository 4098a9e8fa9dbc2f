"""How numbers come to a device; that nobody waits for it there is in `tests/gpu/test_devices.py`."""

import numpy as np
import torch

from model.pixels import sent


def test_numbers_keep_their_type_unless_another_is_wanted() -> None:
    assert sent(np.array([1, 2], np.uint8), "cpu").dtype == torch.uint8
    assert sent([True, False], torch.device("cpu")).dtype == torch.bool
    assert sent([0.5, 2.0], "cpu", torch.float16).tolist() == [0.5, 2.0]
    assert sent(np.array([1, 2]), "cpu", torch.float32).dtype == torch.float32


def test_a_cpu_reads_numbers_where_they_lie() -> None:
    numbers, tensor = np.zeros(2, np.float32), torch.zeros(2)
    assert sent(tensor, "cpu") is tensor
    seen = sent(numbers, "cpu")
    numbers[1] = 3
    assert seen.tolist() == [0.0, 3.0]
