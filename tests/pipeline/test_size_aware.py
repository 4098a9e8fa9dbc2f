"""The Python API: photo in, pictures at the photo's resolution out."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eval.params import EvaluateParams
from model.judges.segmenter import Segmenter
from model.params import SWITCHES, MemorySwitches
from model.pixels import from_uint8
from pipeline.checkpoints import load_size_aware
from pipeline.cli.tryon import publish as publish_command
from pipeline.evaluate_tryon import drawer_of
from pipeline.training.run import TrainingRun
from pipeline.tryon.loading import from_stages, load_tryon, publish
from pipeline.tryon.outfits import shard_fittings
from pipeline.tryon.preview import preview
from pipeline.tryon.size_aware import DrawingOptions, PreparedPerson, SizeAwareTryOn, SizeRequest
from preprocess.body.drawing import draw_body
from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.person.prepare import PersonView
from preprocess.pictures import read_picture
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.vocabulary import Category
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from tests.data_stages import run_data_stages
from tests.pipeline.fitting import files_of
from tests.preprocess.people import SKIN, beside, hanging, paint_photo, shifted, tunic
from tests.sizes import of_tops
from train.params import TrainSizeParams

ONE_STEP, TWO_STEPS = DrawingOptions(num_steps=1), DrawingOptions(num_steps=2)
USUAL = MaskParams()
SIZES = [SizeRequest(width=1.0), SizeRequest(width=1.6), SizeRequest(width=2.2)]


@pytest.fixture(scope="module")
def garment(fitting_artifacts: Path) -> Path:
    return files_of(fitting_artifacts)["garment"]


@pytest.fixture(scope="module")
def person(fitting_artifacts: Path, tryon: SizeAwareTryOn) -> PreparedPerson:
    files = files_of(fitting_artifacts)
    given = {name: files[name] for name in ("keypoints", "parse", "densepose")}
    return tryon.prepare(files["person"], **given)


def arrays(tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path, **options: object) -> np.ndarray:
    result = tryon(person, garment, SIZES, DrawingOptions(**({"num_steps": 2} | options)))
    return np.stack([np.asarray(picture) for picture in result.pictures])


def test_outside_the_mask_every_bit_is_the_photos(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    pictures = arrays(tryon, person, garment)
    assert pictures.shape == (3, 128, 96, 3)
    assert (pictures == person.photo)[:, ~person.inpaint_mask].all()
    assert (pictures != person.photo)[:, person.inpaint_mask].any(axis=(1, 2)).all()
    assert (pictures[0] != pictures[2]).any()


def test_a_result_has_an_entry_for_every_size(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    seen: list[tuple[int, int]] = []
    result = tryon(person, garment, SIZES, TWO_STEPS, on_step=lambda *step: seen.append(step))
    lengths = {len(entries) for entries in (result.size_maps, result.expected_outlines, result.fit)}
    assert lengths == {3}
    assert all(m.shape == (128, 96) and m.min() >= 0 and m.max() <= 1 for m in result.size_maps)
    assert all(outline.shape[1] == 2 and len(outline) > 20 for outline in result.expected_outlines)
    assert np.ptp(result.expected_outlines[2][:, 0]) > np.ptp(result.expected_outlines[0][:, 0])
    assert [fit.requested["width"] for fit in result.fit] == [1.0, 1.6, 2.2]
    assert seen == [(3, 6), (6, 6)]


def test_a_fit_is_measured_with_the_edges_of_the_picture(
    tryon: SizeAwareTryOn, garment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """240 px of cloth, 8 px of an arm's shade that the mask takes for cloth, then a bare arm; B is 200 px."""
    wearer, worn = hanging(150, 150), tunic(shoulder=300, width=256)
    photo = paint_photo(tunic(width=240), wearer, (200, 220, 255))
    photo[beside(120, 129)] = 40
    photo[beside(128, 180)] = SKIN
    corner = np.zeros(worn.shape, bool)
    corner[:40, :40] = True
    person = PreparedPerson(
        key="me",
        photo=photo,
        keypoints=wearer,
        inpaint_mask=corner,  # so that the photo is what is drawn
        densepose=draw_body(wearer, *worn.shape),
        garment_mask=worn,
        natural_size=SizeRequest(width=1.2),
    )
    monkeypatch.setattr(SizeAwareTryOn, "garment_in", lambda *_: worn)  # random weights would find noise
    drawn = tryon(person, garment, SizeRequest(width=1.2), ONE_STEP)
    shown = preview(person, [SizeRequest(width=1.2)])
    assert (np.asarray(drawn.pictures[0]) == photo)[~corner].all()
    for result in (drawn, shown):
        assert result.fit[0].regions["width"].measured == pytest.approx(1.2, abs=0.02), "1.28 by the mask"


def test_the_same_seed_gives_the_same_pictures(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    first = arrays(tryon, person, garment, seed=3)
    assert (arrays(tryon, person, garment, seed=3) == first).all()
    assert (arrays(tryon, person, garment, seed=4) != first).any()


def test_two_people_under_one_seed_have_noises_of_their_own(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    twin = replace(person, key="another")
    assert (arrays(tryon, twin, garment) == arrays(tryon, twin, garment)).all()
    assert (arrays(tryon, twin, garment) != arrays(tryon, person, garment)).any()


def test_without_strength_all_sizes_are_one_picture(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    pictures = arrays(tryon, person, garment, size_scale=0.0)
    assert (pictures == pictures[0]).all()


def test_a_raw_photo_is_prepared_on_the_way(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    files = files_of(fitting_artifacts)
    given = {name: files[name] for name in ("keypoints", "parse", "densepose")}
    result = tryon(files["person"], garment, SIZES[0], TWO_STEPS, **given)
    expected = tryon(person, garment, SIZES[0], TWO_STEPS)
    assert (np.asarray(result.pictures[0]) == np.asarray(expected.pictures[0])).all()
    with pytest.raises(ValueError, match="a prepared person has its own parse"):
        tryon(person, garment, SIZES[0], parse=files["parse"])


def test_sizes_are_counted_from_the_natural_one_and_kept_in_range(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert person.natural_size is not None
    result = tryon(person, garment, SizeRequest.natural(), ONE_STEP)
    assert result.requests == [person.natural_size]
    with pytest.raises(ValueError, match=r"width must be between 0.7 and 2.2, got 3"):
        tryon(person, garment, SizeRequest(width=3))
    clamped = tryon(person, garment, SizeRequest(width=3), ONE_STEP, clamp=True)
    assert clamped.requests == [SizeRequest(width=2.2)]
    assert "clamped" in caplog.text
    with pytest.raises(ValueError, match="a size must be asked for, got an empty list"):
        tryon(person, garment, [])
    long = replace(person, natural_size=SizeRequest(width=1.1, length=1.87))
    for drawn in (
        tryon(long, garment, SizeRequest.natural(), ONE_STEP),
        preview(long, [SizeRequest.natural()]),
    ):
        assert drawn.requests == [SizeRequest(width=1.1, length=1.8)]


def test_a_photo_of_other_proportions_keeps_its_own_pixels(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    wide = np.pad(person.photo, ((0, 0), (80, 40), (0, 0)), mode="edge")
    moved = tryon.prepare(wide, keypoints=shifted(person.keypoints, 80, 0))
    (picture,) = tryon(moved, garment, SIZES[0], ONE_STEP).pictures
    assert picture.size == (216, 128)
    assert (np.asarray(picture) == wide)[~moved.inpaint_mask].all()
    assert moved.garment_mask is not None, "the segmenter looked for the garment"


class Listening(Segmenter):
    """Remembers which garments it heard of."""

    def garment_probability(self, images: Tensor, garments: Tensor | None = None) -> Tensor:
        self.heard_of = garments
        return super().garment_probability(images, garments)


def test_pictures_are_measured_by_the_colours_of_their_garment(
    tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Listening(widths=(8, 16))
    monkeypatch.setattr(tryon, "segmenter", listening)
    tryon(person, garment, SIZES[0], ONE_STEP)
    view = PersonView.of(person, tryon.image_height, tryon.image_width)
    cloth = view.inputs(read_picture(garment, "garment photo"))["cloth"]
    torch.testing.assert_close(listening.heard_of, from_uint8(cloth))
    tryon.prepare(person.photo, keypoints=person.keypoints)
    assert listening.heard_of is None, "the garment worn in a photo isn't known"


def test_memory_switches_change_no_picture_and_networks_take_turns(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    saving = load_tryon(fitting_artifacts, "cpu", low_memory="8")
    assert saving.base.run_on == "cpu"
    assert saving.memory == SWITCHES["8"]
    np.testing.assert_allclose(
        arrays(saving, person, garment).astype(int), arrays(tryon, person, garment).astype(int), atol=1
    )
    with pytest.raises(ValueError, match="low_memory must be one of off, 24, 16, 8"):
        load_tryon(fitting_artifacts, low_memory="4")


def test_a_gpu_with_little_memory_holds_half_precision(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path, tmp_path: Path
) -> None:
    """The meta device stands for a GPU; what is loaded for it draws the same pictures in half precision."""
    publish(load_tryon(fitting_artifacts, "cpu"), tmp_path / "published")
    for folder in (fitting_artifacts, tmp_path / "published"):
        for setting, kind in (("off", torch.float32), ("24", torch.float16), ("8", torch.float16)):
            loaded = load_tryon(folder, "meta", low_memory=setting)
            for networks in (loaded.base, loaded.adapter):
                assert {weight.dtype for weight in networks.parameters()} == {kind}
    base, joint = fitting_artifacts / "base", fitting_artifacts / "joint"
    half = from_stages(base, joint, "cpu", torch.float16)
    difference = arrays(half, person, garment).astype(int) - arrays(tryon, person, garment).astype(int)
    assert 0 < np.abs(difference).max() <= 4


def test_only_the_network_whose_turn_it_is_is_on_the_device(fitting_artifacts: Path) -> None:
    """The meta device keeps no numbers, so what was there can't come back: that it tries to is the point."""
    base = load_tryon(fitting_artifacts, "cpu").base
    base.run_on = "meta"
    turn = base.resident(base.garment_unet)
    turn.__enter__()
    assert base.device == torch.device("meta")
    assert base.garment_unet.device == torch.device("meta")
    assert base.tryon_unet.device == base.vae.device == torch.device("cpu")
    with pytest.raises(NotImplementedError, match="meta tensor"):
        turn.__exit__(None, None, None)


@torch.no_grad()
def test_attention_in_chunks_is_the_same_attention(
    tryon: SizeAwareTryOn, fitting_artifacts: Path, person: PreparedPerson, garment: Path
) -> None:
    chunked = load_tryon(fitting_artifacts, "cpu")
    chunked.save_memory(MemorySwitches(attention_chunk=5), "cpu")
    np.testing.assert_allclose(
        arrays(chunked, person, garment).astype(int), arrays(tryon, person, garment).astype(int), atol=1
    )


def test_a_published_folder_draws_the_same(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, person: PreparedPerson, garment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "published"
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(FileExistsError, match=r"no earlier result \(it has no picture.json\)"):
        publish(tryon, out)
    (out / "picture.json").touch()
    with pytest.raises(ValueError, match="published, which is read"):
        publish_command(out, model=out)
    publish(load_tryon(fitting_artifacts, "cpu"), out)
    assert {path.name for path in tmp_path.iterdir()} == {"published"}
    assert not (out / "mine.txt").exists()
    loaded = SizeAwareTryOn.from_pretrained(tmp_path / "published", "cpu")
    assert (loaded.image_height, loaded.image_width) == (64, 48)
    np.testing.assert_allclose(
        arrays(loaded, person, garment).astype(int), arrays(tryon, person, garment).astype(int), atol=1
    )
    with pytest.raises(FileNotFoundError, match=r"must have picture\.json, or base/ beside joint/"):
        load_tryon(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(DrawingOptions(), id="defaults"),
        pytest.param(
            DrawingOptions(
                num_steps=3, seed=7, text_guidance=1.5, garment_refresh=1, sampler="unipc", seam=60.0
            ),
            id="others",
        ),
    ],
)
def test_what_is_evaluated_is_what_is_shipped(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, tmp_path: Path, options: DrawingOptions
) -> None:
    """One person, garment, size and options: evaluation and try-on draw the same pixels."""
    shards = shards_of(fitting_artifacts, tmp_path, tryon.image_height, tryon.image_width) / "test"
    stream = SampleStream(
        shards, batch_size=1, image_height=tryon.image_height, image_width=tryon.image_width, seed=0
    )
    people = next(iter(stream.epoch_batches()))
    ratios = of_tops([[1.1, 1.5, 1.0], [1.0, 0.9, np.nan]])
    networks = load_size_aware(fitting_artifacts / "base", fitting_artifacts / "joint", "cpu")
    params = EvaluateParams(**asdict(options))
    evaluated = drawer_of(*networks, people, params)(0, ratios)

    (fitting,) = (fitting for fitting in shard_fittings(shards) if fitting.key == people.keys[0])
    person, garment, caption = fitting.load(tryon)
    asked = [SizeRequest.measured(row) for row in ratios]
    shipped = tryon(person, garment, asked, options, caption=caption).pictures
    assert (evaluated[0] != evaluated[1]).any()
    for picture, expected in zip(shipped, evaluated, strict=True):
        np.testing.assert_array_equal(np.asarray(picture), expected)


def shards_of(
    artifacts: Path, folder: Path, image_height: int, image_width: int, mask: MaskParams = USUAL
) -> Path:
    """Write the dolls at this size and with these masks."""
    source = PrepareDatasetParams(source="viton_hd", root=str(artifacts / "raw"))
    params = WriteShardsParams(image_height=image_height, image_width=image_width, mask=mask, num_workers=0)
    run_data_stages(folder, source, params)
    return folder / "shards"


NARROW = MaskParams(largest={Category.UPPER: {"width": 1.5}}, margin=0.05)


@pytest.fixture(scope="module")
def narrow_artifacts(fitting_artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks as if a stage had trained them on shards with narrower masks."""
    folder = tmp_path_factory.mktemp("narrow")
    shutil.copytree(fitting_artifacts / "base", folder / "base")
    shards_of(fitting_artifacts, folder, 64, 48, NARROW)
    run = TrainingRun.begin("train_size", TrainSizeParams(), folder / "shards", folder / "joint", (64, 48))
    with run.output(folder / "joint") as partial:
        shutil.copytree(fitting_artifacts / "joint" / "adapter", partial / "adapter")
    return folder


@pytest.fixture(params=["stages", "published"])
def narrow(narrow_artifacts: Path, tmp_path: Path, request: pytest.FixtureRequest) -> SizeAwareTryOn:
    tryon = load_tryon(narrow_artifacts, "cpu")
    if request.param == "published":
        publish(tryon, tmp_path / "published")
        tryon = load_tryon(tmp_path / "published", "cpu")
    return tryon


def test_try_on_has_the_masks_that_the_network_was_trained_with(
    narrow: SizeAwareTryOn, person: PreparedPerson
) -> None:
    prepared = narrow.prepare(person.photo, keypoints=person.keypoints)
    shape = person.photo.shape[:2]
    trained, usual = (
        inpainting_mask(person.keypoints, *shape, Category.UPPER, mask) for mask in (NARROW, USUAL)
    )
    np.testing.assert_array_equal(prepared.inpaint_mask, trained)
    assert narrow.categories == ["upper"], "the shards tell these too"
    assert trained.sum() < usual.sum()


def test_no_larger_size_may_be_asked_for_than_the_masks_leave_room_for(
    narrow: SizeAwareTryOn, person: PreparedPerson, garment: Path
) -> None:
    with pytest.raises(ValueError, match=r"width must be between 0\.7 and 1\.5, got 1\.8"):
        narrow(person, garment, SizeRequest(width=1.8))
    asked = [SizeRequest(width=1.8), SizeRequest(length=1.7)]
    clamped = narrow(person, garment, asked, ONE_STEP, clamp=True)
    assert clamped.requests == [SizeRequest(width=1.5), SizeRequest(length=1.7)]


def test_networks_that_dont_say_how_their_masks_were_drawn_are_refused(
    narrow_artifacts: Path, tmp_path: Path
) -> None:
    shutil.copytree(narrow_artifacts, tmp_path / "old")
    record = tmp_path / "old" / "joint" / "record.json"
    said = json.loads(record.read_text())
    for mask, message in (
        (None, r"record\.json doesn't say with which inpainting masks it was made: make it again"),
        ({"width": 2}, r"record\.json tells of other inpainting masks than this version draws"),
        (asdict(MaskParams(follows="garment")), "trained with masks that follow the worn garment"),
    ):
        record.write_text(json.dumps(said | {"mask": mask}))
        with pytest.raises(ValueError, match=message):
            load_tryon(tmp_path / "old", "cpu")


def test_trousers_are_tried_on_by_the_legs(
    tryon: SizeAwareTryOn, tryon_of_all: SizeAwareTryOn, garment: Path
) -> None:
    """A whole figure that is prepared for trousers; a size of tops is refused."""
    dolls = PaperDollParams(categories=(Category.LOWER,), image_height=256, image_width=192)
    drawn = next(
        picture
        for picture in (render_sample(dolls, doll_sample(dolls, "test", index)) for index in range(9))
        if (picture.keypoints[[2, 5, 9, 12, 10, 13, 11, 14], 2] > 0).all()
    )
    given = {"keypoints": drawn.keypoints, "parse": drawn.parse, "densepose": drawn.densepose}
    with pytest.raises(ValueError, match=r"trained on garments of upper alone.*train on data that has lower"):
        tryon.prepare(drawn.image, **given, category=Category.LOWER)
    mapless = {"keypoints": drawn.keypoints, "category": Category.LOWER}
    guessed = tryon_of_all.prepare(drawn.image, **mapless)
    assert guessed.natural_size is None, "the segmenter would find top or trousers"
    assert "the natural size is not known" in guessed.notes[-1]
    person = tryon_of_all.prepare(drawn.image, **given, category=Category.LOWER)
    with pytest.raises(ValueError, match="trained on garments of upper alone"):
        tryon(person, garment, options=ONE_STEP)
    assert person.natural_size is not None
    assert person.natural_size.axes.keys() == {"waist", "width", "length"}
    size = SizeRequest(category=Category.LOWER, waist=2.0, width=2.0, length=0.6)
    result = tryon_of_all(person, garment, size, ONE_STEP)
    assert result.fit[0].regions.keys() == {"waist", "width", "length"}
    picture = np.asarray(result.pictures[0])
    assert (picture == person.photo)[~person.inpaint_mask].all()
    assert len(result.expected_outlines[0]) > 50
    with pytest.raises(ValueError, match="prepared for garments of lower, but sizes of upper are asked for"):
        tryon_of_all(person, garment, SizeRequest(width=1.2), ONE_STEP)
