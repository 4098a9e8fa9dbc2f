import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig
from PIL import Image

from eval.images.fidelity import KEPT
from eval.images.judges import ABSENT
from eval.ladder.people import Wardrobe
from eval.params import EvaluateParams
from eval.report.card import BEHIND, compare
from model.adapter.adapter import SizeAdapter
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from model.judges.segmenter import Segmenter
from model.params import switches_of
from model.sampling import where_loaded
from pipeline import evaluate_tryon
from pipeline.checkpoints import RECORD, load_adapter, load_size_aware
from pipeline.cli.evaluation import evaluate as command
from pipeline.cli.without_dvc import evaluation_data
from pipeline.evaluation.evaluation import Evaluation, require_trained
from pipeline.evaluation.generated import evaluate_generated, request_pictures
from pipeline.params import load_params
from pipeline.tryon.loading import trained_mask
from preprocess.body.inpaint_mask import MaskParams
from preprocess.identity import ROOT
from preprocess.places import place
from preprocess.sizes.axes import FIT_PLACE, MEANINGS
from preprocess.sources.paper_dolls.sample import plain_sample, sample_of_key
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from shards.index import ShardIndex
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from tests.data_stages import run_data_stages
from tests.preprocess.flaky import Flaky

PARAMS = EvaluateParams(
    num_people=2, num_rungs=2, num_steps=1, num_bootstrap=20, num_worst=2, num_strip_people=1
)

DOLLS = PaperDollParams(train=12, test=6, image_height=256, image_width=192)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and size annotations of a few paper dolls."""
    folder = tmp_path_factory.mktemp("data")
    shards = WriteShardsParams(image_height=128, image_width=96, num_workers=0)
    run_data_stages(folder, PrepareDatasetParams(paper_dolls=DOLLS), shards)
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny networks that were never trained, in the folders that the training stages write."""
    folder = tmp_path_factory.mktemp("networks")
    preset = TinyPreset()
    base = build_tiny_base(preset, 0)
    base.save_pretrained(folder / "base")
    Segmenter().save_pretrained(folder / "base" / "segmenter")
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS)
    base.tryon_unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    base.tryon_unet.save_lora_adapter(folder / "joint" / "lora")
    record = {
        "image_height": preset.image_height,
        "image_width": preset.image_width,
        "mask": dataclasses.asdict(MaskParams()),
        "params": {"preset": "tiny", "pretrained": None},
    }
    for name in ("base", "size", "joint"):
        (folder / name).mkdir(exist_ok=True)
        adapter.save_pretrained(folder / name / "adapter")
        (folder / name / RECORD).write_text(json.dumps(record))
    return folder


def evaluate(
    data: Path, networks: Path, out: Path, params: EvaluateParams = PARAMS
) -> dict[str, dict[str, object]]:
    evaluate_tryon.run(
        params,
        shards=data / "shards",
        size_annotations=data / "size_annotations.parquet",
        base=networks / "base",
        size=networks / "size",
        joint=networks / "joint",
        headline=out.with_suffix(".json"),
        out=out,
    )
    metrics: dict[str, dict[str, object]] = json.loads((out / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def reports(data: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "reports"
    evaluate(data, networks, out)
    return out


def test_writes_numbers_report_and_plots(reports: Path) -> None:
    names = {path.relative_to(reports).as_posix() for path in reports.rglob("*.*")}
    assert names >= {
        "metrics.json",
        "report.html",
        "strip.png",
        "strip_unpaired.png",
        "readings.parquet",
        "plots/ladder_width.csv",
    }
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["ladder"]["people"] == 2
    assert set(metrics["baselines"]) == {"natural", "dilate", "scale", "resize"}
    assert set(metrics["controls"]) == {"shuffled", "scale_zero", "train_size_only"}
    assert metrics["protocol"]["system"]["num_steps"] == 1


def test_networks_load_frozen_and_in_the_type_asked_for_with_the_lora_as_well(networks: Path) -> None:
    base, adapter = load_size_aware(networks / "base", networks / "joint", "cpu", torch.bfloat16)
    named = [*base.named_parameters(), *adapter.named_parameters()]
    assert any("lora" in name for name, _ in named)
    assert {(parameter.dtype, parameter.requires_grad) for _, parameter in named} == {(torch.bfloat16, False)}


def test_masks_like_those_of_training_are_asked_for(
    reports: Path, data: Path, networks: Path, tmp_path: Path
) -> None:
    """They stand in the protocol; another margin is refused, and `evaluate --root` draws the trained one."""
    assert json.loads((reports / "metrics.json").read_text())["protocol"]["mask"]["margin"] == 0.08
    shutil.copytree(networks, tmp_path / "networks")
    record = tmp_path / "networks" / "joint" / RECORD
    record.write_text(record.read_text().replace('"margin": 0.08', '"margin": 0.2'))
    with pytest.raises(ValueError, match=r"joint was trained with the inpainting masks .*'margin': 0\.2"):
        evaluate(data, tmp_path / "networks", tmp_path / "reports")
    found = {}
    for name, mask in (("usual", None), ("trained", trained_mask(record.parent))):
        shards, _ = evaluation_data(
            load_params(ROOT / "params.yaml"),
            root=data / "raw",
            source="viton_hd",
            shards=None,
            size_annotations=data / "size_annotations.parquet",
            work=tmp_path / name,
            mask=mask,
        )
        found[name] = ShardIndex(shards / "test").header["mask"]["margin"]
    assert found == {"usual": 0.08, "trained": 0.2}


def test_networks_are_not_judged_on_garments_that_they_never_saw(
    data: Path, networks: Path, tmp_path: Path
) -> None:
    """Neither by a segmenter that never saw them; what doesn't tell, as these networks, is judged."""
    index = data / "shards" / "test"
    assert ShardIndex(index).header["categories"].keys() == {"upper"}
    for name in ("base", "size", "joint"):
        shutil.copytree(networks, tmp_path / name)
        record = tmp_path / name / name / RECORD
        record.write_text(json.dumps(json.loads(record.read_text()) | {"categories": ["lower", "dress"]}))
        told = rf"{name} was trained on garments of lower, dress alone, but the test split has upper: leave"
        with pytest.raises(ValueError, match=told):
            evaluate(data, tmp_path / name, tmp_path / "reports")
    require_trained(networks / "joint", ["lower"])


def test_a_checkpoint_without_its_layers_or_beside_another_base_is_refused(
    networks: Path, tmp_path: Path
) -> None:
    """What earlier versions wrote, as `networks`, doesn't say so and loads."""
    shutil.copytree(networks, tmp_path, dirs_exist_ok=True)
    base, joint = tmp_path / "base", tmp_path / "joint"

    def tell(folder: Path, **more: object) -> None:
        record = folder / RECORD
        record.write_text(json.dumps(json.loads(record.read_text()) | more))

    tell(base, fingerprint="b1")
    load_size_aware(base, joint)
    tell(joint, base="b1", stage="train_joint", params={"base_layers": "lora"})
    load_size_aware(base, joint)
    tell(base, fingerprint="b2")
    with pytest.raises(ValueError, match=r"joint was trained on another base than .*has the fingerprint b1"):
        load_size_aware(base, joint)
    tell(base, fingerprint="b1")
    shutil.rmtree(joint / "lora")
    with pytest.raises(FileNotFoundError, match=r"joint/lora not found: train_joint wrote it"):
        load_size_aware(base, joint)
    tell(joint, params={"base_layers": "all"})
    with pytest.raises(FileNotFoundError, match=r"joint/layers\.safetensors not found"):
        load_size_aware(base, joint)
    (joint / RECORD).write_text('{"stage": ')
    with pytest.raises(ValueError, match=r"joint/record\.json must be a whole JSON object"):
        load_size_aware(base, joint)


def test_a_base_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"base has no adapter/: name what train_size or train_joint"):
        load_adapter(tmp_path / "base")


def test_outside_the_mask_the_photo_is_untouched(reports: Path) -> None:
    image = json.loads((reports / "metrics.json").read_text())["image"]
    assert image["outside_mask_mean_abs_difference"] == 0.0


def test_the_garment_and_its_print_stand_beside_what_the_autoencoder_leaves(
    reports: Path, data: Path
) -> None:
    image = json.loads((reports / "metrics.json").read_text())["image"]
    people = people_of(data)
    printed = [key for key in people if plain_sample(sample_of_key(DOLLS, key)) is not None]
    assert (image["garments"], image["prints"]) == (len(people), len(printed))
    assert printed
    for section in (image, *image["baselines"].values()):
        assert section["garment_delta_e"] > 1
        assert -1 <= section["print_correlation"] < KEPT  # networks that never learned draw none
    assert set(image["baselines"]) == {"autoencoder", "flat_colour"}
    headline = json.loads(reports.with_suffix(".json").read_text())
    assert headline["image.psnr_garment"] == round(image["psnr_garment"], 6)


def test_two_runs_write_the_same_bytes(reports: Path, data: Path, networks: Path, tmp_path: Path) -> None:
    evaluate(data, networks, tmp_path / "again")
    for path in reports.rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(reports)).read_bytes(), path


def test_networks_that_take_turns_draw_the_same_pictures(
    reports: Path, data: Path, networks: Path, tmp_path: Path
) -> None:
    lean = dataclasses.replace(PARAMS, low_memory="16")
    inputs = {"size_annotations": data / "size_annotations.parquet", "base": networks / "base"}
    evaluation = Evaluation.prepare(lean, shards=data / "shards", **inputs)
    loaded, _ = evaluate_tryon.load_trained(evaluation, networks / "base", networks / "joint")
    assert loaded.run_on is not None  # else they stay where they are
    found = evaluate(data, networks, tmp_path / "lean", lean)
    usual = json.loads((reports / "metrics.json").read_text())
    assert found["ladder"] == usual["ladder"]
    assert found["image"] == usual["image"]
    with pytest.raises(ValueError, match="low_memory must be one of off, 24, 16, 8, got '12'"):
        dataclasses.replace(PARAMS, low_memory="12")


@pytest.mark.parametrize(
    ("memory", "device", "where"),
    [
        ("off", "cuda", ("cuda", None)),
        ("24", "cuda", ("cuda", torch.float16)),
        ("16", "cuda", ("cpu", torch.float16)),
        ("24", "cpu", ("cpu", None)),
    ],
)
def test_weights_are_halved_for_a_gpu_and_wait_elsewhere_for_their_turn(
    memory: str, device: str, where: tuple[str, torch.dtype | None]
) -> None:
    assert where_loaded(switches_of(memory), device) == where


def test_shards_in_object_storage_ask_for_the_same_pictures(
    data: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # copies of remote shards are kept below it
    Flaky.restart()
    for path in (data / "shards/test").iterdir():
        Flaky().pipe_file(f"flaky://bucket/shards/test/{path.name}", path.read_bytes())
    inputs = {"size_annotations": data / "size_annotations.parquet", "base": networks / "base"}
    for name, shards in (("here", data / "shards"), ("there", place("flaky://bucket/shards"))):
        request_pictures(PARAMS, **inputs, shards=shards, out=tmp_path / f"{name}.csv")
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_scores_pictures_of_another_system(data: Path, networks: Path, tmp_path: Path, reports: Path) -> None:
    inputs = {
        "shards": data / "shards",
        "size_annotations": data / "size_annotations.parquet",
        "base": networks / "base",
    }
    request_pictures(PARAMS, **inputs, out=tmp_path / "requests.csv")
    files = [line.split(",")[0] for line in (tmp_path / "requests.csv").read_text().splitlines()[1:]]
    # everybody twice, and two people's rungs: two along each ratio, and along the width in another's garment
    assert len(files) == 2 * len(people_of(data)) + 2 * (3 + 1) * 2
    any_picture = Image.open(reports / "strip.png").convert("RGBA").resize((192, 256))
    for file in files[:-1]:
        path = tmp_path / "theirs" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        any_picture.save(path.with_suffix(".PNG"), "PNG")
    theirs = evaluate_generated(PARAMS, **inputs, generated=tmp_path / "theirs", out=tmp_path / "reports")
    ours = json.loads((reports / "metrics.json").read_text())
    assert {k: v for k, v in theirs["protocol"].items() if k != "system"} == {
        k: v for k, v in ours["protocol"].items() if k != "system"
    }
    counts = theirs["protocol"]["system"]["pictures"]
    assert sum(group["wanted"] for group in counts.values()) == len(files)
    assert sum(group["found"] for group in counts.values()) == len(files) - 1
    assert "Pictures that were there" in (tmp_path / "reports/report.html").read_text()
    missing = [name for name, group in counts.items() if group["missing"] is not None]
    for row in compare({"ours": ours, "theirs": theirs}):
        behind = next(group for start, group in BEHIND if row["figure"].startswith(start))
        assert (row["best"] == []) == (behind in missing or set(row["values"].values()) == {None})
    path.with_suffix(".PNG").unlink()
    any_picture.resize((256, 256)).save(path.with_suffix(".webp"))
    with pytest.raises(ValueError, match=r"webp must have the proportions of 72x96, got 256x256"):
        evaluate_generated(PARAMS, **inputs, generated=tmp_path / "theirs", out=tmp_path / "reports")


def test_pictures_to_be_judged_are_never_replaced_by_their_report(tmp_path: Path) -> None:
    pictures = tmp_path / "mine"
    (pictures / "90000_00").mkdir(parents=True)
    (pictures / "metrics.json").touch()
    given = {"generated": pictures, "base": tmp_path / "base", "shards": tmp_path / "shards"}
    for out in (pictures, tmp_path):
        with pytest.raises(ValueError, match="mine, which is read: name another folder"):
            command(**given, out=out)
    (pictures / "metrics.json").unlink()
    with pytest.raises(FileExistsError, match=r"mine is no earlier result \(it has no metrics.json\)"):
        command(**given | {"generated": tmp_path / "others"}, out=pictures)
    assert (pictures / "90000_00").is_dir()


def people_of(data: Path) -> list[str]:
    """Keys of the test split."""
    index = ShardIndex(data / "shards" / "test")
    return [key for entry in index.entries() for key in entry.keys]


def test_everybody_wears_another_garment_in_the_unpaired_test(data: Path, reports: Path) -> None:
    metrics = json.loads((reports / "metrics.json").read_text())
    everybody = len(people_of(data))
    assert metrics["image"]["pictures"] == metrics["image"]["asked"] == everybody
    assert metrics["image"]["unpaired"]["asked"] == everybody
    assert metrics["image"]["unpaired"]["fid"] == {"absent": ABSENT["fid"]}
    assert metrics["image"]["at_512x384"]["absent"].startswith("the pictures have")
    pictures = 2 * PARAMS.num_rungs
    assert metrics["image"]["counterfactual"]["pictures"] == pictures
    assert metrics["image"]["unpaired"]["counterfactual"]["pictures"] == pictures
    assert metrics["unpaired"]["people"] == 2
    assert "width" in metrics["unpaired"]


def test_the_garment_of_the_unpaired_test_is_the_other_ones(data: Path) -> None:
    stream = SampleStream(data / "shards" / "test", batch_size=8, image_height=128, image_width=96, seed=0)
    (people,) = stream.epoch_batches()
    wardrobe = Wardrobe(stream.reader)
    rows, dressed = wardrobe.swapped(people)
    assert dressed.keys == [people.keys[row] for row in rows] == people.keys
    for row, key in enumerate(dressed.keys):
        other = people.keys.index(wardrobe.unpaired_key(key))
        assert other != row
        np.testing.assert_array_equal(dressed.cloth[row], people.cloth[other])
        np.testing.assert_array_equal(dressed.image[row], people.image[row])


def test_the_unpaired_ladder_is_measured_by_the_garment_that_is_tried_on(data: Path, networks: Path) -> None:
    paths = {"shards": data / "shards", "size_annotations": data / "size_annotations.parquet"}
    evaluation = Evaluation.prepare(PARAMS, **paths, base=networks / "base")
    own, others = evaluation.scene, evaluation.unpaired
    assert own.keys == others.people.keys
    np.testing.assert_array_equal(others.scorer.scene.cloths, others.people.cloth)
    assert [(a != b).any() for a, b in zip(own.cloths, others.people.cloth, strict=True)] == [True, True]
    assert evaluation.truth.garments == own.keys
    assert others.truth.garments == [evaluation.wardrobe.unpaired_key(key) for key in own.keys]
    asked = np.isfinite(others.requests).any(axis=(0, 2, 3))
    assert np.flatnonzero(asked).tolist() == [FIT_PLACE]
    told, segment = [], others.scorer.segment

    def watched(pictures: NDArray[np.uint8], cloths: NDArray[np.uint8]) -> NDArray[np.float32]:
        told.append(cloths)
        return segment(pictures, cloths)

    others.scorer.segment = watched
    evaluate_tryon.score_sized(
        evaluation, *evaluate_tryon.load_trained(evaluation, networks / "base", networks / "joint")
    )
    np.testing.assert_array_equal(np.concatenate(told), others.people.cloth.repeat(PARAMS.num_rungs, axis=0))


def test_says_which_garments_of_the_shards_nobody_is_known_in(
    data: Path, networks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = shutil.copytree(data / "shards", tmp_path / "shards") / "test/index.json"
    index.write_bytes(re.sub(rb'("categories": *{\s*)"upper"', rb'\1"lower"', index.read_bytes()))
    paths = {"shards": tmp_path / "shards", "size_annotations": data / "size_annotations.parquet"}
    Evaluation.prepare(PARAMS, **paths, base=networks / "base")
    (told,) = (line for line in caplog.messages if "nobody's size" in line)
    assert told.startswith("no ladders of lower, which the test split has: ")


def test_names_the_folder_that_has_no_pictures(data: Path, networks: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must have a folder for each person"):
        evaluate_generated(
            PARAMS,
            shards=data / "shards",
            size_annotations=data / "size_annotations.parquet",
            base=networks / "base",
            generated=tmp_path,
            out=tmp_path / "reports",
        )


def test_a_ladder_that_is_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lowest_quantile \(0.9\) must be below highest_quantile \(0.1\)"):
        dataclasses.replace(PARAMS, lowest_quantile=0.9, highest_quantile=0.1)
