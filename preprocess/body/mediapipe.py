"""Find joints in a photo with MediaPipe's pose landmarker, for pictures without usable OpenPose JSON."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.body.keypoints import KeypointError, Keypoints, from_mediapipe_33
from preprocess.vocabulary import Joint

SHOULDERS_OF_OPENPOSE, TORSO_OF_OPENPOSE = 1.0255, 0.9964
"""Median of MediaPipe's shoulder width and torso length over OpenPose's, on every other photo of the 144
VITON-HD ones with both. `python -m tests.benchmarks.measure_mediapipe` prints them."""


class PoseDetector:
    """MediaPipe's pose landmarker. Close it before the process ends: MediaPipe can't, later."""

    def __init__(self, model: Path) -> None:
        """Load the `.task` file `model`.

        Raises:
            FileNotFoundError: There is no such file.
        """
        if not model.is_file():
            raise FileNotFoundError(
                f"{model} not found: run `cinderella fetch-models`, or set "
                "extract_keypoints.mediapipe_model to a pose landmarker (.task), or to null"
            )
        import mediapipe as mp  # heavy, and only needed here

        options = mp.tasks.vision.PoseLandmarkerOptions(
            base_options=mp.tasks.BaseOptions(model_asset_path=str(model)), num_poses=1
        )
        self._image = mp.Image
        self._rgb = mp.ImageFormat.SRGB
        self._landmarker: Any = mp.tasks.vision.PoseLandmarker.create_from_options(options)

    def detect(self, picture: NDArray[np.uint8]) -> Keypoints:
        """Find the person in an (H, W, 3) RGB picture, as MediaPipe places the joints.

        Raises:
            KeypointError: MediaPipe finds nobody.
        """
        found = self._landmarker.detect(
            self._image(image_format=self._rgb, data=np.ascontiguousarray(picture))
        )
        if not found.pose_landmarks:
            raise KeypointError("no_person_detected")
        landmarks = found.pose_landmarks[0]
        size = np.array([picture.shape[1], picture.shape[0]])
        xy = np.array([[mark.x, mark.y] for mark in landmarks]) * size
        confidence = np.array([min(mark.visibility or 0.0, mark.presence or 0.0) for mark in landmarks])
        return from_mediapipe_33(xy, confidence)

    def close(self) -> None:
        """Free what MediaPipe holds."""
        self._landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def detect_person(detector: PoseDetector, path: Path, min_confidence: float) -> Keypoints:
    """Find the person in a photo, calibrated to OpenPose's joints; joints below `min_confidence` are missing.

    Raises:
        KeypointError: MediaPipe finds nobody.
        OSError: The photo can't be decoded.
    """
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    keypoints = calibrate(detector.detect(rgb))
    return keypoints.without(~(keypoints.confidence >= min_confidence))


def calibrate(keypoints: Keypoints) -> Keypoints:
    """Move MediaPipe's trunk joints to where OpenPose would put them, in the median.

    Shoulders move along their own line, hips along the torso; what else differs between the detectors is
    scatter (`tests/benchmarks/measure_mediapipe.py` measures both, the scatter on unseen photos).
    """
    trunk = (Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER, Joint.RIGHT_HIP, Joint.LEFT_HIP)
    if not keypoints.has(*trunk):
        return keypoints
    xy = keypoints.xy.copy()
    shoulders, hips = xy[list(trunk[:2])], xy[list(trunk[2:])]
    shoulder_mid, hip_mid = shoulders.mean(axis=0), hips.mean(axis=0)
    moved = (hip_mid - shoulder_mid) * (1 / TORSO_OF_OPENPOSE - 1)
    xy[list(trunk[:2])] = shoulder_mid + (shoulders - shoulder_mid) / SHOULDERS_OF_OPENPOSE
    xy[list(trunk[2:])] = hips + moved
    xy[Joint.MID_HIP] = hip_mid + moved
    return replace(keypoints, xy=xy)
