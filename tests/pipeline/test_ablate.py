import pytest

from pipeline.cli.ablations import Variant, chosen_variants, markdown, variants
from preprocess.vocabulary import SIZE_RATIOS


def test_every_set_of_parts_is_tried_and_maps_with_both_controllers() -> None:
    names = [variant.name for variant in variants()]
    assert len(names) == len(set(names)) == 3 + 4 * 2
    assert {"tokens", "time", "tokens+time", "map (full)", "map (simple)"} <= set(names)
    assert names[-1] == "tokens+time+map (simple)"


def test_variants_are_chosen_by_the_name_in_the_table() -> None:
    assert chosen_variants(["map (simple)", "time"]) == [
        Variant(("map",), "simple"),
        Variant(("time",), "full"),
    ]
    assert chosen_variants([]) == list(variants())
    with pytest.raises(ValueError, match=r"one of 'tokens', .*'map \(full\)'.*; got map$"):
        chosen_variants(["map"])


def test_the_table_has_a_row_a_variant() -> None:
    figure = {"order_accuracy": 0.98765, "order_accuracy_ci95": (0.9, 1.0), "slope": None}
    name = Variant(("map",), "full").name
    table = markdown({name: dict.fromkeys(SIZE_RATIOS, figure)}, num_people=7, steps=300)
    lines = table.splitlines()
    assert lines[2] == "| map (full) | " + " | ".join(3 * ["0.988 (0.900 to 1.000)", "-"]) + " |"
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert "7 held-out people, 300 steps of `train_size`" in table
