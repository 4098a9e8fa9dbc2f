"""Mutated tars, records and indices: each ends in a clear error, or was read as it was written."""

import json
from pathlib import Path

import numpy as np
import pytest

from shards.reader import DamageError
from shards.sample import decode_record, encode_record
from shards.storage import LocalFolder
from shards.stream import SampleStream
from shards.ustar import END_OF_TAR, SampleError, header, unpack
from tests.shards.making import HEIGHT, WIDTH, record, samples, write_shards

JSON_VALUES = [
    None,
    True,
    -1,
    1e308,
    10**400,
    "x",
    "../../etc/passwd",
    [],
    [[]],
    {},
    {"a": 1},
    "\0",
    [None] * 25,
]


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, repeat, overwrite or swap parts of a file."""
    start, end = np.sort(rng.integers(0, len(content) + 1, 2))
    kind = rng.integers(5)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + content[start:end] * 2 + content[end:]
    if kind == 2:
        return content[:start] + bytes(end - start) + content[end:]
    if kind == 3:
        return content[:start] + rng.bytes(min(64, end - start)) + content[start + min(64, end - start) :]
    return content[end:] + content[start:end] + content[:start]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fuzz") / "shards"
    write_shards(samples(6), out, "train", 100)
    return out


def read_all(folder: Path) -> list[str]:
    stream = SampleStream(folder, batch_size=2, image_height=HEIGHT, image_width=WIDTH, seed=0, num_threads=0)
    return [key for batch in stream.epoch_batches() for key in batch.keys]


def test_mutated_tars_behind_an_index_are_noticed(folder: Path, tmp_path: Path) -> None:
    tar = next(folder.glob("*.tar"))
    content = tar.read_bytes()
    (tmp_path / "index.json").write_bytes((folder / "index.json").read_bytes())
    keys, end = read_all(folder), len(content) - len(END_OF_TAR)
    for seed in range(300):
        change = mutated(content, np.random.default_rng(seed))
        (tmp_path / tar.name).write_bytes(change)
        if change[:end] == content[:end]:
            assert read_all(tmp_path) == keys
            continue
        with pytest.raises(DamageError, match=tar.name):
            read_all(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", tar.name]


def test_mutated_samples_are_refused_by_name(folder: Path) -> None:
    content = next(folder.glob("*.tar")).read_bytes()
    entry = json.loads((folder / "index.json").read_text())["shards"][0]
    packed = content[: entry["sizes"][0]]
    messages = []
    for seed in range(200):
        try:
            unpack(entry["keys"][0], mutated(packed, np.random.default_rng(seed)))
        except SampleError as error:
            messages.append(str(error))
    assert len(messages) >= 100
    assert all(message.startswith(entry["keys"][0]) for message in messages)


def test_records_with_wrong_types_are_refused_by_name() -> None:
    good = json.loads(encode_record(record("a")))
    messages = []
    for name in good:
        for value in JSON_VALUES:
            try:
                decode_record("a", json.dumps(good | {name: value}).encode())
            except SampleError as error:
                messages.append(str(error))
    assert len(messages) >= 10 * len(good)
    assert all(message.startswith("a: size.json") for message in messages)


def test_mutated_indices_are_refused_or_read(folder: Path, tmp_path: Path) -> None:
    content = (folder / "index.json").read_bytes()
    messages = []
    for seed in range(150):
        (tmp_path / "index.json").write_bytes(mutated(content, np.random.default_rng(seed)))
        try:
            read_all(tmp_path)
        except (ValueError, DamageError) as error:
            messages.append(str(error))
    assert len(messages) >= 100
    assert all(
        "index" in message or "the shard train-000000.tar is missing" in message for message in messages
    )


@pytest.mark.parametrize("name", ["../evil.tar", "/etc/evil.tar", "a/b.tar", "..tar", "", 3, None])
def test_an_index_cannot_name_a_file_outside_its_folder(folder: Path, tmp_path: Path, name: object) -> None:
    index = json.loads((folder / "index.json").read_text())
    line = json.dumps(index["shards"][0] | {"name": name})
    lines = (folder / "index.json").read_text().splitlines()
    (tmp_path / "index.json").write_text("\n".join([lines[0], line, lines[-1], ""]))
    with pytest.raises(ValueError, match="isn't a valid index"):
        SampleStream(tmp_path, batch_size=1, image_height=8, image_width=8, seed=0)
    assert LocalFolder(tmp_path).index() == tmp_path / "index.json"


def test_a_member_that_claims_gigabytes_is_refused() -> None:
    with pytest.raises(SampleError, match=r"a: the member image.jpg is cut short"):
        unpack("a", header("a.image.jpg", 8**11 - 1) + b"x" * 512)
