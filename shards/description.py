"""What a batch of encodings knows beside them, in a tensor of fixed size a sample.

Reading it takes a copy, where parsing a record takes as long as reading all encodings of the sample.
"""

import numpy as np
from numpy.typing import NDArray

from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS, RowStatus
from shards.ustar import SampleError

TENSOR = "description"
"""Its name beside the encodings."""

MAX_CAPTION_BYTES = 512

DESCRIPTION = np.dtype(
    [
        ("ratios", "<f4", len(AXIS_NAMES)),
        ("keypoints", "<f4", (NUM_JOINTS, 3)),
        ("fit_label", "i1"),
        ("status", "i1"),
        ("caption", f"S{MAX_CAPTION_BYTES}"),
    ]
)
"""As in a batch of pictures: ratios, keypoints, place in `FIT_LABELS` or -1, place in `RowStatus`, UTF-8."""

_STATUSES = tuple(str(status) for status in RowStatus)
_LABELS = (*FIT_LABELS, None)  # the last stands at -1


def description(
    ratios: NDArray[np.float32],
    keypoints: NDArray[np.float32],
    fit_label: str | None,
    status: str,
    caption: str,
) -> NDArray[np.uint8]:
    """Return the description of a sample as (N,) bytes.

    Raises:
        SampleError: The caption is too long, or ends in a null character.
    """
    text = caption.encode()
    if len(text) > MAX_CAPTION_BYTES or text.endswith(b"\0"):
        raise SampleError(
            f"a caption must have at most {MAX_CAPTION_BYTES} bytes, got {len(text)}: shorten it"
        )
    one = np.zeros(1, DESCRIPTION)
    label = -1 if fit_label is None else FIT_LABELS.index(fit_label)
    one[0] = (ratios, keypoints, label, _STATUSES.index(status), text)
    return one.view(np.uint8)


def texts(described: NDArray[np.void]) -> tuple[list[str | None], list[str], list[str]]:
    """Return fit labels, statuses and captions of (B,) descriptions.

    Raises:
        SampleError: There is an unknown label or status, or a caption isn't UTF-8.
    """
    labels, statuses = described["fit_label"].tolist(), described["status"].tolist()
    try:
        captions = [text.decode() for text in described["caption"].tolist()]
    except UnicodeDecodeError as error:
        raise SampleError(f"a description has no valid caption: {error}") from error
    if not (set(labels) <= set(range(-1, len(FIT_LABELS))) and set(statuses) <= set(range(len(_STATUSES)))):
        raise SampleError(f"a description has an unknown label or status, got {labels} and {statuses}")
    return [_LABELS[label] for label in labels], [_STATUSES[status] for status in statuses], captions
