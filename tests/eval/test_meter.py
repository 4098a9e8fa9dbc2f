from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from eval.images.everybody import ImageTest
from eval.images.fidelity import Truth
from eval.images.judges import ABSENT, Backbone, Judges, efficientnet_lite0, inception
from eval.images.meter import ImageMeter, SetDistances, psnr, ssim_map, to_tensor

RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (6, 48, 40, 3), dtype=np.uint8)
NOISY = np.clip(PHOTOS + RNG.normal(0, 12, PHOTOS.shape), 0, 255).astype(np.uint8)
MASKS = np.zeros((6, 48, 40), bool)
MASKS[:, 10:30, 8:32] = True
TRUTH = Truth(photos=PHOTOS, masks=MASKS, garments=MASKS[:, ::-1], prints=[None] * 6)


def mean_colours(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features anyone can check: mean colours of the four quarters."""
    height, width = pictures.shape[1] // 2, pictures.shape[2] // 2
    quarters = [pictures[:, y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    return np.concatenate([quarter.mean(axis=(1, 2)) for quarter in quarters], axis=1).astype(np.float32)


COLOURS = Backbone(figures=("fid", "kid"), dim=12, weights_hash="", features=mean_colours)


def metered(pictures: NDArray[np.uint8], *, paired: bool = True, batch_size: int = 2) -> dict[str, object]:
    meter = ImageMeter(Judges(backbones=[COLOURS]), paired=paired, seed=0)
    for start in range(0, len(pictures), batch_size):
        rows = slice(start, start + batch_size)
        meter.update(pictures[rows], TRUTH.rows(range(6)[rows]))
    return meter.section()


def test_equal_the_reference_library() -> None:
    a, b = to_tensor(NOISY), to_tensor(PHOTOS)
    section = metered(NOISY)
    expected = structural_similarity_index_measure(a, b, data_range=1.0)
    assert section["ssim"] == pytest.approx(float(expected), abs=1e-4)
    ratios = [float(peak_signal_noise_ratio(a[i], b[i], data_range=1.0)) for i in range(6)]
    assert section["psnr"] == pytest.approx(np.mean(ratios), abs=1e-4)
    _, maps = structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
    inside = maps.mean(dim=1)[torch.from_numpy(MASKS)].mean()
    assert section["ssim_inside_mask"] == pytest.approx(float(inside), abs=1e-4)


class ColoursNet(nn.Module):
    """`mean_colours` as torchmetrics wants its features."""

    num_features = 12

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(mean_colours(pictures.permute(0, 2, 3, 1).numpy()))


ONE = RNG.normal(0, 1, (300, 24)) @ RNG.normal(0, 1, (24, 24))
OTHER = RNG.normal(0.2, 1.3, (300, 24)) @ RNG.normal(0, 1, (24, 24))


def distances(one: NDArray[np.float64], other: NDArray[np.float64], batch_size: int = 64) -> dict[str, float]:
    taken = SetDistances(replace(COLOURS, dim=one.shape[1]), seed=3)
    for start in range(0, len(one), batch_size):
        for features, real in ((one, False), (other, True)):
            taken.update(features[start : start + batch_size].astype(np.float32), real=real)
    return taken.by_name(len(one))


def test_frechet_distance_is_the_reference_formula() -> None:
    first, second = np.cov(ONE, rowvar=False), np.cov(OTHER, rowvar=False)
    shift = ONE.mean(axis=0) - OTHER.mean(axis=0)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = shift @ shift + np.trace(first + second - 2 * root)
    assert distances(ONE, OTHER)["fid"] == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_of_shifted_copies_is_the_shift() -> None:
    assert distances(ONE, ONE)["fid"] == pytest.approx(0.0, abs=1e-6)
    assert distances(ONE, ONE + 0.5)["fid"] == pytest.approx(24 * 0.25, rel=1e-5)


def test_frechet_distance_with_fewer_samples_than_dimensions_stays_real() -> None:
    assert np.isfinite(distances(ONE[:8], OTHER[:8])["fid"])


def test_kernel_distance_is_the_reference_formula() -> None:
    def kernel(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return (one @ other.T / 24 + 1) ** 3

    apart = ~np.eye(300, dtype=bool)
    within = kernel(ONE, ONE)[apart].mean() + kernel(OTHER, OTHER)[apart].mean()
    expected = within - 2 * kernel(ONE, OTHER).mean()
    assert distances(ONE, OTHER)["kid"] == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_of_many_draws_the_same_subsets_and_leaves_the_global_state() -> None:
    many, others = np.tile(ONE, (4, 1)), np.tile(OTHER, (4, 1))
    many[300:] += RNG.normal(0, 0.5, (900, 24))
    before = torch.get_rng_state()
    first = distances(many, others)["kid"]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert distances(many, others, batch_size=500)["kid"] == first


def test_distances_of_sets_equal_the_reference_library() -> None:
    section = metered(NOISY, paired=False)
    reference = FrechetInceptionDistance(feature=ColoursNet(), normalize=False, input_img_size=(3, 48, 40))
    reference.set_dtype(torch.float64)
    for pictures, real in ((PHOTOS, True), (NOISY, False)):
        reference.update(torch.from_numpy(pictures).permute(0, 3, 1, 2), real=real)
    assert section["fid"] == pytest.approx(float(reference.compute()), abs=1e-4)
    one, other = (torch.from_numpy(mean_colours(pictures)).double() for pictures in (NOISY, PHOTOS))
    assert section["kid"] == pytest.approx(float(poly_mmd(one, other)), rel=1e-4)


def test_a_picture_is_most_similar_to_itself() -> None:
    section = metered(PHOTOS)
    assert section["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert section["fid"] == pytest.approx(0.0, abs=1e-6)
    assert section["psnr"] == {"absent": "a picture equals its photo, so its PSNR is infinite"}


def test_figures_do_not_depend_on_the_batches() -> None:
    one, other = metered(NOISY, batch_size=1), metered(NOISY, batch_size=6)
    numbers = [name for name, value in one.items() if isinstance(value, float)]
    assert len(numbers) == 10
    assert [one[name] for name in numbers] == pytest.approx([other[name] for name in numbers])


def test_inside_the_mask_only_the_mask_counts() -> None:
    outside_noise = np.where(MASKS[..., None], PHOTOS, NOISY)
    section = metered(outside_noise)
    assert section["fid"] > 0.01
    assert section["fid_inside_mask"] == pytest.approx(0.0, abs=1e-6)
    assert np.isinf(psnr(outside_noise[0], PHOTOS[0], MASKS[0]))
    far_inside = ssim_map(outside_noise[0], PHOTOS[0])[18:22, 18:22]  # out of the reach of the window
    np.testing.assert_allclose(far_inside, 1.0, atol=1e-5)


def test_psnr_of_a_known_error() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(picture, picture + 10) == pytest.approx(20 * np.log10(25.5))


def test_what_is_absent_says_why() -> None:
    meter = ImageMeter(Judges(), paired=True, seed=0)
    assert meter.section()["ssim"] == {"absent": "there are no such pictures"}
    meter.update(NOISY, TRUTH)
    section = meter.section()
    assert {name for name, value in section.items() if not isinstance(value, float | int)} == {
        *(f"{name}{where}" for name in ABSENT for where in ("", "_inside_mask")),
        *("print_correlation", "print_kept"),
    }
    assert section["fid"] == {"absent": ABSENT["fid"]}
    assert "AlexNet" in section["lpips_alex"]["absent"]
    assert "ssim" not in ImageMeter(Judges(), paired=False, seed=0).section()


def test_pictures_are_compared_at_smaller_sizes_and_never_enlarged() -> None:
    test = ImageTest(Judges(), (48, 40), [(96, 80), (48, 40), (24, 20)], paired=True, seed=0)
    test.update(NOISY, TRUTH)
    section = test.section()
    assert section["at_96x80"] == {
        "absent": "the pictures have 48x40 px: enlarged, the resizing would be measured"
    }
    assert section["at_48x40"]["ssim"] == section["ssim"]
    assert section["at_24x20"]["psnr"] > section["psnr"] + 5  # four pixels' noise is averaged


class ScriptedInception(nn.Module):
    """Like inception-2015-12-05.pt, whose submodule `layers` takes 299 x 299 px in -1 .. 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(299), nn.Flatten())


def test_inception_is_read_from_its_file(tmp_path: Path) -> None:
    torch.jit.script(ScriptedInception()).save(tmp_path / "inception.pt")
    backbone = inception(tmp_path / "inception.pt")
    assert (backbone.figures, backbone.dim) == (("fid", "kid"), 3)
    plain = np.full((1, 20, 30, 3), (0, 128, 192), np.uint8)
    np.testing.assert_allclose(backbone.features(plain), [[-1, 0, 0.5]], atol=1e-6)


def test_says_what_is_wrong_with_the_inception_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pt not found: give inception-2015-12-05\.pt"):
        inception(tmp_path / "absent.pt")
    (tmp_path / "broken.pt").write_bytes(b"no network")
    with pytest.raises(ValueError, match="must be the TorchScript file"):
        inception(tmp_path / "broken.pt")
    torch.jit.script(nn.ReLU()).save(tmp_path / "other.pt")
    with pytest.raises(ValueError, match="with a submodule `layers`"):
        inception(tmp_path / "other.pt")


def test_efficientnet_tells_pictures_apart() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `metrics`")
    backbone = efficientnet_lite0()
    assert backbone is not None
    assert backbone.figures == ("fd_effnet_lite0",)
    features = backbone.features(np.stack([PHOTOS[0], PHOTOS[0], NOISY[1]]))
    assert features.shape == (3, 1280)
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert np.abs(features[0] - features[2]).mean() > 1e-3
