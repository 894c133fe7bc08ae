"""Events that must arrive, on disk until the broker has them."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicebot.interfaces.mqtt.topics import Message

_MOST_UNWRITTEN: Final = 1000
"""A disk that takes so long has failed."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS letters
(sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload TEXT NOT NULL)
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """An event, numbered in the order of all events of this box."""

    sequence: int
    topic: str
    payload: str


class Outbox:
    """Holds at most so many bytes of topics and payloads; then the oldest are dropped and counted.

    `put` may be called anywhere and never blocks. All other methods do, for as long as a disk takes, and may be
    called in any thread. Each change is on the disk when they return (SQLite with synchronous = FULL). A file that
    is damaged is put aside; where none can be written, the events are in memory only, and a line is logged.
    """

    def __init__(self, file: Path, most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._unwritten: deque[Message] = deque()
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._held: deque[tuple[int, int]] = deque()
        """Sequence and size in bytes of each letter, oldest first."""
        self._bytes = 0
        self._dropped = 0
        self._overflowed = False
        """Events were dropped since it was last empty."""

    @property
    def waiting(self) -> int:
        """How many events have not arrived yet."""
        return len(self._held) + len(self._unwritten)

    @property
    def dropped(self) -> int:
        """How many events there was no room for, since the start."""
        return self._dropped

    def put(self, event: Message) -> None:
        """Take an event whose payload is a JSON object with a "sequence", which is set when it is sent."""
        if len(self._unwritten) >= _MOST_UNWRITTEN:
            self._unwritten.popleft()
            self._count_dropped(1)
        self._unwritten.append(event)

    def write(self) -> None:
        """Write down what was put in."""
        with self._lock:
            fresh = []
            while self._unwritten:
                fresh.append(self._unwritten.popleft())
            if not fresh:
                return
            try:
                self._insert(self._opened(), fresh)
            except sqlite3.Error as error:
                self._insert(self._in_memory(error), fresh)

    def oldest(self, most: int) -> list[Letter]:
        """Return the first few that have not arrived yet."""
        with self._lock:
            query = "SELECT sequence, topic, payload FROM letters ORDER BY sequence LIMIT ?"
            try:
                rows = self._opened().execute(query, (most,)).fetchall()
            except sqlite3.Error as error:
                rows = self._in_memory(error).execute(query, (most,)).fetchall()
        return [Letter(sequence, topic, _numbered(payload, sequence)) for sequence, topic, payload in rows]

    def remove(self, letters: Iterable[Letter]) -> None:
        """Forget those that have arrived."""
        arrived = {letter.sequence for letter in letters}
        with self._lock:
            try:
                self._delete(self._opened(), arrived)
            except sqlite3.Error as error:
                self._in_memory(error)

    def close(self) -> None:
        """Write down what was put in, and close the file."""
        self.write()
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # the place is at fault, and not what the file holds
                    raise
                aside = self._file.with_suffix(".damaged")
                _log.warning("%s is damaged (%s): it is now %s, and events begin anew", self._file, error, aside.name)
                self._file.replace(aside)
                self._file.with_name(f"{self._file.name}-wal").unlink(missing_ok=True)  # it belongs to that file
                self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # it holds what was spoken
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        db = sqlite3.connect(self._file, timeout=1, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _in_memory(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Go on without the file; what it holds is sent after the next start."""
        _log.warning("%s can't be used (%s): MQTT events that wait are in memory only", self._file, error)
        last = self._held[-1][0] if self._held else 0
        if self._db is not None:
            with suppress(sqlite3.Error):
                last = max(last, self._db.execute("SELECT seq FROM sqlite_sequence").fetchone()[0])
            self._db.close()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._prepare(self._db)
        with self._db:
            self._db.execute("INSERT INTO sqlite_sequence VALUES ('letters', ?)", (last,))
        return self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute(_SCHEMA)
        sizes = "SELECT sequence, LENGTH(CAST(topic || payload AS BLOB)) FROM letters ORDER BY sequence"
        self._held = deque(db.execute(sizes).fetchall())
        self._bytes = sum(size for _, size in self._held)

    def _insert(self, db: sqlite3.Connection, events: list[Message]) -> None:
        held, total, dropped = self._held.copy(), self._bytes, 0
        with db:
            for event in events:
                values = (event.topic, event.payload)
                row = db.execute("INSERT INTO letters (topic, payload) VALUES (?, ?)", values).lastrowid or 0
                held.append((row, len("".join(values).encode())))
                total += held[-1][1]
            while total > self._most_bytes:
                row, size = held.popleft()
                db.execute("DELETE FROM letters WHERE sequence = ?", (row,))
                total -= size
                dropped += 1
        self._held, self._bytes = held, total
        if dropped:
            self._count_dropped(dropped)

    def _delete(self, db: sqlite3.Connection, sequences: set[int]) -> None:
        with db:
            db.executemany("DELETE FROM letters WHERE sequence = ?", [(sequence,) for sequence in sequences])
        self._held = deque(letter for letter in self._held if letter[0] not in sequences)
        self._bytes = sum(size for _, size in self._held)
        self._overflowed = self._overflowed and bool(self._held)

    def _count_dropped(self, count: int) -> None:
        self._dropped += count
        if not self._overflowed:
            self._overflowed = True
            _log.warning("no room for more MQTT events (%d bytes): the oldest are dropped", self._most_bytes)


def _numbered(payload: str, sequence: int) -> str:
    return f'{payload[:-1]},"sequence":{sequence}}}'  # it is an object, and need not be read to be one
