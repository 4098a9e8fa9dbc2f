"""Speed and memory of scoring pictures, against merely decoding them and running the networks that judge.

    python -m tests.benchmarks.bench_evaluate fit [pictures] [height]     # measure ladders' pictures
    python -m tests.benchmarks.bench_evaluate image [pictures] [height]   # image metrics of pairs
    python -m tests.benchmarks.bench_evaluate memory [pictures]           # peak at a tenth, and at all

`fit` decodes, segments, measures and compares with the expected outlines; those are worked out once for all
methods that are judged, and are timed apart. `image` has LPIPS (AlexNet's shape with random weights, which
cost the same) and, where the extra `metrics` is installed, EfficientNet-Lite0. One thread, in
processor seconds.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from eval.images.fidelity import Truth
from eval.images.judges import Judges, efficientnet_lite0
from eval.images.lpips import TRUNKS, Lpips
from eval.images.meter import ImageMeter, to_tensor
from eval.ladder.people import Scene
from eval.ladder.scoring import Scorer, asked_cells, ladder_cells
from model.judges.segmenter import Segmenter, segment_with
from pipeline.evaluation.folder import GeneratedFolder, rung_name
from preprocess.pictures import read_picture
from preprocess.sources.params import PaperDollParams
from tests.benchmarks.peaks import held
from tests.eval.dolls import DollStudio
from tests.sizes import of_tops

DOLLS, RUNGS, BATCH = 4, 7, 32
VALUES = of_tops(np.linspace([0.9, 0.9, 0.6], [1.3, 1.7, 1.2], RUNGS)).T


def crowd(num_people: int, height: int) -> tuple[DollStudio, Scene]:
    """A few dolls under many keys."""
    studio = DollStudio(DOLLS, PaperDollParams(image_height=height, image_width=height * 3 // 4))
    rows = np.arange(num_people) % DOLLS
    arrays = ("photos", "cloths", "inpaint_masks", "garment_covers", "keypoints", "natural")
    changed = {name: getattr(studio.scene, name)[rows] for name in arrays}
    return studio, replace(studio.scene, keys=[f"{index:05d}" for index in range(num_people)], **changed)


def write_pictures(folder: Path, scene: Scene) -> list[Path]:
    """A PNG for every rung: the person's own photo."""
    paths = []
    for cell in asked_cells(ladder_cells(scene.natural, VALUES)):
        paths.append(folder / scene.keys[cell[0]] / f"{rung_name(cell)}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        cv2.imwrite(str(paths[-1]), scene.photos[cell[0]][..., ::-1])
    return paths


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work; it is done by one thread, so other programs don't change it much."""
    start = time.process_time()
    work()
    return time.process_time() - start


def fit(num_pictures: int, height: int) -> str:
    """Measure the pictures of ladders."""
    _, scene = crowd(-(-num_pictures // (3 * RUNGS)), height)
    segment = partial(segment_with, Segmenter().eval())
    scorer = Scorer(scene, segment, batch_size=32, num_points=256)
    requests = ladder_cells(scene.natural, VALUES)
    with tempfile.TemporaryDirectory() as name:
        paths = write_pictures(Path(name), scene)
        pictures = GeneratedFolder(Path(name), scene)

        def merely() -> None:
            for path in paths:
                segment(read_picture(path)[None], scene.cloths[:1])

        def prepare() -> None:
            for cell in asked_cells(requests):
                scorer.expected(cell[0], requests[cell])

        prepared = seconds(prepare)
        scored = seconds(lambda: scorer.score_found("fit", pictures.rung, requests))
        least = seconds(merely)
    return (
        f"{len(paths)} pictures of {height} rows: {len(paths) / scored:.1f}/s, decoding and segmenting alone "
        f"{len(paths) / least:.1f}/s: {least / scored:.2f}; with the expected outlines, which four methods "
        f"share, {least / (scored + prepared):.2f} on the first"
    )


def judges(folder: Path) -> Judges:
    """LPIPS with random weights of AlexNet's shape, and what is installed."""
    torch.manual_seed(0)
    weights = {f"features.{name}": value for name, value in TRUNKS["alex"]().layers.state_dict().items()}
    torch.save(weights, folder / "alex.pth")
    backbone = efficientnet_lite0()
    found = [] if backbone is None else [backbone]
    return Judges(lpips={"alex": Lpips("alex", folder / "alex.pth")}, backbones=found)


def image(num_pictures: int, height: int) -> str:
    """Compare pictures with photos."""
    _, scene = crowd(DOLLS, height)
    with tempfile.TemporaryDirectory() as name:
        networks = judges(Path(name))
        paths = write_pictures(Path(name), scene)
        files = [paths[index % len(paths)] for index in range(num_pictures)]
        meter = ImageMeter(networks, paired=True, seed=0)
        truth = Truth(
            photos=scene.photos,
            masks=scene.inpaint_masks,
            garments=scene.garment_masks,
            prints=[None] * len(scene.photos),
        )

        def compare() -> None:
            for start in range(0, num_pictures, BATCH):
                rows = np.arange(start, min(start + BATCH, num_pictures))
                pictures = np.stack([read_picture(files[row]) for row in rows])
                meter.update(pictures, truth.rows(rows % DOLLS))

        def merely() -> None:
            for index, file in enumerate(files):
                picture, photo = read_picture(file)[None], scene.photos[index % DOLLS][None]
                for seen in (picture, photo):
                    networks.lpips["alex"].activations(to_tensor(seen))
                    for backbone in networks.backbones:
                        backbone.features(seen), backbone.features(seen)  # whole, and inside the mask

        least, scored, finished = seconds(merely), seconds(compare), seconds(meter.section)
    names = ", ".join(["LPIPS-alex", *(backbone.figures[0] for backbone in networks.backbones)])
    return (
        f"{num_pictures} pictures of {height} rows with {names}: {num_pictures / scored:.1f}/s, decoding and "
        f"networks alone {num_pictures / least:.1f}/s: {least / scored:.2f}; the distances at the end take "
        f"{finished:.1f} s, whatever the number"
    )


def peak_mib(what: str, num_pictures: int, height: int) -> float:
    """Peak memory (MiB) of scoring, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_evaluate",
        what,
        str(num_pictures),
        str(height),
        "peak",
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def memory(num_pictures: int) -> str:
    """Peak memory at a tenth of the pictures and at all of them."""
    lines = []
    for what in ("fit", "image"):
        small, large = peak_mib(what, num_pictures // 10, 96), peak_mib(what, num_pictures, 96)
        lines.append(
            f"{what}: peak {small:.0f} MiB at {num_pictures // 10} pictures, {large:.0f} at {num_pictures}: "
            f"{large / small - 1:+.1%}"
        )
    return "\n".join(lines)


def main(what: str, *options: str) -> None:
    """Print one figure."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if what == "memory":
        sys.stdout.write(memory(int(options[0]) if options else 2000) + "\n")
        return
    run = {"fit": fit, "image": image}[what]
    numbers = [int(value) for value in options[:2]]
    sys.stdout.write(run(*numbers, *(2000, 512)[len(numbers) :]) + "\n")
    if "peak" in options:
        sys.stdout.write(f"{held('VmHWM')}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
