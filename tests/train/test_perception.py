"""What the judges of size are trained on."""

import numpy as np
import torch

from train.keyed_random import KeyedRandom
from train.perception import dyed


def test_a_dye_stays_on_the_garment_and_takes_about_half_of_the_pictures() -> None:
    pictures = torch.zeros(64, 3, 8, 8)
    garment = torch.zeros(64, 1, 8, 8)
    garment[..., 3:6, 3:6] = 1
    cloths = torch.zeros(64, 3, 8, 8)
    worn, alone = dyed(pictures, garment, cloths, KeyedRandom(0, np.arange(64)))
    changed = (worn != 0).any(dim=1)
    assert not changed[:, [0, 1, 7]].any()  # beyond the softened edge of one pixel
    assert not changed[..., [0, 1, 7]].any()
    assert 20 <= int(changed.any(dim=(1, 2)).sum()) <= 44
    assert changed[:, 4, 4].sum() == changed.any(dim=(1, 2)).sum()
    assert torch.equal(alone[..., 4, 4], worn[..., 4, 4]), "the photo of the garment has the worn one's dye"
