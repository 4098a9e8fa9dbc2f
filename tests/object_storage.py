"""A server that speaks S3, in this process, for the tests that want the real client."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BUCKET = "bucket"


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a server with one empty bucket, and yield fsspec's client of it.

    The environment tells of it in the usual variables, so that whoever opens `s3://` comes here.
    """
    server = pytest.importorskip("moto.server", reason="needs moto[s3], flask and flask-cors")
    s3fs = pytest.importorskip("s3fs", reason="needs the extra `remote`")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment = {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in (environment | {"DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(use_listings_cache=False)
    if files.exists(BUCKET):  # the servers of a process have one memory
        files.rm(BUCKET, recursive=True)
    files.mkdir(BUCKET)
    try:
        yield files
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        running.stop()


def upload(files: Any, folder: Path, name: str) -> str:
    """Put every file below a folder into the bucket; return the URL, with S3's protocol."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        files.put_file(str(path), f"{BUCKET}/{name}/{path.relative_to(folder).as_posix()}")
    return f"s3://{BUCKET}/{name}"
