"""From paths, directories, globs, URIs and lists of them to files with a known format and compression."""

from __future__ import annotations

import glob
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from ..exceptions import DataError, FileError, HardnegError, UsageError

FORMATS = {
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".arrows": "ipc", ".feather": "ipc", ".ipc": "ipc",
    ".orc": "orc", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".json": "ndjson",
}  # fmt: skip
CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".xz": "xz", ".br": "brotli"}
MAGIC = (
    (b"PAR1", "parquet"), (b"ARROW1", "ipc"), (b"\xff\xff\xff\xff", "ipc"), (b"ORC", "orc"), (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"), (b"\x28\xb5\x2f\xfd", ".zst"), (b"\x04\x22\x4d\x18", ".lz4"), (b"\xfd7zXZ", ".xz"),
    (b"PK\x03\x04", "zip"),
)  # fmt: skip
COUNTS = b"HNCOUNTS"
"""How a file of saved counts begins."""
RANDOM_ACCESS = ("parquet", "orc")
"""Formats that cannot be read as a stream, so not inside a compressed file either."""


@dataclass(frozen=True)
class DataFile:
    """One file of a log, or one member of a zip."""

    filesystem: pafs.FileSystem
    path: str
    format: str = ""
    codec: str = ""
    member: str = ""

    @property
    def name(self) -> str:
        """Base name, for messages."""
        return PurePosixPath(self.member or self.path).name

    @property
    def stem(self) -> str:
        """Base name without its endings."""
        return self.name.split(".", 1)[0]

    def open(self) -> Any:
        """A binary stream of the decompressed content."""
        if self.member:
            # The archive lives as long as its member's stream refers to it.
            archive = zipfile.ZipFile(self.filesystem.open_input_file(self.path))
            return pa.PythonFile(archive.open(self.member), mode="r")
        raw = self.filesystem.open_input_stream(self.path, compression=None)
        if self.codec == "xz":
            return pa.PythonFile(lzma.open(raw), mode="r")
        return pa.CompressedInputStream(raw, self.codec) if self.codec else raw

    def head(self, size: int = 4096) -> bytes:
        """The first bytes of the decompressed content."""
        with naming(self.name), self.open() as stream:
            return bytes(stream.read(size))

    def beside(self, name: str) -> DataFile | None:
        """Another file of the same directory, if it is there."""
        path = str(PurePosixPath(self.path).with_name(name))
        if self.member or self.filesystem.get_file_info(path).type != pafs.FileType.File:
            return None
        return DataFile(self.filesystem, path)


CHECKSUM = "CRC checksum"
"""What pyarrow says of a page that was changed since it was written, and of nothing else."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turns whatever goes wrong while reading file `name` into a FileError that quotes no content."""
    try:
        yield
    except HardnegError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name}: no such file") from None
    except PermissionError:
        raise FileError(f"{name}: no permission to read it") from None
    except RuntimeError:
        raise FileError(f"{name}: cannot be read; if it is an encrypted archive, unpack it first") from None
    except (OSError, EOFError, pa.ArrowException, lzma.LZMAError, zipfile.BadZipFile, zlib.error, UnicodeError) as e:
        if CHECKSUM in str(e):
            raise FileError(f"{name}: the Parquet file is damaged: a page is not what its checksum says; "
                            "write or copy it again, or leave it out") from None  # fmt: skip
        raise FileError(f"{name}: damaged, cut short, or not of the format that was taken for it; "
                        "write it again, or say what it is with --read.format") from None  # fmt: skip


def is_path(log: object) -> bool:
    """Whether `log` names a file rather than being data."""
    return isinstance(log, (str, os.PathLike))


def resolve(log: object, format: str = "auto") -> list[DataFile]:  # noqa: A002 - the option's name
    """Files of a log, sorted within each glob or directory, all of one format; empty files are left out.

    Raises:
        FileError: nothing is there, or it cannot be read.
        DataError: files of several formats, or of none that is known.
        UsageError: `log` is neither a path nor a list of paths.
    """
    items: list[Any] = [log] if is_path(log) else list(log) if isinstance(log, Iterable) else []
    if not items or not all(is_path(item) for item in items):
        raise UsageError(
            "a log is a path, a list of paths, an object with __arrow_c_stream__ or __arrow_c_array__, or a LazyFrame; "
            "of anything else pass what its to_reader(), to_table() or to_arrow() gives"
        )
    # A file that two patterns match is one file.
    found = {(file.filesystem.type_name, file.path): file for item in items for file in _expand(os.fspath(item))}
    files = [known for file in found.values() for known in _known(file, format)]
    if not files:
        raise FileError(f"{next(iter(found.values())).name}: empty; a log needs at least one record")
    formats = sorted({file.format for file in files})
    if len(formats) > 1:
        raise DataError(
            f"the log mixes formats: {formats}; give files of one format at a time, such as 'DIR/*.parquet'"
        )
    return files


def _expand(path: str) -> list[DataFile]:
    filesystem: pafs.FileSystem = pafs.LocalFileSystem()
    if "://" in path:
        try:
            filesystem, path = pafs.FileSystem.from_uri(path)
        except (pa.ArrowException, OSError, ValueError):
            scheme = path.split("://", 1)[0]
            raise FileError(f"{scheme}://: not an address that can be opened; download the log first") from None
    elif glob.has_magic(path) and not Path(path).exists():
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - patterns may be absolute
        if not matches:
            raise FileError(f"{PurePosixPath(path).name}: no file matches; check the directory and quote the pattern")
        return [file for match in matches for file in _expand(match)]
    name = PurePosixPath(path).name
    with naming(name):
        info = filesystem.get_file_info(path)
        if info.type == pafs.FileType.NotFound:
            raise FileError(f"{name}: no such file")
        if info.type == pafs.FileType.File:
            return [DataFile(filesystem, path)]
        inside = filesystem.get_file_info(pafs.FileSelector(path, recursive=True))
    # Engines write markers and checksums beside their parts: _SUCCESS, .part-0.crc.
    base = len(path.rstrip("/")) + 1
    parts = sorted(i.path for i in inside if i.type == pafs.FileType.File and not _is_marker(i.path[base:]))
    if not parts:
        raise FileError(f"{name}: a directory without data files")
    return [DataFile(filesystem, part) for part in parts]


def _is_marker(relative: str) -> bool:
    return any(part.startswith(("_", ".")) for part in relative.split("/"))


def _known(file: DataFile, wanted: str) -> list[DataFile]:
    """The file with format and compression filled in; a zip gives its members, an empty file nothing."""
    endings = PurePosixPath(file.name.lower()).suffixes
    ending = endings[-1] if endings else ""
    if file.filesystem.get_file_info(file.path).size == 0:
        return []
    if ending == ".zip":
        return _members(file, wanted)
    if ending in CODECS:
        file = replace(file, codec=CODECS[ending])
        ending = endings[-2] if len(endings) > 1 else ""
    head = file.head()
    magic = next((kind for start, kind in MAGIC if head.startswith(start)), "")
    if magic == "zip" and not file.codec:
        return _members(file, wanted)
    if magic in CODECS and not file.codec:
        file = replace(file, codec=CODECS[magic])
        head = file.head()
        magic = next((kind for start, kind in MAGIC if head.startswith(start)), "")
    if not head:
        return []
    if head.startswith(COUNTS):
        raise DataError(
            f"{file.name}: saved counts, not a log; mine takes one such file by itself, and count --merge sums several"
        )
    # Parquet under another name is Parquet: no text begins so.
    said = magic if magic == "parquet" else FORMATS.get(ending) or magic
    kind = wanted if wanted != "auto" else said or _text_format(head, file.name)
    if file.codec and (kind in RANDOM_ACCESS or head.startswith(b"ARROW1")):
        raise FileError(f"{file.name}: {kind} inside {file.codec} cannot be read in place; decompress it first")
    return [replace(file, format=kind)]


def _members(file: DataFile, wanted: str) -> list[DataFile]:
    with naming(file.name), zipfile.ZipFile(file.filesystem.open_input_file(file.path)) as archive:
        entries = sorted(e.filename for e in archive.infolist() if e.file_size and not _is_marker(e.filename))
    members = []
    for entry in entries:
        member = replace(file, member=entry)
        ending = PurePosixPath(entry.lower()).suffix
        kind = wanted if wanted != "auto" else FORMATS.get(ending) or _text_format(member.head(), member.name)
        if kind in (*RANDOM_ACCESS, "ipc"):
            raise FileError(f"{file.name}: {kind} inside a zip cannot be read in place; unpack it first")
        members.append(replace(member, format=kind))
    return members


def _text_format(head: bytes, name: str) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    line = text.split(b"\n", 1)[0]
    if text.startswith(b"{") or b"\t{" in line:
        return "ndjson"
    if b"\t" in line:
        return "tsv"
    if b"," in line and b"\0" not in head:
        return "csv"
    raise DataError(f"{name}: format not recognised by ending or content; say it with --read.format, or, where it "
                    "is no part of the log, name the files that are: 'DIR/*.parquet'")  # fmt: skip


def lines(file: DataFile, block: int = 1 << 20, longest: int = 64 << 20) -> Iterator[bytes]:
    """Lines without their ends, read a block at a time.

    Raises:
        DataError: a line of more than `longest` bytes, which is no record but a whole document.
    """
    rest = io.BytesIO()
    with naming(file.name), file.open() as stream:
        while data := bytes(stream.read(block)):
            whole, newline, tail = data.rpartition(b"\n")
            if newline:
                yield from (rest.getvalue() + whole).split(b"\n")
                rest = io.BytesIO()
            rest.write(tail)
            if rest.tell() > longest:
                raise DataError(f"{file.name}: a line of more than {longest >> 20} MB; one record a line is expected")
    if rest.tell():
        yield rest.getvalue()
