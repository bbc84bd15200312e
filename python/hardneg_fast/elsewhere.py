"""Files on other file systems: parts of them, several at a time, and what is wanted next while the core decodes."""

from __future__ import annotations

import collections
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from .exceptions import FileError, HardnegError

Part = tuple[int, int]
"""Where it begins, and its bytes."""
AHEAD = 4
"""Row groups that may lie ready: one for each thread that reads, on most machines."""


class Elsewhere:
    """A file, for the core: called with the parts that it wants and those that it will probably want next.

    A thread is started for each part, and ends with it: a pool would be no use to a process that was forked.
    """

    def __init__(self, filesystem: pafs.FileSystem, path: str, size: int) -> None:
        self.name = PurePosixPath(path).name
        self._filesystem = filesystem
        self._path = path
        self._size = size
        self._ahead: dict[tuple[Part, ...], list[Future[bytes]]] = {}
        self._lock = threading.Lock()
        self._free: collections.deque[pa.NativeFile] = collections.deque()

    def __call__(self, parts: Sequence[Part], ahead: Sequence[Part]) -> list[bytes]:
        """The bytes of the parts.

        Raises:
            FileError: they cannot be had.
        """
        following: list[Future[bytes]] = []
        with self._lock:
            ready = self._ahead.pop(tuple(parts), None)
            if ahead and tuple(ahead) not in self._ahead:
                # What nobody asked for was guessed wrong.
                while len(self._ahead) >= AHEAD:
                    del self._ahead[next(iter(self._ahead))]
                following = [Future() for _ in ahead]
                self._ahead[tuple(ahead)] = following
        if ready is None:
            ready = [Future() for _ in parts]
            self._start(ready, parts)
        self._start(following, ahead)
        return [future.result() for future in ready]

    def _start(self, futures: Sequence[Future[bytes]], parts: Sequence[Part]) -> None:
        for future, part in zip(futures, parts, strict=False):
            try:
                threading.Thread(target=self._read, args=(future, *part), daemon=True).start()
            except RuntimeError:  # no more threads can be had
                self._read(future, *part)

    def _read(self, future: Future[bytes], start: int, length: int) -> None:
        try:
            # One by itself for each that reads: some file systems read a stream for one at a time.
            try:
                stream = self._free.pop()
            except IndexError:
                stream = self._open()
            future.set_result(stream.read_at(length, start))
            self._free.append(stream)
        except FileNotFoundError:
            future.set_exception(FileError(f"{self.name}: no such file, or it vanished while the log was read"))
        except HardnegError as error:
            future.set_exception(error)
        except Exception as error:
            future.set_exception(FileError(f"{self.name}: cannot be read from where it lies ({type(error).__name__})"))

    def _open(self) -> pa.NativeFile:
        stream = self._filesystem.open_input_file(self._path)
        if stream.size() != self._size:
            raise FileError(f"{self.name}: the file was changed while it was read; run again when nothing writes to it")
        return stream
