"""Compare MediaPipe's trunk with OpenPose's on real photos: the calibration, and what remains on unseen ones.

    python -m tests.benchmarks.measure_mediapipe [MODEL.task]

Needs the shared VITON-HD photos (CINDERELLA_SHARED). Factors are cut on every other photo, the rest scored.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from preprocess.body.keypoints import BodyFrame, KeypointError
from preprocess.body.mediapipe import PoseDetector, calibrate
from preprocess.body.openpose import read_openpose
from tests.shared_data import shared_data

SURE_HIPS = 0.7


def trunks(model: Path) -> np.ndarray:
    """(N, 2 calibrated or not, 2) MediaPipe's B and T over OpenPose's; NaN where either finds no trunk."""
    folder = shared_data() / "data/vitonhd_pose/test"
    with PoseDetector(model) as detector:
        return compare(folder, detector)


def compare(folder: Path, detector: PoseDetector) -> np.ndarray:
    """Compare on each photo of `folder`; see `trunks`."""
    rows = []
    for photo in sorted((folder / "image").glob("*.jpg")):
        try:
            truth = BodyFrame.from_keypoints(
                read_openpose(folder / "openpose_json" / f"{photo.stem}_keypoints.json", 768, 1024)
            )
            found = detector.detect(np.asarray(Image.open(photo).convert("RGB")))
            if found.confidence[[9, 12]].min() < SURE_HIPS:
                raise KeypointError("unsure_hips")
            frames = [BodyFrame.from_keypoints(person) for person in (found, calibrate(found))]
            rows.append(
                [
                    [f.shoulder_width / truth.shoulder_width, f.torso_length / truth.torso_length]
                    for f in frames
                ]
            )
        except KeypointError:
            rows.append([[np.nan] * 2] * 2)
    return np.array(rows)


def main() -> None:
    """Print the factors and the figures of the unseen half."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else shared_data() / "models/pose_landmarker_full.task"
    ratios = trunks(model)
    factors = np.nanmedian(ratios[::2, 0], axis=0)
    print(f"factors on {len(ratios[::2])} photos: B {factors[0]:.4f}, T {factors[1]:.4f}")  # noqa: T201
    unseen = ratios[1::2, 1]
    for name, ratio in zip("BT", unseen.T, strict=True):
        ratio = ratio[np.isfinite(ratio)]
        print(  # noqa: T201
            f"{name}: unseen photos {len(unseen)}, ok {len(ratio)}, median bias {np.median(ratio) - 1:+.1%}, "
            f"median absolute difference {np.median(np.abs(ratio - 1)):.1%}"
        )


if __name__ == "__main__":
    main()
