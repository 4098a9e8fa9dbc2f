"""How an evaluation measures, written down: what must agree before figures of two systems are compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.images.fidelity import KEPT
from eval.images.judges import Judges
from eval.ladder.people import Scene
from eval.params import EvaluateParams
from eval.report.card import file_hash, folder_hash, text_hash
from eval.report.data_summary import CategorySizes, DataSummary
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import Category
from shards.index import MASK, ShardIndex


def protocol(
    params: EvaluateParams,
    *,
    index: ShardIndex,
    segmenter: Path,
    scene: Scene,
    values: Mapping[Category, NDArray[np.float64]],
    data: DataSummary,
    judges: Judges,
) -> dict[str, Any]:
    """Write down how is measured; `values` are by category, (A, R), what each ratio is asked to be.

    Returns:
        `protocol` of metrics.json without the judged system.
    """
    first, *others = (
        ladder_protocol(scene, category, own, data.sizes[category]) for category, own in values.items()
    )
    return {
        **{told["category"]: told for told in others},
        **first,
        "data": data.source or "unknown",
        "split": "test",
        "pairing": "ladders: each person in the garment of the photo; unpaired: in another's",
        "image_people": params.num_image_people or "all of the split",
        "index_hash": file_hash(index.path),
        MASK: index.header.get(MASK),
        "image_height": scene.photos.shape[1],
        "image_width": scene.photos.shape[2],
        "image_sizes": [f"{height}x{width}" for height, width in params.image_sizes],
        "resize": "JPEG decoded at a DCT scale, then area",
        "repaint": "photo outside the inpainting mask, seam inside",
        "rungs": params.num_rungs,
        "segmenter_hash": folder_hash(segmenter),
        "measured_by": "the segmenter's mask and the picture's edges",
        "measured_height": params.measured_height,
        "boundary_points": params.num_boundary_points,
        "ssim": "Gaussian window 11x11, sigma 1.5, equal to torchmetrics",
        "inside_mask": "pixels of the inpainting mask; features see grey elsewhere",
        "garment": "pixels of the worn garment's mask; CIEDE2000 by scikit-image",
        "print_kept": f"correlation with the doll's print of {KEPT} or more, the doll without it subtracted",
        "counterfactual": "width ladders beside dolls drawn again at these ratios, in the same garment",
        "backbones": dict(judges.hashes),
        "bootstrap": params.num_bootstrap,
        "seed": params.seed,
    }


def ladder_protocol(
    scene: Scene, category: Category, values: NDArray[np.float64], sizes: CategorySizes
) -> dict[str, Any]:
    """Write down who stands on the ladders of a category, and where these begin and end."""
    keys = [scene.keys[person] for person in scene.wearers(category)]
    ends = [dict(zip(AXIS_NAMES, values[:, end].tolist(), strict=True)) for end in (0, -1)]
    return {
        "category": str(category),
        "people": len(keys),
        "people_hash": text_hash(keys),
        "ladder_from": {name: value for name, value in ends[0].items() if np.isfinite(value)},
        "ladder_to": {name: value for name, value in ends[1].items() if np.isfinite(value)},
        "ladder_range_of": f"{sizes.trusted_split} split",
        "fit_label_thresholds": sizes.thresholds.tolist(),
    }
