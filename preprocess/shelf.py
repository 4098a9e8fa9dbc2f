"""Values by name that needn't fit into memory, for as long as this process wants them.

SQLite keeps them in a temporary file of its own, below `TMPDIR` or else `/var/tmp`; the pages used last stay
in memory. Nobody else sees the file, and it goes with the process that made it, killed or not.
"""

import os
import pickle
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from preprocess.places import StorageError

CACHE_KIB = 4096
"""Memory of a shelf, and once more while it is read in order."""

NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite calls it that its file can't be made or grow."""

T = TypeVar("T")


class Database(sqlite3.Connection):
    """Says where it wanted room, and found none."""

    def execute(self, *given: Any) -> sqlite3.Cursor:
        """Do one thing; the first row is there, so that what must be sorted is."""
        try:
            return super().execute(*given)
        except sqlite3.OperationalError as error:
            refuse_full(error)
            raise

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        """Do one thing many times."""
        try:
            return super().executemany(*given)
        except sqlite3.OperationalError as error:
            refuse_full(error)
            raise


def refuse_full(error: sqlite3.OperationalError) -> None:
    """Raise StorageError where there is no room: SQLite doesn't say on which disk."""
    if error.sqlite_errorcode & 0xFF in NO_ROOM:  # the other bits say more of the same
        raise StorageError(
            f"temporary file of rows: {error}; is its disk full? Set TMPDIR to a folder with room, which is "
            f"{os.environ.get('TMPDIR') or 'not set: /var/tmp is taken'}"
        ) from error


def scratch(cache_kib: int = CACHE_KIB) -> Database:
    """Open an empty database of this process, which is never committed and goes when it is closed.

    One thread at a time may use it; any may close it, as whoever collects garbage does.
    """
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=Database)
    db.executescript(f"PRAGMA cache_size = -{cache_kib}; PRAGMA journal_mode = OFF; BEGIN;")
    return db


class Shelf(Generic[T]):
    """Whatever pickles, but None, by name."""

    def __init__(self) -> None:
        self.db = scratch()
        self.db.execute("CREATE TABLE shelf (name BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        weakref.finalize(self, self.db.close)

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM shelf").fetchone()[0])

    def add(self, name: str, value: T) -> bool:
        """Keep a value under a name that has none; tell whether it had none."""
        return self.insert("IGNORE", name, value)

    def put(self, name: str, value: T) -> None:
        """Keep a value under a name, in place of what it had."""
        self.insert("REPLACE", name, value)

    def insert(self, otherwise: str, name: str, value: T) -> bool:
        """Write a row, or do otherwise where there is one of that name; tell whether it was written."""
        row = os.fsencode(name), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return self.db.execute(f"INSERT OR {otherwise} INTO shelf VALUES (?, ?)", row).rowcount == 1

    def get(self, name: str) -> T | None:
        """Return the value of a name; None where it has none."""
        found = self.db.execute("SELECT value FROM shelf WHERE name = ?", (os.fsencode(name),)).fetchone()
        return None if found is None else self.read(found)

    def __getitem__(self, name: str) -> T:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def items(self) -> Iterator[tuple[str, T]]:
        """Yield names and values in the order in which they came; none may come meanwhile."""
        for name, value in self.db.execute("SELECT name, value FROM shelf ORDER BY rowid"):
            yield os.fsdecode(name), self.read([value])

    def values(self) -> Iterator[T]:
        """Yield values as `items` does."""
        yield from (value for _, value in self.items())

    def sorted(self, rank: Callable[[str], int] = lambda _: 0) -> Iterator[T]:
        """Yield the values by the rank of their names, equal ones by name; none may come meanwhile."""
        self.db.create_function("rank", 1, lambda name: rank(os.fsdecode(name)), deterministic=True)
        for row in self.db.execute("SELECT value FROM shelf ORDER BY rank(name), name"):
            yield self.read(row)

    def read(self, row: Iterable[bytes]) -> T:
        """Return the value of a row."""
        (value,) = row
        found: T = pickle.loads(value)
        return found
