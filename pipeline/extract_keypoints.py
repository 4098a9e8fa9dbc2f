"""DVC stage `extract_keypoints`: manifest.parquet -> keypoints.parquet."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.parts import Engine, open_engine
from pipeline.stage import run_stage
from pipeline.tables.incremental import Job, Row, Table, column, iter_manifest, update
from preprocess.body.bodypix import LONG_SIDE, PartDetector, of_wearer
from preprocess.body.keypoints import ExtractKeypointsParams, KeypointError, Keypoints
from preprocess.body.legs import HIPS
from preprocess.body.mediapipe import PoseDetector, detect_person
from preprocess.body.needs import needs_of, require_body
from preprocess.body.openpose import choose_person, read_people
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.identity import identity
from preprocess.pictures import PictureError, look_at, read_picture
from preprocess.places import refuse_lost
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import NUM_JOINTS, Category, RowStatus

SCHEMA_VERSION = "2"


SCHEMA = pa.schema(
    [
        column("key", pa.string()),
        column("split", pa.string()),
        column("status", pa.string()),
        column("reason", pa.string(), nullable=True),
        column("keypoint_source", pa.string()),
        column("keypoint_format", pa.string()),
        column("num_people", pa.int32()),
        column("image_width", pa.int32(), "px"),
        column("image_height", pa.int32(), "px"),
        column("keypoints", pa.list_(pa.float32(), 3 * NUM_JOINTS), "px, px, 1"),
        column("body_parts", pa.binary(), nullable=True),
        column("input_hash", pa.string()),
    ],
    metadata={"schema_version": SCHEMA_VERSION},
)
"""`keypoints` is x, y, confidence of each BODY_25 joint; NaN, NaN, 0 where it is missing. `body_parts` is a
grey PNG of BodyPix's parts by DensePose's numbers; null without a model, and where there is DensePose."""

SURE_HIPS = 0.7
"""Below this MediaPipe guesses the hips: its torsos come out 6 to 8 % longer than OpenPose's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointJob:
    """One sample and how to find its joints; travels to another process."""

    sample: ManifestRow
    """What the manifest says."""

    params: ExtractKeypointsParams
    """The stage's section."""


def run(params: ExtractKeypointsParams, *, manifest: Path, out: Path, engine: Engine | None = None) -> None:
    """Write one row of keypoints for every row of the manifest."""
    table = Table(
        out=out,
        schema=SCHEMA,
        jobs=partial(jobs, params, manifest),
        work=keypoint_row,
        digest=made_by(params),
        total=pq.read_metadata(manifest).num_rows,
    )
    try:
        update(table, engine or open_engine(workers=params.workers))
    finally:
        close_detector(str(params.mediapipe_model))
        part_detector.cache_clear()


def made_by(params: ExtractKeypointsParams) -> str:
    """Name the parameters, models and code that every row depends on."""
    models = {"mediapipe_model": params.mediapipe_model, "bodypix_model": params.bodypix_model}
    own = {**asdict(params), "workers": 0, **{name: model is not None for name, model in models.items()}}
    return identity(
        "pipeline.extract_keypoints", own, [Path(model) for model in models.values() if model is not None]
    )


def jobs(params: ExtractKeypointsParams, manifest: Path) -> Iterator[Job]:
    """Yield the work of every sample."""
    for sample in iter_manifest(manifest):
        yield Job.of(sample, KeypointJob(sample=sample, params=params))


def keypoint_row(job: KeypointJob) -> Row:
    """Turn a sample into one row of `SCHEMA`; whatever goes wrong with the sample becomes its reason.

    Raises:
        StorageError: A file that the manifest has read can't be read here.
    """
    sample = job.sample
    row: Row = {
        "key": sample.key,
        "split": sample.split,
        "num_people": 0,
        "image_width": 0,
        "image_height": 0,
        "body_parts": None,
        "input_hash": sample.input_hash,
    }
    reasons: list[str] = []
    found = Keypoints.missing()
    try:
        if sample.status is RowStatus.FAILED:
            raise KeypointError(sample.reason or "failed_in_manifest")
        photo = look_at(sample.image, beside=sample.maps())
        row["image_width"], row["image_height"] = photo.image_width, photo.image_height
        found, row["num_people"], reasons = find_person(job, photo.image_width, photo.image_height)
        require_body(found, sample.category)
        row["body_parts"] = body_parts(job, found, photo.image_width)
        status = RowStatus.SUSPECT if reasons else RowStatus.OK
    except KeypointError as problem:
        status, reasons = RowStatus.FAILED, [str(problem)]
    except PictureError as problem:
        status, reasons = RowStatus.FAILED, [f"image_unreadable: {problem.problem}"]
    except OSError as problem:
        refuse_lost(problem)
        status, reasons = RowStatus.FAILED, ["image_unreadable"]
    return row | {
        "status": str(status),
        "reason": "; ".join(reasons) or None,
        "keypoint_source": found.source,
        "keypoint_format": found.format,
        "keypoints": found.flat(),
    }


def find_person(job: KeypointJob, width: int, height: int) -> tuple[Keypoints, int, list[str]]:
    """Find the wearer: OpenPose's JSON first, MediaPipe where that is missing or unusable.

    Returns:
        The keypoints, how many people there are, and what makes them doubtful.

    Raises:
        KeypointError: Neither finds a person; the reason of each.
    """
    try:
        people = read_json(job, width, height)
        person = choose_person(people, width, height, garment_of(job) if len(people) > 1 else None)
        if job.params.mediapipe_model is not None:
            require_body(person, job.sample.category)  # unusable without: let MediaPipe try
    except KeypointError as problem:
        if job.params.mediapipe_model is None:
            raise
        person, people = from_photo(job, problem), []
    doubts = ["several_people"] if len(people) > 1 else []
    if person.source == "mediapipe" and person.confidence[list(HIPS)].min() < SURE_HIPS:
        doubts.append("unsure_hips")
    return person, max(1, len(people)), doubts + outside_frame(person, width, height, job.sample.category)


def read_json(job: KeypointJob, width: int, height: int) -> list[Keypoints]:
    """Read everybody in the sample's JSON."""
    if job.sample.openpose_json is None:
        raise KeypointError("no_openpose_json")
    try:
        return read_people(job.sample.openpose_json, width, height, min_confidence=job.params.min_confidence)
    except KeypointError as problem:
        refuse_lost(problem.__cause__)
        raise


def garment_of(job: KeypointJob) -> Any:
    """Load the worn garment's mask, which tells several people apart; None where there is none."""
    if job.sample.parse is None:
        return None
    try:
        return garment_mask(load_parse(job.sample.parse, job.sample.parse_labels), job.sample.category)
    except (OSError, ValueError) as error:
        refuse_lost(error)
        return None


def from_photo(job: KeypointJob, problem: KeypointError) -> Keypoints:
    """Look for the person in the photo itself, since the JSON had a `problem`."""
    detector = pose_detector(str(job.params.mediapipe_model))
    try:
        photo = read_picture(job.sample.image, beside=job.sample.maps())
        return detect_person(detector, photo, job.params.min_confidence)
    except KeypointError as error:
        raise KeypointError(f"{problem}; {error}") from error


def body_parts(job: KeypointJob, person: Keypoints, image_width: int) -> bytes | None:
    """Find the parts of a person's body, as a PNG; None without a model, and where nothing asks for them."""
    asked = needs_of(job.sample.category).sleeves and job.sample.densepose is None
    if job.params.bodypix_model is None or not asked:
        return None
    photo = read_picture(job.sample.image, beside=job.sample.maps(), at_least=LONG_SIDE)
    parts = part_detector(job.params.bodypix_model).detect(photo)
    return bytes(cv2.imencode(".png", of_wearer(parts, person, image_width))[1])


@cache
def part_detector(model: str) -> PartDetector:
    """One detector a process."""
    return PartDetector(Path(model))


@cache
def pose_detector(model: str) -> PoseDetector:
    """One detector a process: loading it takes longer than using it."""
    detector = PoseDetector(Path(model))
    Finalize(None, close_detector, args=(model,), exitpriority=1)
    return detector


def close_detector(model: str) -> None:
    """Close this process's detector, if it has one."""
    if pose_detector.cache_info().currsize:
        pose_detector(model).close()
        pose_detector.cache_clear()


def outside_frame(person: Keypoints, width: int, height: int, category: Category) -> list[str]:
    """Say whether a joint that measuring looks at lies outside the picture."""
    xy = person.xy[list(needs_of(category).inside)]
    with np.errstate(invalid="ignore"):
        outside = ((xy < 0) | (xy > (width, height))).any()
    return ["joint_out_of_frame"] if outside else []


if __name__ == "__main__":
    run_stage("extract_keypoints", run)
