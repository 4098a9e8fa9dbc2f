"""A store in memory whose requests fail as often as a test wants."""

from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

FAILS_ALWAYS = 1_000_000


class Flaky(MemoryFileSystem):
    """Fails `failures` requests for each object before one works; half an upload is nothing at all."""

    protocol = "flaky"
    store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's own is one for the whole process, too
    pseudo_dirs = [""]  # noqa: RUF012
    failures = 0
    failed: dict[str, int] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://"))

    @classmethod
    def restart(cls, failures: int = 0) -> None:
        """Forget all objects, and fail so often from now on."""
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.break_down(failures)

    @classmethod
    def break_down(cls, failures: int) -> None:
        """Fail so often for each object from now on."""
        cls.failures = failures
        cls.failed.clear()
        cls.asked.clear()

    def request(self, what: str, path: str) -> None:
        name = f"{what} {self._strip_protocol(path)}"
        self.asked.append(name)
        self.failed[name] = self.failed.get(name, 0) + 1
        if self.failed[name] <= self.failures:
            raise ConnectionResetError("connection reset by peer")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        self.request("info", path)
        return super().info(path, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        self.request("ls", path)
        return super().ls(path, detail=detail, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        self.request("get", path)
        return super().cat_file(path, start=start, end=end, **options)

    def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
        self.request("get", rpath)
        super().get_file(rpath, lpath, **options)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self.request("put", rpath)
        super().put_file(lpath, rpath, **options)


fsspec.register_implementation("flaky", Flaky, clobber=True)
