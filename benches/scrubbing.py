"""How much personal data is found, how much else is left alone, and how fast: `python benches/scrubbing.py`.

The probe set (`pii_probe.py`) was written without a look at the matchers. A secret counts as found where the scrubbed
text holds neither it nor eight of its letters and digits in a row. `--presidio` runs Microsoft's recognisers over the
same set (needs presidio-analyzer and spacy), with all entities but names, places and dates.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa

import hardneg_fast as hn
from pii_probe import TYPES, clean, positives, residue

Scrub = Callable[[list[str]], list[str]]
LEAST_RESIDUE = 8
NOT_STRUCTURE = {"PERSON", "LOCATION", "DATE_TIME", "NRP", "ORGANIZATION"}


def ours(texts: list[str]) -> list[str]:
    return [text or "" for text in hn.scrub(pa.array(texts)).to_pylist()]


def presidio() -> Scrub:
    """Its recognisers on an empty language model, as their documentation builds one without a download."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

    analyzer = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])
    entities = sorted({*analyzer.get_supported_entities("en")} - NOT_STRUCTURE)

    def scrub(texts: list[str]) -> list[str]:
        scrubbed = []
        for text in texts:
            out = text
            found = analyzer.analyze(text, language="en", entities=entities, score_threshold=0.4)
            for hit in sorted(found, key=lambda hit: -hit.start):
                out = out[: hit.start] + "<x>" + out[hit.end :]
            scrubbed.append(out)
        return scrubbed

    return scrub


def survives(secret: str, scrubbed: str) -> bool:
    """Whether it, or a telling part of it, is in a scrubbed text."""
    return secret in scrubbed or residue(secret, re.sub(r"<[a-z_]+>", "|", scrubbed)) >= LEAST_RESIDUE


PLAIN, ARABIC = "0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
DISGUISES: dict[str, Callable[[str], str]] = {
    "Arabic-Indic digits": lambda secret: secret.translate(str.maketrans(PLAIN, ARABIC)),
    "an isolate after each character": lambda secret: "".join(c + "\u2069" for c in secret),
}
"""What keeps a secret readable, and patterns of ASCII from matching."""


def disguised(scrub: Scrub, disguise: Callable[[str], str], seed: int, each: int) -> dict[str, float]:
    """Recall by type where secrets are disguised."""
    made = positives(seed, each)
    queries = [query.replace(secret, disguise(secret)) for _, query, secret in made]
    found: Counter[str] = Counter()
    for (kind, _, secret), out in zip(made, scrub(queries), strict=True):
        seen = out.translate(str.maketrans(ARABIC, PLAIN, "\u2069"))
        found[kind] += not survives(secret, seen)
    return {kind: found[kind] / each for kind in TYPES}


def judged(scrub: Scrub, seed: int, each: int, n: int) -> tuple[dict[str, float], float, float]:
    """Recall by type, share of clean queries that were changed, clean queries a CPU second."""
    made = positives(seed, each)
    found: Counter[str] = Counter()
    for (kind, _, secret), out in zip(made, scrub([query for _, query, _ in made]), strict=True):
        found[kind] += not survives(secret, out)
    left = clean(seed, n)
    begun = time.process_time()
    changed = sum(a != b for a, b in zip(left, scrub(left), strict=True))
    return {kind: found[kind] / each for kind in TYPES}, changed / n, n / (time.process_time() - begun)


def fastest(seed: int) -> tuple[float, float]:
    """Queries a second of the function itself on one thread: clean ones, and the positives."""
    speeds = []
    for texts in (clean(seed, 100_000) * 10, [query for _, query, _ in positives(seed, 2_000)] * 10):
        array = pa.array(texts)
        begun = time.process_time()
        hn.scrub(array)
        speeds.append(len(texts) / (time.process_time() - begun))
    return speeds[0], speeds[1]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seed", type=int, default=100, help="of the probe set; the matchers were made on seeds 1 to 3"
    )
    parser.add_argument("--each", type=int, default=2_000, help="positives of each type")
    parser.add_argument("--clean", type=int, default=100_000, help="clean queries")
    parser.add_argument("--presidio", action="store_true", help="beside ours, on a twentieth of the set: it is slow")
    args = parser.parse_args()
    engines: dict[str, tuple[Scrub, int]] = {"ours": (ours, 1)}
    if args.presidio:
        engines["presidio"] = (presidio(), 20)
    results = {
        name: judged(scrub, args.seed, args.each // part, args.clean // part) for name, (scrub, part) in engines.items()
    }
    print("| | " + " | ".join(results) + " |\n|---|" + "---|" * len(results))
    for kind in TYPES:
        print(f"| {kind} | " + " | ".join(f"{recall[kind]:.4f}" for recall, _, _ in results.values()) + " |")
    print("| clean queries changed | " + " | ".join(f"{100 * wrong:.3f} %" for _, wrong, _ in results.values()) + " |")
    print("| from Python lists, queries a second | " + " | ".join(f"{s:,.0f}" for _, _, s in results.values()) + " |")
    hidden = {name: disguised(ours, disguise, args.seed, args.each) for name, disguise in DISGUISES.items()}
    print("\n| ours, disguised | " + " | ".join(hidden) + " |\n|---|" + "---|" * len(hidden))
    for kind in TYPES:
        print(f"| {kind} | " + " | ".join(f"{recall[kind]:.4f}" for recall in hidden.values()) + " |")
    clean_speed, found_speed = fastest(args.seed)
    print(f"\nhn.scrub on one thread: {clean_speed:,.0f} clean queries a second, {found_speed:,.0f} with a match")


if __name__ == "__main__":
    main()
