"""Master keys: 32 bytes, in files that nobody else can read, sealed under a passphrase or not, never printed.

Pseudonyms of a period can be made unlinkable for good by destroying its key (crypto-shredding): give each such period
a key file of its own. Periods named by `epoch` under one key cannot be joined with each other, but whoever has the key
can make all of them again.
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

__all__ = ["Key", "SealedError", "checked", "or_fresh", "shred"]

HEADER = "hardneg_fast key 1"
SEALED = "hardneg_fast key 2"
SCRYPT = {"n": 2**17, "r": 8, "p": 1}
"""Cost of a guess at a passphrase: 128 MiB and some tenths of a second (RFC 7914; OWASP's least is n = 2^17)."""


class SealedError(UsageError):
    """A key is sealed, and nobody gave its passphrase."""


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
    def load(cls, path: Path | str, passphrase: str | None = None) -> Key:
        """Reads a key file.

        Args:
            path: the file.
            passphrase: what it was sealed under.

        Raises:
            FileError: it cannot be read, or is no key file.
            UsageError: others than its owner may read it; it is sealed, and the passphrase is missing or wrong.
        """
        path = Path(path)
        try:
            mode = path.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"key file {path.name!r} can be read by others: chmod 600 it, and consider a new key")
            text = path.read_text(encoding="ascii")
        except OSError as e:
            raise FileError(f"key file {path.name!r} cannot be read: {e.strerror}") from None
        except UnicodeDecodeError:
            text = ""
        return cls._read(text, passphrase, repr(path.name))

    @classmethod
    def from_env(cls, variable: str, passphrase: str | None = None) -> Key:
        """Takes the text of a key file out of an environment variable, where a secret store put it.

        Raises:
            UsageError: there is no such variable; as `load`.
            FileError: it holds no key.
        """
        text = os.environ.get(variable)
        if text is None:
            raise UsageError(f"environment variable {variable!r} is not set; it should hold the text of a key file")
        return cls._read(text, passphrase, f"environment variable {variable!r}")

    @classmethod
    def from_callback(cls, get: Callable[[], bytes]) -> Key:
        """Asks `get` for the 32 bytes, say of a key management service.

        Raises:
            UsageError: they are no 32 bytes. What `get` raises comes through.
        """
        material = get()
        if not isinstance(material, bytes | bytearray | memoryview):
            raise UsageError(f"the callback gave {type(material).__name__}, not bytes")
        return cls(bytes(material))

    @classmethod
    def _read(cls, text: str, passphrase: str | None, called: str) -> Key:
        """A key out of the text of a key file."""
        header, _, body = text.strip().partition("\n")
        if header == SEALED:
            return cls._unsealed(body, passphrase, called)
        try:
            material = base64.b64decode(body.strip(), validate=True)
        except (ValueError, binascii.Error):
            raise FileError(f"{called} is no key file; make one with: hardneg-fast keygen FILE") from None
        if header != HEADER or len(material) != 32:
            raise FileError(f"{called} is no key file of this version; make one with: hardneg-fast keygen FILE")
        return cls(material)

    @classmethod
    def _unsealed(cls, body: str, passphrase: str | None, called: str) -> Key:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
        if passphrase is None:
            raise SealedError(
                f"{called} is sealed: give its passphrase (on the command line HARDNEG_PASSPHRASE, or type it)"
            )
        try:
            wrapping = _wrapping(passphrase, salt, cost)
            key = cls(AESGCM(wrapping).decrypt(nonce, sealed, _about(name, cost)))
        except (InvalidTag, ValueError):
            raise UsageError(f"{called} cannot be opened with this passphrase, or is damaged") from None
        return key

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
        text = (
            f"{HEADER}\n{base64.b64encode(self._bytes).decode()}\n" if passphrase is None else self._sealed(passphrase)
        )
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
            hidden = _write(handle, text)
        except OSError as e:
            path.unlink(missing_ok=True)
            raise FileError(f"key file {path.name!r} cannot be written: {e.strerror}") from None
        if not hidden:
            path.unlink()
            raise UsageError(
                f"refusing to keep a key in {path.parent.name!r}: its file system shows files to everybody"
            )

    def _sealed(self, passphrase: str) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not passphrase:
            raise UsageError("an empty passphrase seals nothing; give one, or none at all")
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        sealed = AESGCM(_wrapping(passphrase, salt, SCRYPT)).encrypt(nonce, self._bytes, _about(self.id, SCRYPT))
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
        return f"<Key id={self.id}>"

    def __reduce__(self) -> str:
        raise UsageError("keys are not pickled: save them to a file, or pass the file's name")


def _wrapping(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    """The key that a passphrase comes to. Composed, so that the same words typed on two systems are the same."""
    import unicodedata

    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # Bytes of the environment that are no text come as surrogates; an error about them would hold the passphrase.
    words = unicodedata.normalize("NFKC", passphrase).encode(errors="surrogateescape")
    return Scrypt(salt=salt, length=32, n=cost["n"], r=cost["r"], p=cost["p"]).derive(words)


def _about(name: str, cost: dict[str, int]) -> bytes:
    """What is sealed in beside the key: nobody can put another id or cost before it unseen."""
    return json.dumps([SEALED, name, *(cost[k] for k in SCRYPT)]).encode()


def _write(handle: int, text: str) -> bool:
    """Writes to an open file; False, and nothing written, where the file system shows it to others."""
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return False
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return True


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
    """
    path = Path(path).resolve()  # a link's file, not the link alone
    try:
        with path.open("r+b") as file:
            text = file.read(65_536)
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
