"""The worlds by name: how people, rankers and machines behave in them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scenario:
    """Public constants of a world; shares are of searches unless said."""

    name: str = "base"
    steepness: float = 1.0
    """P(examined at r) of a PBM user is r to the minus this, on average."""
    cascade: float = 0.5
    """Share of users that read from the top until satisfied (DBN)."""
    trust: float = 0.03
    """Clicks added at the top because it is the top; fades with rank."""
    accidents: float = 0.004
    """Clicks nobody meant, of rows shown; they last under three seconds."""
    bad_snippets: float = 0.08
    """Share of relevant pairs that do not look it."""
    clickbait: float = 0.02
    """Share of documents that everybody clicks and leaves."""
    click_bots: float = 0.01
    scrapers: float = 0.03
    """They read and never click, deep and in the tail."""
    spam: float = 0.01
    """They click one document of a query, with plausible dwell times."""
    duplicates: float = 0.02
    """Searches that are in the log twice."""
    standing_noise: float = 0.9
    """The ranker's errors that stay; in standard deviations of its scores, like the next two."""
    epoch_noise: float = 0.5
    jitter: float = 0.3
    paraphrase: float = 0.25
    """Probability that a word of a query is another word for the thing, or left out."""
    variants: float = 1.0
    """Times the collection's queries per intent."""
    drift: float = 0.0
    """Share of relevant pairs that expire during the log, and the same share that are not there from the start."""


BASE = Scenario()
NO_MACHINES = {"click_bots": 0.0, "scrapers": 0.0, "spam": 0.0, "duplicates": 0.0}
SCENARIOS: dict[str, Scenario] = {
    name: replace(BASE, name=name, **changes)
    for name, changes in {
        "base": {},
        "clean": {**NO_MACHINES, "trust": 0.0, "accidents": 0.0, "bad_snippets": 0.0, "clickbait": 0.0},
        "strongbias": {"steepness": 1.7},
        "weakbias": {"steepness": 0.4},
        "bots": {"click_bots": 0.05, "scrapers": 0.12, "spam": 0.05, "duplicates": 0.06},
        "nobots": NO_MACHINES,
        "cascade": {"cascade": 1.0},
        "clickbait": {"clickbait": 0.10},
        "poorranker": {"standing_noise": 2.0, "epoch_noise": 1.0},
        "paraphrase": {"paraphrase": 0.5, "variants": 3.0},
        "trust": {"trust": 0.20},
        "drift": {"drift": 0.25},
    }.items()
}
