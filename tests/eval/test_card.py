import json
from pathlib import Path
from typing import Any

import pytest

from eval.report.card import compare, folder_hash, protocol_differences, read_card


def card(order: float, gfd: float, **protocol: object) -> dict[str, Any]:
    return {
        "protocol": {"people": 24, "seed": 0, "system": {"steps": int(order * 100)}} | protocol,
        "ladder": {"width": {"order_accuracy": order}},
        "gfd": {"mean": gfd},
        "image": {"ssim": {"absent": "not drawn"}},
    }


def test_ranks_cards_of_one_protocol_whatever_the_system() -> None:
    rows = {row["figure"]: row for row in compare({"ours": card(0.9, 0.02), "theirs": card(0.8, 0.01)})}
    assert rows["ladder.width.order_accuracy"]["best"] == ["ours"]
    assert rows["gfd.mean"]["best"] == ["theirs"]
    assert rows["image.ssim"] == {
        "figure": "image.ssim",
        "values": {"ours": None, "theirs": None},
        "best": [],
    }


@pytest.mark.parametrize(
    ("coverage", "best", "thin"),
    [
        pytest.param((1.0, 0.33), [], {"theirs": 0.33}, id="a third"),
        pytest.param((0.82, 0.78), ["theirs"], None, id="about as many"),
        pytest.param((0.33, 1.0), ["theirs"], {"ours": 0.33}, id="more"),
    ],
)
def test_who_has_fewer_pictures_measured_is_not_the_best(
    coverage: tuple[float, float], best: list[str], thin: dict[str, float] | None
) -> None:
    """Of good pictures at the easy rungs and white elsewhere only the good ones have figures."""
    cards = {"ours": card(0.8, 0.02), "theirs": card(0.9, 0.01)}
    for judged, share in zip(cards.values(), coverage, strict=True):
        judged["gfd"] = judged["gfd"] | {"coverage": share}
        judged["lower"] = {"gfd": judged["gfd"]}
        judged["protocol"] = judged["protocol"] | {"lower": {"people": 24}}
    rows = {row["figure"]: row for row in compare(cards)}
    for figure in ("gfd.mean", "lower.gfd.mean"):
        assert (rows[figure]["best"], rows[figure].get("coverage")) == (best, thin)
    assert tuple(rows["gfd.coverage"]["values"].values()) == coverage
    assert rows["ladder.width.order_accuracy"]["best"] == ["theirs"], "a figure has its own coverage"


def test_refuses_to_rank_other_protocols_and_says_in_what_they_differ() -> None:
    with pytest.raises(ValueError, match=r"a and b differ in people: 24 against 12\n.* seed: 0 against 3"):
        compare({"a": card(0.9, 0.1), "b": card(0.8, 0.1, people=12, seed=3)})


def test_a_key_that_only_one_protocol_has_is_a_difference() -> None:
    assert protocol_differences({"seed": 0}, {"seed": 0, "resize": "area"}) == ["resize: None against 'area'"]


def test_reads_a_card_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(card(0.9, 0.1)))
    assert read_card(tmp_path) == read_card(tmp_path / "metrics.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ("{}", "has no `protocol`"), ('{"protocol": 3}', "has no `protocol`")],
    ids=["broken", "foreign", "number"],
)
def test_says_why_a_file_is_no_card(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_card(tmp_path)


def test_a_folder_hash_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = folder_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("no weight")
    assert folder_hash(tmp_path) == before
    (tmp_path / "config.json").write_text("{ }")
    assert folder_hash(tmp_path) != before
