"""`cinderella demo`: serve a page on which sizes are tried on.

No analytics, no share link, no fonts or scripts from elsewhere. Uploads lie in a private folder until they
are read, pictures for a quarter of an hour, and nothing of it outlives the command.
"""

import logging
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from accelerate.utils import patch_environment

from pipeline.demo.visit import FittingRoom, read_examples
from pipeline.tryon.loading import load_tryon
from preprocess.sizes.centimetres import GarmentMeasures
from preprocess.sizes.chart import SizeChart
from preprocess.vocabulary import Category

if TYPE_CHECKING:
    from pipeline.demo.answers import Answers

log = logging.getLogger(__name__)

ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SHARE": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Read by Gradio when it is imported or launched; the user's own settings don't count here."""

SWEEP_EVERY = 60.0
"""Seconds between looks for files that are due to be deleted."""

EXAMPLE_CHART = SizeChart(
    sizes={
        "S": GarmentMeasures(chest_cm=96, shoulder_cm=43, length_cm=68),
        "M": GarmentMeasures(chest_cm=102, shoulder_cm=44.5, length_cm=70),
        "L": GarmentMeasures(chest_cm=110, shoulder_cm=46.5, length_cm=72),
        "XL": GarmentMeasures(chest_cm=118, shoulder_cm=48.5, length_cm=74),
    }
)
"""A T-shirt, where no chart is given."""

OTHER_CHARTS = {
    Category.UPPER: EXAMPLE_CHART,
    Category.LOWER: SizeChart(
        category=Category.LOWER,
        sizes={
            "S": GarmentMeasures(waist_cm=78, hip_cm=100, inseam_cm=76),
            "M": GarmentMeasures(waist_cm=86, hip_cm=106, inseam_cm=78),
            "L": GarmentMeasures(waist_cm=94, hip_cm=113, inseam_cm=80),
            "XL": GarmentMeasures(waist_cm=102, hip_cm=120, inseam_cm=81),
        },
    ),
    Category.DRESS: SizeChart(
        category=Category.DRESS,
        sizes={
            "S": GarmentMeasures(chest_cm=92, shoulder_cm=38, length_cm=102),
            "M": GarmentMeasures(chest_cm=98, shoulder_cm=39.5, length_cm=104),
            "L": GarmentMeasures(chest_cm=106, shoulder_cm=41.5, length_cm=106),
            "XL": GarmentMeasures(chest_cm=114, shoulder_cm=43.5, length_cm=108),
        },
    ),
}
"""Of what the chart isn't of: a T-shirt, trousers and a dress."""


def serve(
    model: Path, manifest: Path, chart: Path | None, *, host: str, port: int, num_examples: int
) -> None:
    """Serve the demo until it is interrupted.

    Examples are of the test split: so many people, and as many garments, of each category. Without a chart
    the sizes are `EXAMPLE_CHART`.

    Raises:
        FileNotFoundError: Networks or examples are missing.
        ValueError: The chart isn't one.
        OSError: The port is taken.
    """
    sizes = SizeChart.read(chart) if chart else EXAMPLE_CHART
    people, garments = read_examples(manifest, num_examples)
    room = FittingRoom(load_tryon(model), people, garments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the private folder goes then, too
    with serving(room, sizes, host=host, port=port) as address, suppress(KeyboardInterrupt):
        log.info("%s; Ctrl-C ends it", address)
        Event().wait()


@contextmanager
def serving(room: FittingRoom, chart: SizeChart, *, host: str, port: int | None) -> Iterator[str]:
    """Serve a fitting room from threads; what was stored is gone at the end.

    Without a port a free one is taken.

    Yields:
        The page's URL.
    """
    with (
        tempfile.TemporaryDirectory(prefix="cinderella-") as private,
        patch_environment(**ENVIRONMENT, GRADIO_TEMP_DIR=private),
    ):
        from pipeline.demo import page as demo_page
        from pipeline.demo.answers import Answers

        answers = Answers(room, chart, OTHER_CHARTS)
        page = demo_page.build_page(answers)
        over = Event()
        Thread(target=keep_forgetting, args=(answers, Path(private), over), daemon=True).start()
        try:
            yield demo_page.launch(page, host, port)
        finally:
            over.set()
            page.close(verbose=False)


def keep_forgetting(answers: "Answers", private: Path, over: Event) -> None:
    """Delete uploads that were read every `SWEEP_EVERY` seconds, and what Gradio leaves behind."""
    while not over.wait(SWEEP_EVERY):
        answers.uploads.delete_read()
        remove_remains(private)


def remove_remains(private: Path) -> None:
    """Remove empty files and folders that are old; Gradio leaves some of each behind."""
    now = time.time()
    for entry in private.iterdir():
        with suppress(OSError):  # in use again, or already gone
            if now - entry.lstat().st_mtime < SWEEP_EVERY:
                continue
            if entry.is_dir():
                entry.rmdir()
            elif entry.lstat().st_size == 0:
                entry.unlink()
