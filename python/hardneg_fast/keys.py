"""Master keys: 32 bytes, in files that nobody else can read, never printed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from .exceptions import FileError, UsageError

__all__ = ["Key"]

HEADER = "hardneg_fast key 1"


class Key:
    """A 32-byte master key. From it every field, epoch and dataset gets a key of its own (docs/ARCHITECTURE.md)."""

    __slots__ = ("_bytes",)

    def __init__(self, material: bytes) -> None:
        if len(material) != 32:
            raise UsageError("a key has exactly 32 bytes")
        self._bytes = bytes(material)

    @classmethod
    def ephemeral(cls) -> Key:
        """A fresh key from the operating system; pseudonyms under it can be joined within this run only."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: Path | str) -> Key:
        """Reads a key file.

        Raises:
            FileError: it cannot be read, or is no key file.
            UsageError: others than its owner may read it.
        """
        path = Path(path)
        try:
            mode = path.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"key file {path.name!r} can be read by others: chmod 600 it, and consider a new key")
            header, _, body = path.read_text(encoding="ascii").partition("\n")
            material = base64.b64decode(body.strip(), validate=True)
        except OSError as e:
            raise FileError(f"key file {path.name!r} cannot be read: {e.strerror}") from None
        except (UnicodeDecodeError, binascii.Error):
            raise FileError(f"{path.name!r} is no key file; make one with: hardneg-fast keygen FILE") from None
        if header != HEADER or len(material) != 32:
            raise FileError(f"{path.name!r} is no key file of this version; make one with: hardneg-fast keygen FILE")
        return cls(material)

    def save(self, path: Path | str) -> None:
        """Writes a new key file, mode 0600.

        Raises:
            UsageError: the place is open to others: a folder that anybody may write to, or a file system without modes.
            FileError: the file exists, or cannot be written.
        """
        path = Path(path)
        try:
            if path.parent.resolve().stat().st_mode & stat.S_IWOTH:
                raise UsageError(
                    f"refusing to keep a key in {path.parent.name!r}: anybody may write to that folder; choose one of "
                    "your own"
                )
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise FileError(f"{path.name!r} exists; keys are never overwritten") from None
        except OSError as e:
            raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None
        try:
            hidden = self._write(handle)
        except OSError as e:
            path.unlink(missing_ok=True)
            raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None
        if not hidden:
            path.unlink()
            raise UsageError(
                f"refusing to keep a key in {path.parent.name!r}: its file system shows files to everybody"
            )

    def _write(self, handle: int) -> bool:
        """Writes to an open file; False, and nothing written, where the file system shows it to others."""
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                return False
            file.write(f"{HEADER}\n{base64.b64encode(self._bytes).decode()}\n")
            file.flush()
            os.fsync(file.fileno())
        return True

    @property
    def id(self) -> str:
        """16 hex digits that name the key and tell nothing about it: HMAC-SHA256(key, "kid")."""
        return hmac.digest(self._bytes, b"kid", hashlib.sha256)[:8].hex()

    def material(self) -> bytes:
        """The bytes, for the core."""
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._bytes, other._bytes)

    __hash__ = None  # type: ignore[assignment]  # a key is no dictionary key: hashing it would leave traces of it

    def __repr__(self) -> str:
        return f"<Key id={self.id}>"

    def __reduce__(self) -> str:
        raise UsageError("keys are not pickled: save them to a file, or pass the file's name")
