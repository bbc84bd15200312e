"""BM25 in Lucene's form (Robertson & Zaragoza 2009; Kamphuis et al. 2020), word by word."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

K1, B = 1.5, 0.75


def words(text: str) -> list[str]:
    """Runs of letters, marks and digits."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return re.findall(r"\S+", kept)


def scores(query: str, documents: dict[str, str]) -> dict[str, float]:
    """Document → score, of those that share a word with the query; documents without words are none."""
    worded = {doc: words(text) for doc, text in documents.items()}
    worded = {doc: said for doc, said in worded.items() if said}
    mean = sum(map(len, worded.values())) / max(len(worded), 1)
    found: dict[str, float] = {}
    for word in words(query):
        having = [doc for doc, said in worded.items() if word in said]
        idf = math.log(1 + (len(worded) - len(having) + 0.5) / (len(having) + 0.5))
        for doc in having:
            tf = Counter(worded[doc])[word]
            found[doc] = found.get(doc, 0.0) + idf * tf / (tf + K1 * (1 - B + B * len(worded[doc]) / mean))
    return found
