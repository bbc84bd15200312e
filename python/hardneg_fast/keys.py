"""Master keys: 32 bytes, in files that nobody else can read, sealed under a passphrase or not, never printed.

Pseudonyms of a period can be made unlinkable for good by destroying its key (crypto-shredding): give each such period
a key file of its own. Periods named by `epoch` under one key cannot be joined with each other, but whoever has the key
can make all of them again.

Tools that show the local variables of a traceback would show keys and passphrases: whoever holds one here lets go of
it before an error leaves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .exceptions import FileError, UsageError
from .owners import anybody_replaces, anybody_writes, is_trusted, resolved

__all__ = ["Key", "SealedError", "checked", "or_fresh", "shred"]

HEADER = "hardneg_fast key 1"
SEALED = "hardneg_fast key 2"
SCRYPT = {"n": 2**17, "r": 8, "p": 1}
"""Cost of a guess at a passphrase: 128 MiB and some tenths of a second (RFC 7914; OWASP's least is n = 2^17)."""


_KIND = b"hardneg_fast key "
_MOST = 65_536
"""Bytes that are read of what may be a key file."""
_OPEN = "refusing to {} {}: anybody may write to that folder; choose one of your own"
_MAKE = "make one with: hardneg-fast keygen FILE"


class SealedError(UsageError):
    """A key is sealed, and nobody gave its passphrase."""


class Key:
    """A 32-byte master key. From it every field, epoch and dataset gets a key of its own (docs/ARCHITECTURE.md)."""

    __slots__ = ("_bytes",)

    def __init__(self, material: bytes) -> None:
        try:
            if not isinstance(material, bytes | bytearray | memoryview) or len(material) != 32:
                raise UsageError("a key has exactly 32 bytes")
            self._bytes = bytes(material)
        finally:
            del material

    @classmethod
    def ephemeral(cls) -> Key:
        """A fresh key from the operating system; pseudonyms under it can be joined within this run only."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: Path | str, passphrase: str | None = None) -> Key:
        """Reads a key file.

        Args:
            path: the file.
            passphrase: what it was sealed under.

        Raises:
            FileError: it cannot be read, or is no key file.
            UsageError: others than its owner may read it, or put another in its place; it is of another user than this
                one and root; it is sealed, and the passphrase is missing or wrong.
        """
        path = Path(path)
        try:
            return cls._read(_text_of(path), passphrase, repr(path.name))
        finally:
            del passphrase

    @classmethod
    def from_env(cls, variable: str, passphrase: str | None = None) -> Key:
        """Takes the text of a key file out of an environment variable, where a secret store put it.

        Raises:
            UsageError: there is no such variable; as `load`.
            FileError: it holds no key.
        """
        try:
            if variable not in os.environ:
                raise UsageError(f"environment variable {variable!r} is not set; it should hold the text of a key file")
            return cls._read(os.environ[variable], passphrase, f"environment variable {variable!r}")
        finally:
            del passphrase

    @classmethod
    def from_callback(cls, get: Callable[[], bytes]) -> Key:
        """Asks `get` for the 32 bytes, say of a key management service.

        Raises:
            UsageError: they are no 32 bytes. What `get` raises comes through.
        """
        material = get()
        try:
            if not isinstance(material, bytes | bytearray | memoryview):
                raise UsageError(f"the callback gave {type(material).__name__}, not bytes")
            return cls(bytes(material))
        finally:
            del material

    @classmethod
    def _read(cls, text: str, passphrase: str | None, called: str) -> Key:
        """A key out of the text of a key file."""
        header, _, body = text.strip().partition("\n")
        material = b""
        try:
            if header == SEALED:
                return cls._unsealed(body, passphrase, called)
            try:
                material = base64.b64decode(body.strip(), validate=True)
            except (ValueError, binascii.Error):
                raise FileError(f"{called} is no key file; {_MAKE}") from None
            if header != HEADER or len(material) != 32:
                raise FileError(f"{called} is no key file of this version; {_MAKE}")
            return cls(material)
        finally:
            del text, header, body, material, passphrase

    @classmethod
    def _unsealed(cls, body: str, passphrase: str | None, called: str) -> Key:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            salt, nonce, sealed, cost, name = _box(body, called)
            if passphrase is None:
                raise SealedError(
                    f"{called} is sealed: give its passphrase (on the command line HARDNEG_PASSPHRASE, or type it)"
                )
            try:
                return cls(AESGCM(_wrapping(passphrase, salt, cost)).decrypt(nonce, sealed, _about(name, cost)))
            except (InvalidTag, ValueError):
                raise UsageError(f"{called} cannot be opened with this passphrase, or is damaged") from None
        finally:
            del passphrase

    def save(self, path: Path | str, passphrase: str | None = None) -> None:
        """Writes a new key file, mode 0600.

        Args:
            path: the file.
            passphrase: seals the key under it: AES-256-GCM, its key by Scrypt. None leaves the key readable by whoever
                reads the file.

        Raises:
            UsageError: the place is open to others: a folder that anybody may write to, or a file system without modes;
                an empty passphrase.
            FileError: the file exists, or cannot be written.
        """
        path = Path(path)
        try:
            if passphrase == "":
                raise UsageError("an empty passphrase seals nothing; give one, or none at all")
            handle = _created(path)
            try:
                hidden = _write(handle, self, passphrase)
            except BaseException as e:
                path.unlink(missing_ok=True)
                if isinstance(e, OSError):
                    raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None
                raise
            if not hidden:
                path.unlink()
                raise UsageError(
                    f"refusing to keep a key in {_called(path.parent)}: its file system shows files to everybody"
                )
        finally:
            del passphrase

    def _text(self, passphrase: str | None) -> str:
        """What a key file holds."""
        try:
            if passphrase is None:
                return f"{HEADER}\n{base64.b64encode(self._bytes).decode()}\n"
            return self._sealed(passphrase)
        finally:
            del passphrase

    def _sealed(self, passphrase: str) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        try:
            cipher = AESGCM(_wrapping(passphrase, salt, SCRYPT))
        finally:
            del passphrase
        sealed = cipher.encrypt(nonce, self._bytes, _about(self.id, SCRYPT))
        box: dict[str, Any] = {"id": self.id, "kdf": "scrypt", **SCRYPT}
        box |= {
            name: base64.b64encode(v).decode() for name, v in (("salt", salt), ("nonce", nonce), ("sealed", sealed))
        }
        return f"{SEALED}\n{json.dumps(box)}\n"

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
        # One that was refused in the making is shown by tools that show tracebacks.
        return f"<Key id={self.id}>" if hasattr(self, "_bytes") else "<no Key>"

    def __reduce__(self) -> str:
        raise UsageError("keys are not pickled: save them to a file, or pass the file's name")


def _box(body: str, called: str) -> tuple[bytes, bytes, bytes, dict[str, int], str]:
    """Salt, nonce, sealed key, cost and id of a sealed key file."""
    damaged = f"{called} is a damaged key file; take a copy of it, if there is one"
    try:
        box = json.loads(body)
        salt, nonce, sealed = (base64.b64decode(box[name], validate=True) for name in ("salt", "nonce", "sealed"))
        cost = {name: int(box[name]) for name in SCRYPT}
        name = str(box["id"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, binascii.Error):
        raise FileError(damaged) from None
    # What a file asks for is not to take all memory: 2 GiB at most.
    if not (2**14 <= cost["n"] <= 2**20 and 1 <= cost["r"] <= 16 and 1 <= cost["p"] <= 16) or len(nonce) != 12:
        raise FileError(damaged)
    return salt, nonce, sealed, cost, name


def _wrapping(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    """The key that a passphrase comes to. Composed, so that the same words typed on two systems are the same."""
    import unicodedata

    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    try:
        # Bytes of the environment that are no text come as surrogates; an error about them would hold the passphrase.
        words = unicodedata.normalize("NFKC", passphrase).encode(errors="surrogateescape")
        return Scrypt(salt=salt, length=32, n=cost["n"], r=cost["r"], p=cost["p"]).derive(words)
    except (TypeError, UnicodeEncodeError):
        raise UsageError("a passphrase is text") from None
    finally:
        words = b""
        del passphrase


def _about(name: str, cost: dict[str, int]) -> bytes:
    """What is sealed in beside the key: nobody can put another id or cost before it unseen."""
    return json.dumps([SEALED, name, *(cost[k] for k in SCRYPT)]).encode()


def _text_of(path: Path) -> str:
    """What a key file holds, where nobody else can read it or put another in its place.

    Raises:
        FileError, UsageError: as `Key.load`.
    """
    try:
        place = resolved(path)
        folder = place.parent
        # With the sticky bit nobody puts another file in its place; so secrets are mounted into containers.
        open_folder = anybody_replaces(folder)
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            info = os.fstat(file.fileno())
            text = file.read(_MOST)
    except IsADirectoryError:
        raise FileError(f"{path.name!r} is no key file; {_MAKE}") from None
    except OSError as e:
        raise FileError(f"key file {path.name!r} cannot be read: {e.strerror}") from None
    try:
        if not text.lstrip().startswith(_KIND):
            raise FileError(f"{path.name!r} is no key file; {_MAKE}")
        if not is_trusted(info):
            raise UsageError(
                f"key file {path.name!r} is another user's, who has the key: chown it, give its text in a variable of "
                "the environment (env:NAME), or make one of your own"
            )
        if info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"key file {path.name!r} can be read by others: chmod 600 it, and consider a new key")
        if open_folder:
            raise UsageError(_OPEN.format("take a key from", _called(folder)))
        return text.decode("ascii", "replace")
    finally:
        text = b""


def _created(path: Path) -> int:
    """A new file, open for writing.

    Raises:
        FileError, UsageError: as `Key.save`.
    """
    try:
        open_folder = anybody_writes(path.parent.resolve())
    except OSError as e:
        raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None
    if open_folder:
        raise UsageError(_OPEN.format("keep a key in", _called(path.parent)))
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise FileError(f"{path.name!r} exists; keys are never overwritten") from None
    except OSError as e:
        raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None


def _called(folder: Path) -> str:
    return repr(folder.resolve().name or "/")


def _write(handle: int, key: Key, passphrase: str | None) -> bool:
    """Writes to an open file; False, and nothing written, where the file system shows it to others."""
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                return False
            file.write(key._text(passphrase))
            file.flush()
            os.fsync(file.fileno())
        return True
    finally:
        del passphrase


def checked(key: object) -> Key:
    """The key that is given.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(key, Key):
        raise UsageError("key must be a Key: Key.load(FILE), or Key.ephemeral()")
    return key


def or_fresh(key: Key | None) -> Key:
    """The key that is given; where none is, a fresh one.

    Raises:
        UsageError: it is none.
    """
    return Key.ephemeral() if key is None else checked(key)


def shred(path: Path | str) -> str:
    """Destroys a key file: overwritten, then removed. Returns the key's id where the file tells it, else "".

    What was made under the key can then be joined with nothing new by anybody who has no copy of it. It is not
    anonymous by that: pseudonyms stay equal for equal people, and habits tell who somebody is. Copies (backups,
    snapshots, the blocks that a solid-state disk or a copying file system keeps) are out of reach of this.

    Raises:
        FileError: it is no key file, or cannot be written.
        UsageError: a link of somebody else leads to it.
    """
    path = Path(path)
    try:
        path = resolved(path)  # a link's file, not the link alone
        with path.open("r+b") as file:
            text = file.read(_MOST)
            is_key = text.lstrip().startswith((HEADER.encode(), SEALED.encode()))
            if is_key:
                file.seek(0)
                file.write(secrets.token_bytes(len(text)))
                file.flush()
                os.fsync(file.fileno())
        if is_key:
            path.unlink()
    except OSError as e:
        raise FileError(f"key file {path.name!r} cannot be destroyed: {e.strerror}") from None
    if not is_key:
        raise FileError(f"{path.name!r} is no key file; nothing was destroyed")
    try:
        return str(json.loads(text.partition(b"\n")[2])["id"])
    except (ValueError, KeyError, TypeError):
        return ""
