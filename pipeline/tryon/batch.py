"""Try garments on many people: what is finished is kept, what fails is reported, the rest goes on."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from tqdm import tqdm

from model.params import DrawingOptions
from pipeline.tryon.outfits import Fitting, require_key
from pipeline.tryon.pictures import FIT_FILE, write_fitting
from pipeline.tryon.size_aware import SizeAwareTryOn
from pipeline.tryon.size_list import NamedSize
from preprocess.identity import Input, identity
from preprocess.whole import whole_file

log = logging.getLogger(__name__)

RESULTS_FILE = "results.jsonl"
"""A line for every row: key, status (`drawn`, `kept` or `failed`), reason, summaries by size."""


def write_fittings(
    tryon: SizeAwareTryOn,
    fittings: Iterable[Fitting],
    sizes: Sequence[NamedSize],
    options: DrawingOptions,
    out: Path,
    *,
    clamp: bool = False,
    total: int | None = None,
) -> Counter[str]:
    """Try a garment on everyone, each into a folder of `out` named by the key.

    A row whose `fit.json` was made from the same files, sizes, options, networks and code is kept as it is.

    Args:
        tryon: Loaded networks.
        fittings: The rows.
        sizes: What is asked of everyone; one that a row's category can't be asked fails that row.
        options: How they are drawn.
        out: Folder.
        clamp: Move sizes out of range to the nearest one, with a warning, instead of refusing them.
        total: How many rows there are, for the progress bar.

    Returns:
        Counts by status.
    """
    out.mkdir(parents=True, exist_ok=True)
    setting = setting_digest(tryon, sizes, options, clamp)
    seen: set[str] = set()
    rows = []
    for fitting in tqdm(fittings, total=total, desc="try-on", unit="person", disable=None):
        row = one_row(tryon, fitting, sizes, options, clamp, out, setting, seen)
        rows.append(row)
        if row["status"] == "failed":
            log.warning("%s: %s", row["key"], row["reason"])
    with whole_file(out / RESULTS_FILE) as partial:
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Counter(row["status"] for row in rows)


def one_row(
    tryon: SizeAwareTryOn,
    fitting: Fitting,
    sizes: Sequence[NamedSize],
    options: DrawingOptions,
    clamp: bool,
    out: Path,
    setting: str,
    seen: set[str],
) -> dict[str, Any]:
    """Draw one row, unless that has been done; whatever is wrong with it becomes its reason."""
    try:
        folder = out / require_key(fitting.key)
        if fitting.key in seen:
            raise ValueError("the key is there twice")
        seen.add(fitting.key)
        digest = xxhash.xxh3_128_hexdigest(f"{setting} {fitting.digest()}".encode())
        report, status = finished(folder / FIT_FILE, digest), "kept"
        if report is None:
            person, garment, caption = fitting.load(tryon)
            report = write_fitting(
                tryon,
                person,
                garment,
                [size.of_category(person.category) for size in sizes],
                options,
                folder,
                clamp=clamp,
                caption=caption,
                facts={"digest": digest},
            )
            status = "drawn"
    except (ValueError, OSError) as error:
        return {"key": fitting.key, "status": "failed", "reason": str(error)}
    summaries = {entry["size"]: entry["summary"] for entry in report["sizes"]}
    return {"key": fitting.key, "status": status, "reason": None, "fit": summaries}


def finished(path: Path, digest: str) -> dict[str, Any] | None:
    """Return the `fit.json` at `path` if it was made from the same things, else None."""
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and report.get("digest") == digest else None


def setting_digest(
    tryon: SizeAwareTryOn, sizes: Sequence[NamedSize], options: DrawingOptions, clamp: bool
) -> str:
    """Return the identity of what all rows share: sizes, options, the networks that find, draw and measure.

    Of what saves memory only tiles change a picture, beside the type of the weights. The pose model counts
    for all, also for those whose joints are given.
    """

    def networks_used() -> Iterator[Input]:
        if tryon.pose_model.is_file():
            yield tryon.pose_model
        for networks in (tryon.adapter, tryon.base, tryon.segmenter):
            for weight in networks.state_dict().values() if networks is not None else ():
                yield weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()

    seen = (tryon.image_height, tryon.image_width, tryon.mask)
    params = (list(sizes), options, clamp, seen, tryon.memory.vae_tiling)
    return identity("pipeline.tryon.pictures", params, networks_used())
