from pipeline.ablate import Variant, markdown, variants
from preprocess.vocabulary import SIZE_RATIOS


def test_every_set_of_parts_is_tried_and_maps_with_both_controllers() -> None:
    names = [variant.name for variant in variants()]
    assert len(names) == len(set(names)) == 3 + 4 * 2
    assert {"tokens", "time", "tokens+time", "map (full)", "map (simple)"} <= set(names)
    assert names[-1] == "tokens+time+map (simple)"


def test_the_table_has_a_row_a_variant() -> None:
    figure = {"order_accuracy": 0.98765, "slope": 0.5, "mae": 0.1}
    name = Variant(("map",), "full").name
    table = markdown({name: dict.fromkeys(SIZE_RATIOS, figure)}, num_people=7)
    lines = table.splitlines()
    assert lines[2] == "| map (full) | " + " | ".join(3 * ["0.988", "0.500", "0.100"]) + " |"
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert "7 held-out people" in table
