"""What looks at pictures: the segmenter, and the critic that reads sizes from latents."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from model.adapter.body_maps import FRAME, NUM_BODY_MAPS, body_maps
from model.judges.critic import COLUMNS, ROWS, SizeCritic, in_body_frame
from model.judges.segmenter import NUM_COLOURS, Segmenter, garment_colours
from pipeline.training.size_task import load_critic
from preprocess.sizes.axes import AXIS_NAMES
from tests.model.conftest import keypoints

GRID = (64, 48)


def moved(scale: float, degrees: float) -> Tensor:
    """The upright body of `keypoints`, scaled and turned about the picture's middle: (1, 25, 3)."""
    turn = math.radians(degrees)
    points = keypoints(1)
    middle = torch.tensor([24.0, 28.0])
    matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points[..., :2] = (points[..., :2] - middle) @ (scale * matrix).T + middle
    return points


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.7, 0.0), (0.8, 12.0)])
def test_the_body_frame_is_the_same_whoever_stands_there(scale: float, degrees: float, mixed: bool) -> None:
    maps = body_maps(moved(scale, degrees), (64, 48), GRID)
    _, a, b = maps[:, FRAME:].unbind(1)
    rows, columns = torch.linspace(*ROWS), torch.linspace(*COLUMNS)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):  # places keep full precision
        sampled = in_body_frame(torch.stack([a, b.abs()], dim=1), maps, ["upper"])[0]
    inside = (rows > 0.1) & (rows < 0.9)
    assert_close(sampled[0][inside][:, :9], rows[inside, None].expand(-1, 9), rtol=0, atol=1e-3)
    assert_close(sampled[1][inside][:, 3:9], columns[3:9].expand(int(inside.sum()), -1), rtol=0, atol=1e-3)


def test_without_a_frame_nothing_is_read() -> None:
    maps = body_maps(torch.zeros(1, 25, 3), (64, 48), GRID)
    assert not in_body_frame(torch.ones(1, 1, *GRID), maps, ["upper"]).any()


@torch.no_grad()
def test_the_critic_reads_ratios_and_a_finer_coverage() -> None:
    maps = body_maps(keypoints(2), (64, 48), (16, 12))
    critic = SizeCritic(4, NUM_BODY_MAPS, AXIS_NAMES, ["upper", "dress"], width=8)
    latents = torch.randn(1, 4, 16, 12).expand(2, -1, -1, -1)
    reading = critic(latents, maps, ["upper", "dress"])
    assert reading.ratios.shape == (2, len(AXIS_NAMES))
    assert reading.coverage_logits.shape == (2, 1, 32, 24)
    dresses = critic(latents, maps, ["dress", "dress"])
    assert not torch.allclose(dresses.ratios[0], reading.ratios[0]), "a head each"
    assert_close(dresses.ratios[1], reading.ratios[1])
    with pytest.raises(ValueError, match="'lower' is not in list"):
        critic(latents, maps, ["lower", "dress"])


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 12), (37, 51)])
def test_the_segmenter_takes_pictures_of_any_size(size: tuple[int, int]) -> None:
    pictures, colours = torch.zeros(1, 3, *size), torch.zeros(1, NUM_COLOURS)
    assert Segmenter(widths=(8, 16))(pictures, colours).shape == (1, 2, *size)


def test_what_the_segmenter_says_of_a_pixel_depends_on_pixels_and_not_on_patches_alone() -> None:
    """Of patches of 4 px their layers see everything; the narrow layers see 5 px around each pair of px."""
    torch.manual_seed(0)
    segmenter, pictures = Segmenter(widths=(8, 16)), torch.zeros(1, 3, 16, 16, requires_grad=True)
    torch.nn.init.zeros_(segmenter.told.weight)  # nothing is told by patches
    torch.nn.init.zeros_(segmenter.told.bias)
    segmenter(pictures, torch.zeros(1, NUM_COLOURS))[0, 1, 8:10, 8:10].sum().backward()
    assert pictures.grad is not None
    seen = pictures.grad[0].abs().sum(dim=0) > 0
    assert seen[8:10, 8:10].all()
    assert not seen[:4].any()
    assert not seen[14:].any()


def test_a_segmenter_of_an_earlier_version_is_refused_in_words(tmp_path: Path) -> None:
    Segmenter(widths=(8, 16)).save_pretrained(tmp_path)
    assert Segmenter.from_pretrained(tmp_path).config.fine == 24
    config = json.loads((tmp_path / "config.json").read_text())
    del config["fine"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is a segmenter of an earlier version: make the base again"):
        Segmenter.from_pretrained(tmp_path)


def test_a_judge_that_lacks_weights_is_no_judge(tmp_path: Path) -> None:
    judges = (
        (Segmenter(widths=(8, 16)), Segmenter.from_pretrained, "edges.bias"),
        (SizeCritic(4, NUM_BODY_MAPS, AXIS_NAMES, ["upper"], width=8), load_critic, "coverage.weight"),
    )
    for number, (judge, load, lost) in enumerate(judges):
        judge.save_pretrained(tmp_path / str(number))
        (file,) = (tmp_path / str(number)).glob("*.safetensors")
        weights = load_file(file)
        del weights[lost]
        save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=rf"not those of its configuration: .*{lost}"):
            load(tmp_path / str(number))


@torch.no_grad()
def test_the_segmenter_knows_the_garment_by_the_middle_of_its_photo() -> None:
    segmenter, picture = Segmenter(widths=(8, 16)), torch.zeros(1, 3, 16, 12)
    garment = torch.full((1, 3, 16, 12), 0.9)
    garment[..., 4:12, 3:9] = 0.5
    assert_close(garment_colours(garment), torch.tensor([[0.5, 0.5, 0.5, 0, 0, 0, 1.0]]))
    light, dark, unknown = (segmenter.garment_probability(picture, g) for g in (garment, -garment, None))
    assert not torch.allclose(light, dark)
    assert not torch.allclose(light, unknown)
