"""The configuration tree: one for Python, TOML files (`[section]`) and the command line (`--section.option`).

Defaults are those of docs/ARCHITECTURE.md. Every option is a public constant: none is read off the data.
"""

from __future__ import annotations

import datetime
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from .detector import Detector
from .exceptions import UsageError

Shape = Literal["auto", "rows", "pages", "events"]
Format = Literal["auto", "parquet", "ipc", "csv", "tsv", "ndjson", "lines"]
CandidatesClass = Literal["function_of_public_corpus", "frozen_before_window", "already_public"]
CANDIDATES_CLASSES: tuple[str, ...] = typing.get_args(CandidatesClass)
Rule = Literal[
    "skip_above",
    "last_click_skip_above",
    "click_no_click_next",
    "shown_not_clicked",
    "top_shown_never_clicked",
    "skipped",
    "clicked_for_related",
]
Carried = Literal[
    "users_shown",
    "users_clicked",
    "users_satisfied",
    "impressions",
    "clicks",
    "satisfied_clicks",
    "rejections",
    "skips",
    "skip_weight",
    "mean_position",
    "coec",
    "p_zero",
    "ctr_upper",
    "p_examined",
    "attractiveness",
    "attractiveness_lower",
    "attractiveness_upper",
]


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How a log is opened and brought to canonical columns."""

    preset: str | None = None
    """Mapping for a known schema, by name or as the path of a mapping file (docs/SOURCES.md); None maps canonical names
    to themselves and to `columns`."""
    shape: Shape = "auto"
    """`rows`: a row per result shown. `pages`: a row per page, with lists. `events`: impression and click events."""
    format: Format = "auto"
    """File format; auto goes by the name's ending, then by content."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name → the log's column, dots for nested fields: `{"query": "user_query"}`; "" leaves it aside."""
    # Values may be somebody's words, and a configuration is printed.
    constants: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Canonical name → one value for every row, for logs without that column: `query=homepage`, in Python and TOML
    `{"query": "homepage"}`."""
    impression_actions: tuple[str, ...] = ("impression",)
    """Event shape: values of `action` that say a result was shown; what is given replaces the list."""
    click_actions: tuple[str, ...] = ("click", "item_click")
    """Event shape: values of `action` that say a result was clicked; what is given replaces the list."""
    position_base: Literal["auto", "0", "1"] = "auto"
    """What the log calls the top position."""
    join_minutes: float = 30.0
    """Event shape without search ids: a click belongs to the latest page at most this much older."""
    batch_rows: int = 1_048_576
    """Rows per Arrow batch handed to the core: a Parquet row group or more, for dictionaries are judged once a batch.
    No result depends on it."""


@dataclass(frozen=True, kw_only=True)
class ScrubConfig:
    """Personal data in query text, found by its structure (docs/ARCHITECTURE.md, anonymize)."""

    action: Literal["mask", "token", "drop", "off"] = "mask"
    """`mask`: a match becomes its kind, `<email>`. `token`: its kind and a keyed token, equal for equal matches.
    `drop`: rows with a match are set aside. `off`: nothing is looked for."""
    kinds: tuple[str, ...] = ()
    """Which kinds; none named: all."""
    detector: Detector | None = None
    """A detector of your own, beside the kinds; in text, MODULE:FUNCTION."""


@dataclass(frozen=True, kw_only=True)
class CountConfig:
    """Cleaning, contribution bounding and counting (docs/ARCHITECTURE.md, count)."""

    max_votes: int = 3
    """Impressions of one (user, query, document) that count; 0 for all."""
    max_pairs_per_user: int = 20
    """Table `bounded`: (query, document) pairs of one user that count, chosen by seeded hash."""
    satisfied_dwell_ms: int = 10_000
    """A click is satisfied from this dwell time on."""
    session_gap_minutes: float = 30.0
    """Without session ids, an idle gap above this starts a new session."""
    min_page_length: int = 3
    """Pages with fewer impressions are left out (only in logs that have pages)."""
    max_position: int = 50
    """Impressions further down are left out."""
    robots: Literal["drop", "keep"] = "drop"
    """Whether users that behave like programs are left out."""
    max_searches_per_day: int = 50
    """Robot: more pages than this on one UTC day."""
    max_click_rate: float = 0.4
    """Robot: clicks per impression above this, from 100 impressions on."""
    min_click_rate: float = 0.004
    """Robot: clicks per impression below this, from 30 pages on."""
    min_median_dwell_ms: int = 1_500
    """Robot: median dwell time below this, from 10 clicks on."""
    surfaces: tuple[str, ...] = ()
    """Keep only rows of these surfaces (slots, sort orders); empty keeps all."""
    since: datetime.datetime | None = None
    """Leave out what was shown before."""
    until: datetime.datetime | None = None
    """Leave out what was shown from then on."""
    half_life_days: float | None = None
    """Thin pages by age before `until`: half of those this old are kept."""
    page_counts: Literal["off", "on"] = "off"
    """Also count whole pages, for click models that need them."""


@dataclass(frozen=True, kw_only=True)
class ReleaseConfig:
    """Constants of a release under differential privacy (docs/PRIVACY.md).

    All are public: choose them without a look at the log. A choice made by looking at a release has cost what it cost.
    """

    mechanism: Literal["weighted_gaussian", "pag"] = "weighted_gaussian"
    """Which queries may be named: `weighted_gaussian` (Gopi et al. 2020), or `pag`, several rounds that aim at what is
    nearly known. `pag` names about twice as many; its proof is ours, and new."""
    max_queries_per_user: int = 50
    """Queries of one user that count in choosing queries: a random sample."""
    rounds: int = 16
    """Rounds of `pag`."""
    max_pairs_per_user: int = 100
    """Pairs (query, document) shown to one user that count in choosing pairs, without candidates: a random sample."""
    selection_share: float | None = None
    """Part of the budget (of mu squared) for choosing; the rest counts clicks. 0.6, with `pag` 0.3; without candidates,
    where pairs are chosen, too, 0.75 and 0.5."""
    pairs_share: float = 0.8
    """Part of that for choosing pairs, where there are no candidates; the rest chooses queries."""
    delta_share: float = 0.5
    """Part of delta for the thresholds of choosing."""
    clip: float = 0.5
    """What one user may add to the clicks in all, in clicks: smaller means less noise, and less of heavy users."""
    impression_weight: float = 0.25
    """Weight of an impression beside that of a click at the top."""
    examination_exponent: float = 1.0
    """P(examined at position r) is taken as r to the minus this; 0 for lists without position bias."""
    positions: Literal["listed", "own"] = "listed"
    """Where a click was made: where the candidates list the document, or, for lists that change, where that user saw it
    (inverse propensity weights, clipped). Without candidates always where the user saw it."""
    exposure_weight: float = 0.0
    """Weight of an impression of each document beside that of a click at the top, for lists that change; 0 counts
    impressions of queries only."""


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Expected clicks, examination, and what follows from them."""

    shrinkage: float = 1.0
    """Prior clicks and prior expected clicks added to both sides of COEC."""
    page_depth: int = 10
    """A skip at position r weighs page_depth + 1 - r in `skip_weight`."""
    debias: Literal["auto", "ubm", "pbm", "propensities", "logged", "none"] = "auto"
    """Where examination comes from: a click model, fitted (`ubm`, `pbm`), or of these and `none` the one that explains
    held-out impressions best (`auto`); `propensities` as given; `logged`: the log's column propensity, mean of each
    position; `none`: everything shown counts as looked at."""
    propensities: tuple[float, ...] = ()
    """For `propensities`: P(looked at) by position, from the top; positions further down are like the last."""
    bound: float = 0.9
    """P(attractiveness is below `attractiveness_upper`), and above `attractiveness_lower`."""


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """Positives, rules, guards, caps and tuples."""

    preset: Literal["", "retriever", "reranker", "pairwise", "strict"] = ""
    """What the negatives are for; sets those other options that are left at their defaults."""
    rules: tuple[Rule, ...] = (
        "skip_above",
        "last_click_skip_above",
        "top_shown_never_clicked",
        "shown_not_clicked",
    )
    """Rules by name; the first that yields a pair names it."""
    positive_users: int = 1
    """A positive needs this many users with a satisfied click (k-users: at least K)."""
    positive_p_relevant: float = 0.5
    """A positive is relevant with at least this probability; 0, and logs that do not tell it, leave it to …"""
    positive_coec: float = 1.0
    """… a positive has two satisfied clicks, or one of few, and is clicked more than this times what its positions
    explain."""
    max_positives_per_query: int = 4
    """Positives kept per query, best first."""
    own_positive: Literal["strict", "users", "satisfied"] = "satisfied"
    """strict: one click by anybody rules a negative out. users: `own_positive_users` users do. satisfied: one satisfied
    click does."""
    own_positive_users: int = 2
    """See `own_positive`."""
    alike_clicks: float = 0.1
    """What alike queries tell of a document enters P(relevant). Such are queries whose satisfied clicks have a cosine
    above this; 1 switches it off …"""
    alike_words: float = 0.3
    """… or whose words, weighted by rarity, have one above this; 1 switches it off."""
    same_intent_clicks: float = 0.2
    """What satisfied somebody for a query of the same intent is no negative. Such is a query whose satisfied clicks
    have a cosine above this; 1 switches it off …"""
    same_intent_words: float = 0.4
    """… or whose words, weighted by rarity, have one above this; 1 switches it off."""
    chain_users: int = 0
    """What this many users clicked when they asked anew, in the same session and other words, is no negative; 0
    switches it off."""
    max_attractiveness: float = 1.0
    """Upper bound of attractiveness (`evidence.bound`) of every negative: at most this share of that of a document
    never looked at; less is purer and fewer, 1 switches it off."""
    min_examinations: float = 0.0
    """Every negative was looked at this often, as far as positions tell; 0 switches it off."""
    alpha: float = 1.0
    """Zero-click significance: P(Poisson(expected clicks) <= clicks) must not exceed it; 1 switches it off."""
    negative_coec: float = 1.0
    """An absolute negative is clicked less than this times what its positions explain."""
    min_impressions: int = 1
    """An absolute negative was shown at least this often."""
    max_ctr_upper: float = 1.0
    """Wilson upper bound (z 1.96) of the click rate of an absolute negative; 1 switches it off."""
    max_p_false_negative: float = 0.1
    """A negative is relevant with at most this probability; 1 switches it off."""
    target_fnr: float = 0.0
    """Share of the negatives that may be relevant, in expectation: the limit of P(relevant) follows from the log, and
    is never above `max_p_false_negative`; 0 leaves it there."""
    top_positions: float = 10.0
    """top_shown_never_clicked: mean position at most this."""
    abandoned: Literal["drop", "keep"] = "drop"
    """drop: pages without a click make no absolute negatives."""
    duplicate_words: float = 1.0
    """A negative shares at most this part of its words (Jaccard) with a positive, by the texts of `documents`; 1
    switches it off."""
    duplicate_vectors: float = 1.0
    """The cosine of a negative's vector with that of a positive is at most this; 1 switches it off."""
    max_score: float | None = None
    """A negative's score (`scores`, `scorer`, or vectors) is at most this …"""
    min_score: float | None = None
    """… at least this …"""
    absolute_margin: float | None = None
    """… at most the least score of the query's positives less this …"""
    relative_margin: float | None = None
    """… and less this share of that score's size: .05 is the filter of NV-Retriever. What has no score is no negative
    where one of these four is set."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """What the score of vectors is."""
    order: Literal["examined", "random", "skip_weight", "score", "ambiguous"] = "examined"
    """Which negatives a cap keeps: drawn, likelier the more often users looked at them, which are the harder ones, and
    the less likely they are relevant: by examinations / p_false_negative; by seeded hash alone; the most often skipped
    near the top; the highest scores; or drawn, likelier where the score is near that of a positive (SimANS): by
    exp(-a (score - score of the positive - b)^2)."""
    ambiguous_a: float = 1.0
    """a of `order` ambiguous: 1 over the square of how far away a score still counts."""
    ambiguous_b: float = 0.0
    """b of `order` ambiguous; below 0 for negatives a little less relevant than the positive."""
    max_negatives_per_query: int = 10
    """Negative documents kept per query, of all kinds."""
    semi_negatives: int = 0
    """Of these, documents that a search engine returned (`retrieved`) and that were never shown, …"""
    easy_negatives: int = 0
    """… and any documents never shown, drawn at random."""
    fill: Literal["none", "semi", "easy"] = "none"
    """What completes the negatives of a query with fewer: retrieved documents (`semi`); these, then random ones
    (`easy`)."""
    draw: Literal["uniform", "popularity"] = "uniform"
    """Which random ones: all alike, or those shown often more often, by impressions to the power of .75."""
    retriever: Literal["given", "bm25"] = "given"
    """Where retrieved documents come from: the table `retrieved` (given), or what BM25 finds in `documents` (bm25, by
    the package bm25s)."""
    retrieved_from: int = 30
    """The first rank of retrieved documents that is taken: what stands above was likely shown, or is relevant …"""
    retrieved_to: int = 200
    """… and the last."""
    max_queries_per_document: int = 1_000
    """Queries that one document may be a negative of."""
    num_negatives: int = 1
    """Negatives per training row: negative_1 … negative_n."""
    refill: Literal["drop", "repeat", "random"] = "drop"
    """What to do with a row that has too few negatives."""
    validation: float = 0.0
    """Share of the queries in the split `validation`: queries of one intent (the same directly or through others, at
    most a fortieth of all, or 16) are never on both sides; 0 for no split."""
    curriculum: Literal["off", "on"] = "off"
    """on: negatives have a column `curriculum`, the share of them that are easier, for training from easy to hard."""
    carry: tuple[Carried, ...] = ()
    """Evidence columns to carry into `negatives`, such as `skips`."""


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """Negatives of a release under differential privacy: less clicked than the query's positive, beyond the noise."""

    margin: float = 1.0
    """A negative is less attractive than this times its positive …"""
    confidence: float = 1.0
    """… by this many standard deviations of the noise: 1 had 95 % of pairs in the right order on simulated logs, 2 had
    98.5 %, and fewer of them."""


@dataclass(frozen=True, kw_only=True)
class RelatedConfig:
    """Related queries, and the documents clicked for them."""

    top_related: int = 10
    """Related queries kept per query, nearest first."""
    min_queries_per_document: int = 2
    """A document relates queries where it was clicked for at least this many."""
    max_queries_per_document: int = 200
    """And for at most this many: what is clicked for everything relates nothing, and costs its square."""
    top_documents: int = 20
    """Documents kept per query, highest score first."""


@dataclass(frozen=True, kw_only=True)
class ClickModelConfig:
    """Click models (docs/CLICK_MODELS.md)."""

    definition: Literal["standard", "pyclick"] = "standard"
    """`standard`: priors fitted to the data, passes until the fold held out is explained no better. `pyclick`: one hit
    in two trials for everything, 50 passes, as that package defines its estimates."""
    no_click: Literal["examined", "first", "drop"] = "examined"
    """CM, DCM, SDBN: of a page without a click all results were examined, the first was, or the page is left out."""
    gamma: str = "free"
    """DBN: the probability of going on is learnt (`free`), learnt for each position (`position`), or given (`0.9`)."""
    max_iterations: int = 200
    """PBM, UBM, DBN: passes at most."""
    tolerance: float = 1e-6
    """Passes end where five of them did not raise the mean held-out log-likelihood of an impression by this much."""
    max_position: int = 50
    """Results further down are left out."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole tree.

    `seed` steers all sampling, `threads` 0 takes every core. `memory` is the budget for counting, releasing and
    selecting in bytes, or text such as "512MB"; 0 takes a quarter of the machine's memory. What does not fit goes,
    encrypted, to an unnamed file in `spill_dir` ("" for the system's folder for temporary files).
    """

    seed: int = 0
    threads: int = 0
    memory: int | str = 0
    spill_dir: str = ""
    read: ReadConfig = field(default_factory=ReadConfig)
    scrub: ScrubConfig = field(default_factory=ScrubConfig)
    count: CountConfig = field(default_factory=CountConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    related: RelatedConfig = field(default_factory=RelatedConfig)
    click_model: ClickModelConfig = field(default_factory=ClickModelConfig)


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """How what leaves is protected: made by `Privacy.k_users(10)`, `Privacy.none()` or `Privacy.dp(…)`."""

    mode: Literal["none", "k_users", "dp"]
    k: int | None = None
    epsilon: float | None = None
    delta: float | None = None
    lineage: str | None = None
    ledger: str | None = None
    candidates: object = field(default=None, repr=False)
    candidates_class: str | None = None
    public_queries: object = field(default=None, repr=False)
    public_queries_class: str | None = None
    override_dp_claim: bool = False

    @classmethod
    def none(
        cls,
        *,
        lineage: str | None = None,
        ledger: str | os.PathLike[str] | None = None,
        override_dp_claim: bool = False,
    ) -> Privacy:
        """Everything passes. For logs that are nobody's secret. The options are those of `k_users`.

        Raises:
            UsageError: names that cannot be.
        """
        return cls(mode="none", **_entered(lineage, ledger, override_dp_claim=override_dp_claim))

    @classmethod
    def k_users(
        cls,
        k: int,
        *,
        lineage: str | None = None,
        ledger: str | os.PathLike[str] | None = None,
        override_dp_claim: bool = False,
    ) -> Privacy:
        """Only what at least `k` users stand behind is named. Not differential privacy.

        Args:
            k: the threshold.
            lineage: name of the data this is a release of. Together with it no release of the lineage is
                differentially private, which its ledger then says.
            ledger: file of the budget, where `lineage` is given.
            override_dp_claim: release although the lineage was released under differential privacy, whose claim ends.

        Raises:
            UsageError: k below 2; names that cannot be.
        """
        if k < 2:
            raise UsageError(f"k_users is {k}; with fewer than 2, single persons' rows would pass")
        return cls(mode="k_users", k=k, **_entered(lineage, ledger, override_dp_claim=override_dp_claim))

    @classmethod
    def dp(
        cls,
        *,
        epsilon: float,
        lineage: str,
        ledger: str | os.PathLike[str],
        delta: float = 1e-8,
        candidates: object = None,
        candidates_class: CandidatesClass | None = None,
        public_queries: object = None,
        public_queries_class: CandidatesClass | None = None,
        override_dp_claim: bool = False,
    ) -> Privacy:
        """User-level differential privacy: one user id more or less hardly changes what leaves (docs/PRIVACY.md).

        Args:
            epsilon: the claim, for one user id over the log that is read.
            lineage: name of the data this is a release of; releases of one lineage add up in the ledger.
            ledger: file of the budget; see `hardneg_fast.ledger`.
            delta: the claim. A constant, well below one over the number of users; never read off the data. It may be 0
                where both queries and candidates are public: noise is then discrete Laplace, and what remains of delta
                is the 2^-64 of telling users apart.
            candidates: the documents that each query may be judged on: a table or Parquet file with query, doc_id and,
                where lists are ranked, position. It must be public; without it, pairs are chosen under noise from what
                users were shown, which costs budget and finds fewer.
            candidates_class: why `candidates` is public: it is a `function_of_public_corpus` (BM25, or a public model
                over public documents), was `frozen_before_window`, or is `already_public` (anybody can ask for it).
            public_queries: the queries to release, all of them, asked or not: a table or Parquet file with query. It
                must be public; without it, queries are chosen under noise.
            public_queries_class: why `public_queries` is public; as for `candidates_class`.
            override_dp_claim: release although the lineage had a release that is not differentially private; then
                nothing of it is, and the output says so instead of the claim.

        Raises:
            UsageError: figures or names that cannot be.
        """
        if not (isinstance(epsilon, int | float) and 0 < epsilon <= 100):
            raise UsageError(f"epsilon is {epsilon!r}; give a number above 0 and at most 100 (1 is strong, 8 is weak)")
        pure = delta == 0 and candidates is not None and public_queries is not None
        if not (isinstance(delta, int | float) and (1e-15 <= delta <= 0.1 or pure)):
            raise UsageError(
                f"delta is {delta!r}; give a number well below one over the number of users, such as 1e-8 (0 needs "
                "public queries and candidates)"
            )
        if not isinstance(lineage, str) or not lineage:
            raise UsageError("lineage is empty; name the data that this is a release of, such as web-2026 (--lineage)")
        if not ledger:
            raise UsageError(
                "a release under differential privacy is entered in a ledger: give its file (--ledger PATH)"
            )
        for name, given, why in (
            ("candidates", candidates, candidates_class),
            ("public_queries", public_queries, public_queries_class),
        ):
            if (given is None) != (why is None):
                raise UsageError(
                    f"{name} and {name}_class go together: say why they are public, one of "
                    + ", ".join(CANDIDATES_CLASSES)
                )
            if why is not None and why not in CANDIDATES_CLASSES:
                raise UsageError(f"{name}_class is {why!r}; choose one of {', '.join(CANDIDATES_CLASSES)}")
        return cls(
            mode="dp",
            epsilon=float(epsilon),
            delta=float(delta),
            lineage=lineage,
            ledger=os.fspath(ledger),
            candidates=candidates,
            candidates_class=candidates_class,
            public_queries=public_queries,
            public_queries_class=public_queries_class,
            override_dp_claim=override_dp_claim,
        )


class _Entered(TypedDict):
    lineage: str | None
    ledger: str | None
    override_dp_claim: bool


def _entered(lineage: str | None, ledger: str | os.PathLike[str] | None, *, override_dp_claim: bool) -> _Entered:
    """Under which lineage a release that is not differentially private is entered, if under any.

    Raises:
        UsageError: one without the other.
    """
    if bool(lineage) != bool(ledger):
        raise UsageError("lineage and ledger go together: --lineage NAME --ledger FILE")
    if override_dp_claim and not lineage:
        raise UsageError("there is no claim to override without a lineage: --lineage NAME --ledger FILE")
    return {
        "lineage": lineage or None,
        "ledger": os.fspath(ledger) if ledger else None,
        "override_dp_claim": override_dp_claim,
    }
