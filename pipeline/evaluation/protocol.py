"""Under which protocol figures are taken: what must agree before those of two systems may be compared."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.images.meter import Judges
from eval.params import EvaluateParams
from eval.report.card import file_hash, folder_hash, text_hash
from eval.report.data_summary import DataSummary
from preprocess.sizes.axes import AXIS_NAMES
from shards.batch import Batch


def protocol(
    params: EvaluateParams,
    *,
    index: Path,
    segmenter: Path,
    people: Batch,
    values: NDArray[np.float64],
    data: DataSummary,
    judges: Judges,
) -> dict[str, Any]:
    """Write down how is measured.

    Args:
        params: Rungs, points, bootstrap, seed.
        index: index.json of the split.
        segmenter: Folder of the network that finds garments.
        people: On the ladders.
        values: (A, R) what each ratio is asked to be.
        data: Where the ladders' range and the fit labels come from.
        judges: Networks of the image metrics.

    Returns:
        `protocol` of metrics.json without the judged system.
    """
    ends = [dict(zip(AXIS_NAMES, values[:, end].tolist(), strict=True)) for end in (0, -1)]
    return {
        "data": data.source or "unknown",
        "split": "test",
        "pairing": "ladders: each person in the garment of the photo; unpaired: in another's",
        "people": len(people),
        "people_hash": text_hash(people.keys),
        "image_people": params.num_image_people or "all of the split",
        "index_hash": file_hash(index),
        "image_height": people.image.shape[1],
        "image_width": people.image.shape[2],
        "image_sizes": [f"{height}x{width}" for height, width in params.image_sizes],
        "resize": "JPEG decoded at a DCT scale, then area",
        "repaint": "photo outside the inpainting mask, seam inside",
        "ladder_from": {name: value for name, value in ends[0].items() if np.isfinite(value)},
        "ladder_to": {name: value for name, value in ends[1].items() if np.isfinite(value)},
        "ladder_range_of": f"{data.trusted_split} split",
        "fit_label_thresholds": data.thresholds.tolist(),
        "rungs": params.num_rungs,
        "segmenter_hash": folder_hash(segmenter),
        "measured_height": params.measured_height,
        "boundary_points": params.num_boundary_points,
        "ssim": "Gaussian window 11x11, sigma 1.5, equal to torchmetrics",
        "inside_mask": "pixels of the inpainting mask; features see grey elsewhere",
        "backbones": dict(judges.hashes),
        "bootstrap": params.num_bootstrap,
        "seed": params.seed,
    }
