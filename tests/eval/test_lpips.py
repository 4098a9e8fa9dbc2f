from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image.lpips as reference
from torch import nn

from eval.images.lpips import TRUNKS, Lpips


def trunk_file(name: str, folder: Path) -> tuple[nn.Sequential, Path]:
    torch.manual_seed(0)
    layers = TRUNKS[name]().layers
    torch.save({f"features.{k}": v for k, v in layers.state_dict().items()}, folder / f"{name}.pth")
    return layers, folder / f"{name}.pth"


@pytest.mark.parametrize("name", ["alex", "vgg", "squeeze"])
def test_equals_torchmetrics_on_the_same_trunk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, file = trunk_file(name, tmp_path)
    # torchmetrics takes its trunk from torchvision, which can't be installed beside this torch
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: layers)
    theirs = reference._NoTrainLpips(net=name)
    one, other = torch.rand(2, 2, 3, 72, 64)
    expected = theirs(one, other, normalize=True).reshape(-1)
    torch.testing.assert_close(Lpips(name, file)(one, other), expected, atol=1e-5, rtol=1e-5)


def test_inside_a_mask_only_the_mask_counts(tmp_path: Path) -> None:
    distance = Lpips("alex", trunk_file("alex", tmp_path)[1])
    one = torch.rand(1, 3, 128, 128)
    other = one.clone()
    other[..., 96:] = torch.rand(1, 3, 128, 32)
    masks = torch.zeros(1, 1, 128, 128)
    masks[..., :32] = 1  # out of the reach of every tap's window
    whole, inside, everywhere = distance.distances(one, other, [None, masks, torch.ones_like(masks)])
    assert inside < 0.02 * whole
    torch.testing.assert_close(whole, everywhere)


def test_a_picture_is_at_distance_zero_from_itself(tmp_path: Path) -> None:
    picture = torch.rand(1, 3, 64, 64)
    assert Lpips("alex", trunk_file("alex", tmp_path)[1])(picture, picture) == 0


def test_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"LPIPS weights .*absent\.pth not found"):
        Lpips("alex", tmp_path / "absent.pth")
    with pytest.raises(ValueError, match=r"must hold torchvision's `features\.\*` weights"):
        Lpips("alex", trunk_file("vgg", tmp_path)[1])
