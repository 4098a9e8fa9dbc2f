"""Does `cinderella evaluate --generated` rank pictures as it must? On dolls, whose truth can be drawn.

    python -m tests.benchmarks.rank_folders ARTIFACTS [people] [rungs]

ARTIFACTS has shards/, size_annotations.parquet and base/ of the embedded default. Three folders are written
and scored: the doll drawn at every requested size (*truth*), the photo for every request (*natural*), and the
doll drawn one rung too large along the ratio that is asked for (*one size off*).
"""

import csv
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.report.card import compare
from pipeline.evaluation.generated import evaluate_generated, request_pictures
from pipeline.params import load_params
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.paper_dolls.sample import DollSample, doll_sample, render_sample

Ratios = NDArray[np.float64]


def write_folder(
    folder: Path, rows: list[dict[str, str]], size: Callable[[str, Ratios, Ratios], Ratios]
) -> None:
    """Draw every wanted picture at the ratios that `size` makes of its name, request and natural ratios."""
    params = load_params(Path("params.yaml")).prepare_dataset.paper_dolls
    dolls: dict[str, DollSample] = {}
    for index in range(params.test):
        doll = doll_sample(params, "test", index)
        dolls[doll.key] = doll
    natural = {
        row["file"].split("/")[0]: ratios_of(row) for row in rows if row["file"].endswith("/natural.png")
    }
    for row in rows:
        key, name = row["file"].removesuffix(".png").split("/")
        if name.startswith("unpaired") or (name == "natural" and key not in wanted_people(rows)):
            continue
        drawn = render_sample(params, dolls[key], size(name, ratios_of(row), natural[key]))
        (folder / key).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / row["file"]), drawn.image[..., ::-1])


def wanted_people(rows: list[dict[str, str]]) -> set[str]:
    """Who stands on the ladders."""
    return {row["file"].split("/")[0] for row in rows if "/width-" in row["file"]}


def ratios_of(row: dict[str, str]) -> Ratios:
    """The requested ratios of a row of the CSV."""
    return np.array([float(row[f"{name}_ratio"] or "nan") for name in AXIS_NAMES])


def main(artifacts: Path, num_people: int, num_rungs: int) -> None:
    """Write, score and rank the three folders."""
    params = replace(
        load_params(Path("params.yaml")).evaluate_tryon,
        num_people=num_people,
        num_rungs=num_rungs,
        num_image_people=2 * num_people,  # not all of the first can be measured
        num_bootstrap=200,
    )
    inputs = {
        "shards": artifacts / "shards",
        "size_annotations": artifacts / "size_annotations.parquet",
        "base": artifacts / "base",
    }
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        request_pictures(params, **inputs, out=work / "requests.csv")
        rows = list(csv.DictReader((work / "requests.csv").open()))
        asked = {row["file"].split("/")[1]: ratios_of(row) for row in rows}
        step = np.array([(asked[f"{n}-1.png"] - asked[f"{n}-0.png"])[i] for i, n in enumerate(AXIS_NAMES)])

        def one_size_off(rung: str, wanted: Ratios, _: Ratios) -> Ratios:
            return wanted + step * (np.array(AXIS_NAMES) == rung.split("-")[0])

        systems: dict[str, Callable[[str, Ratios, Ratios], Ratios]] = {
            "truth": lambda _, wanted, __: wanted,
            "natural": lambda _, __, worn: worn,
            "one size off": one_size_off,
        }
        cards = {}
        for system, size in systems.items():
            write_folder(work / system, rows, size)
            out = work / f"{system} report"
            cards[system] = evaluate_generated(params, **inputs, generated=work / system, out=out)
    for row in compare(cards):
        figures = "  ".join(
            f"{name} {'-' if value is None else format(value, '.4f')}"
            for name, value in row["values"].items()
        )
        sys.stdout.write(f"{row['figure']:32s} {figures}  best: {', '.join(row['best'])}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(value) for value in (*sys.argv[2:4], *("6", "4")[len(sys.argv) - 2 :])))
