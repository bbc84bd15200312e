"""Text of strangers made harmless. Queries are typed by anybody: nothing they hold may become markup."""

from __future__ import annotations

import html
import re
import string
import unicodedata
from typing import Any

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# These mean nothing inside a line; a dot does where it makes an address.
_HARMLESS = ".,;'\"-?!()%+="
_MARKDOWN = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation if mark not in _HARMLESS})


def plain(value: Any, limit: int = 200) -> str:
    """One line without control or direction characters, at most `limit` characters, an ellipsis where it was longer."""
    text = " ".join("".join(_visible(character) for character in str(value)[: 4 * limit]).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def as_html(value: Any, limit: int = 200) -> str:
    """Text for an element or a quoted attribute; an address in it is no address any more, for people and scanners."""
    return html.escape(plain(value, limit)).replace("://", "&#58;//")


def as_markdown(value: Any, limit: int = 200) -> str:
    """Text for the inside of a line or a table cell: marks that could mean something become character references."""
    return re.sub(r"\.(?=\S)", "&#46;", plain(value, limit).translate(_MARKDOWN))


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cs":
        return "\ufffd"
    return "" if character in _BIDI else character
