"""Identifiers as tokens that the holder of the key can read back: AES-SIV (RFC 5297), only where it is asked for.

The same id under the same key, field, epoch and dataset is the same token, so tokens can be joined like pseudonyms; and
like them they are personal data. AES-SIV authenticates: a token that was changed, or is of another key, field, epoch or
dataset, is refused. The key of a field is

    HKDF-SHA256(ikm = master key, salt = none, info, 64 bytes),
    info = "hardneg_fast/reversible/v1" ‖ lp(field) ‖ lp(epoch) ‖ lp(dataset),

with lp as for pseudonyms (docs/ARCHITECTURE.md), whose keys differ by the first words of `info`. What is sealed is the
id, a byte 0x80 and zeros up to a multiple of 16 bytes (ISO/IEC 7816-4), so that lengths show in steps. A token is
`hfr1_` and the base64url, without padding, of the synthetic vector and the sealed bytes.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from .exceptions import TokenError, UsageError
from .keys import Key
from .sources.arrow import arrays_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

__all__ = ["REVERSIBLE", "Sealer", "reveal", "shaped"]

pc: Any = pyarrow.compute

INFO = b"hardneg_fast/reversible/v1"
PREFIX = "hfr1_"
BLOCK = 16
FIELDS = ("user_id", "session_id", "search_id")

REVERSIBLE = b"hardneg_fast.reversible"
"""Key in a file's metadata: its columns of tokens, parted by commas."""

SHAPE = rf"^{PREFIX}[A-Za-z0-9_-]{{43,}}$"
"""What tokens look like: at least two blocks in base64url."""


class Sealer:
    """Makes tokens of one field, and reads them back."""

    def __init__(self, key: Key, field: str, epoch: str, dataset: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = INFO + b"".join(len(part).to_bytes(4, "big") + part for part in map(str.encode, (field, epoch, dataset)))
        self._siv: AESSIV = AESSIV(HKDF(SHA256(), 64, None, info).derive(key.material()))

    def seal(self, column: pa.Array) -> pa.Array:
        """Tokens of ids (text or bytes), each distinct one sealed once; null stays null."""
        coded = column.dictionary_encode()
        tokens = pa.array([self._sealed(value.as_buffer().to_pybytes()) for value in coded.dictionary], pa.string())
        return tokens.take(coded.indices)

    def _sealed(self, value: bytes) -> str:
        padded = value + b"\x80" + bytes(-(len(value) + 1) % BLOCK)
        return PREFIX + base64.urlsafe_b64encode(self._siv.encrypt(padded, None)).rstrip(b"=").decode()

    def open(self, token: str) -> bytes:
        """The id that a token stands for.

        Raises:
            TokenError: it is no token, was changed, or is of another key, field, epoch or dataset.
        """
        from cryptography.exceptions import InvalidTag

        body = token.removeprefix(PREFIX)
        try:
            sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            sealed = b""
        if body == token or len(sealed) % BLOCK or len(sealed) < 2 * BLOCK:
            raise TokenError(f"this is no token of anonymize --reversible: one begins with {PREFIX}")
        try:
            padded = self._siv.decrypt(sealed, None)
        except InvalidTag:
            raise TokenError(
                "a token cannot be read: it was changed, or is of another key, field, epoch or dataset; the manifest "
                "of its log names them"
            ) from None
        return padded[: padded.rindex(b"\x80")]


def shaped(values: pa.Array) -> pa.Array:
    """Whether texts have the form of tokens; whether they are, only the key knows."""
    blocks = pc.bit_wise_and(pc.divide(pc.multiply(pc.subtract(pc.utf8_length(values), len(PREFIX)), 3), 4), BLOCK - 1)
    return pc.and_(pc.match_substring_regex(values, SHAPE), pc.equal(blocks, 0))


def reveal(tokens: object, /, *, key: Key, field: str = "user_id", epoch: str = "", dataset: str = "") -> pa.Array:
    """The ids that tokens of `anonymize(…, reversible=…)` stand for; null stays null.

    What comes back is the raw identifier of a person: treat it as the log itself.

    Args:
        tokens: text, as the anonymized log has it.
        key: the master key that the log was anonymized under.
        field: which identifier it is.
        epoch: as `anonymize` was told.
        dataset: likewise.

    Returns:
        bytes as the log had them; cast to string where ids are text.

    Raises:
        TokenError: one is no token, was changed, or is of another key, field, epoch or dataset.
        UsageError: a key or field that is none, or values that are no Arrow text.
    """
    if not isinstance(key, Key):
        raise UsageError("tokens are read back with the key that made them: key=Key.load(FILE)")
    if field not in FIELDS:
        raise UsageError(f"field is {field!r}; choose one of {', '.join(FIELDS)}")
    sealer = Sealer(key, field, epoch, dataset)
    made = []
    for part in arrays_of(tokens):
        coded = part if pa.types.is_dictionary(part.type) else part.dictionary_encode()
        kind = coded.type.value_type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
            raise UsageError(f"tokens are text, not {kind}; name the column that anonymize --reversible made")
        # An entry that no row has is not looked at.
        used = set(coded.indices.drop_null().to_pylist())
        opened = [
            sealer.open(token.as_py()) if i in used and token.is_valid else None
            for i, token in enumerate(coded.dictionary)
        ]
        made.append(pa.array(opened, pa.binary()).take(coded.indices))
    return pa.concat_arrays(made)
