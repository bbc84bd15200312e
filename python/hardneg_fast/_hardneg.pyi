"""The core of hardneg_fast. Thin: meanings of tables and options are in docs/ARCHITECTURE.md.

Every function releases the GIL round its work. Tables and streams speak the Arrow PyCapsule interface; inputs are any
object with `__arrow_c_stream__`, `__arrow_c_array__`. Options are the fields of the configuration sections, as JSON.
"""

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, TypedDict, final, type_check_only

import pyarrow as pa

from .detector import Detector

__all__ = [
    "DEBUG_BUILD",
    "ChunkPages",
    "ClickLog",
    "ClickModel",
    "Contributions",
    "Counts",
    "Evidence",
    "Keys",
    "ParquetFiles",
    "ParquetFooter",
    "ParquetLog",
    "Related",
    "Released",
    "Selected",
    "Stream",
    "Table",
    "Whole",
    "__version__",
    "answer",
    "canonicalize",
    "choose_click_model",
    "click_log",
    "click_log_counted",
    "contribute",
    "copy_pages",
    "count",
    "discrete_laplace",
    "estimate_propensities",
    "evidence",
    "evidence_of_part",
    "fit_click_model",
    "gather",
    "load",
    "merge",
    "normalize",
    "orphan",
    "parquet_files",
    "parquet_footer",
    "pseudonymize",
    "refuse_if_orphaned",
    "related_clicks",
    "related_released",
    "release",
    "rewrite",
    "rounded_gaussian",
    "scrub",
    "scrub_words",
    "select",
    "unpack",
    "unpack_released",
]

__version__: str
DEBUG_BUILD: bool

_Part: TypeAlias = tuple[int, int]
_Fetch: TypeAlias = Callable[[list[_Part], list[_Part]], list[bytes]]

@type_check_only
class Stats(TypedDict):
    rows: int
    quarantine: dict[str, int]
    timestamp_notations: dict[str, int]
    scrubbed: dict[str, int]

@type_check_only
class Parts(TypedDict):
    """Of users and of queries: how many parts there are, and which these are. `config` is a hash."""

    users: tuple[int, list[int]]
    queries: tuple[int, list[int]]
    config: str
    key_id: str

@type_check_only
class ColumnCopied(TypedDict):
    """Row groups: copied, dictionary rewritten, and decoded and encoded by reason."""

    copied: int
    rewritten: int
    recoded: dict[str, int]

@type_check_only
class Copied(TypedDict):
    """What became of a copy; `refused` says why there is none."""

    refused: str | None
    rows: int
    how: list[ColumnCopied]

@type_check_only
class Funnel(TypedDict):
    queries_with_positive: int
    queries_with_negative: int
    positives: int
    candidates: dict[str, int]
    guards: dict[str, int]
    caps: dict[str, int]
    negatives: dict[str, int]
    rules_off: dict[str, str]
    rows: int
    triplets: int
    short_rows: int

@type_check_only
class Yield(TypedDict):
    limit: float
    negatives: float
    relevant: float
    variance: float
    queries: int
    queries_4: int
    queries_full: int
    searches_4: int

@type_check_only
class Told(TypedDict):
    limit: float | None
    apart: float
    agreement: list[tuple[float, float | None, float]]
    yields: list[Yield]
    searches: int

@type_check_only
class Explained(TypedDict):
    doc_id: str
    outcome: Literal["positive", "more_positive", "negative", "not_proposed", "guarded", "capped", "no_positive"]
    guard: str | None
    rank: int | None
    rules: list[tuple[str, str | None]]
    guards: list[tuple[str, bool, float | None, float | None]]
    alike_queries: int | None
    alike_satisfied: int | None
    impressions: int
    clicks: int
    satisfied_clicks: int
    p_relevant: float | None

@final
class Table:
    """A table of the core; any Arrow consumer takes it, any number of times."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def select(self, columns: list[str], /) -> Table:
        """Only these columns, in the order that they have here; the others are not made.

        UsageError for one that the table does not have.
        """

    def with_metadata(self, metadata: dict[str, str]) -> Table:
        """The same table, whose schema says this."""

    def write_parquet(self, path: PathLike[str], /, *, columns: list[tuple[str, str]], threads: int) -> None:
        """Writes columns under new names over the file at `path`."""

@final
class Stream:
    """A log on its way through; it can be read once. `stats` are complete when it was."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def stats(self) -> Stats: ...
    def failure(self) -> BaseException | None:
        """What it broke off with, which its readers are not told."""

@final
class ParquetLog:
    """Columns of Parquet files. `count` reads it by all its threads; as a stream or by batches it can be read once."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches, and DataError with the name of the file where one is not what it should be."""

    def __next__(self) -> pa.RecordBatch: ...

@final
class ParquetFiles:
    """Parquet files whose footers were read."""

    def tops(self) -> list[int]:
        """Of each leaf of the first file, in order: the number of the field of the top level that it is in."""

    def columns(self, columns: Sequence[tuple[str, str | int]], /, *, batch_rows: int) -> ParquetLog | None:
        """Opens them as one log; None where they are none (types that differ), or use what cannot be read here.

        Args:
            columns: the name that it gets, and its path in the files, or the number of a leaf.
            batch_rows: upper bound of rows per batch; a batch lies within one row group.
        """

@final
class ParquetFooter:
    """What the footer of a Parquet file says of its column chunks."""

    def at_least(self, path: str, least: int) -> bool:
        """Whether the statistics of every row group say that no value of this number column is less."""

    def chunks(self) -> list[tuple[str, int, int]]:
        """Of each column chunk: path of its column, offset in the file, bytes."""

    def pages(self, number: int, chunk: bytes) -> ChunkPages:
        """The pages of column chunk `number`, which is these bytes.

        Raises:
            DataError: when a page is asked for that is not what its header says.
        """

@final
class ChunkPages:
    """Pages of a column chunk, decompressed, one after the other."""

    def __iter__(self) -> ChunkPages: ...
    def __next__(self) -> bytes: ...

@final
class Counts:
    """Counts of a log: exact, private."""

    def table(self, name: str, /, *, columns: list[str]) -> Table: ...
    def save(self, path: str | PathLike[str], /, *, called: str | PathLike[str]) -> None: ...
    def pack(self) -> bytes:
        """The bytes of the file that `save` writes."""

    def split(self, of: int, /) -> list[bytes]:
        """Parts of the queries, each as `pack` makes it; what is not counted by query goes with the first."""

    def stats(self) -> Stats: ...
    @property
    def parts(self) -> Parts | None: ...
    @property
    def disjoint(self) -> bool: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    @property
    def sizes(self) -> dict[str, int]: ...
    @property
    def has(self) -> dict[str, bool]: ...
    @property
    def tables(self) -> list[str]: ...
    @property
    def options(self) -> dict[str, str]:
        """Options that counts to be merged must share, as JSON; `scrub` in words; `users` where they are sessions."""

@final
class Contributions:
    """What each user contributes to a private release: exact, for this process alone, never written."""

    def select(
        self, *, max_items: int, sigma: int, thresholds: list[int], biases: list[list[int]], threads: int
    ) -> Keys:
        """Queries that may be named: docs/PRIVACY.md, partition selection."""

    def public(self, queries: list[str], /) -> Keys:
        """Queries that are public, asked or not; without scores."""

    def select_pairs(
        self,
        keys: Keys,
        /,
        *,
        shown: bool,
        max_items: int,
        sigma: int,
        thresholds: list[int],
        biases: list[list[int]],
        threads: int,
    ) -> list[tuple[int, str, int, int]]:
        """(query, document)s of keys that may be named: number of the key, document, noisy pooled score, rounds."""

    def clicks(
        self,
        keys: Keys,
        /,
        *,
        shown: list[int],
        rows: list[int],
        docs: list[str],
        positions: list[int],
        weights: list[int],
        exposures: list[int],
        length: int,
        noise: str,
        scale: int,
        examined: list[int],
        most: int,
        threads: int,
    ) -> tuple[list[int], list[int], list[int]]:
        """Noisy impressions by key, noisy clicks by row, and noisy impressions by row if any of `exposures` is not 0.

        A row is a number of a key, a document, its listed position, the weights of a click and of an impression. Where
        `examined` has entries, clicks weigh by the user's own position, at most `most` times as much.
        """

    def stats(self) -> Stats: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    @property
    def users(self) -> int: ...

@final
class Keys:
    """Released queries in canonical order, and the noisy pooled scores that released them, after so many rounds."""

    @property
    def queries(self) -> list[str]: ...
    @property
    def scores(self) -> list[int]: ...
    @property
    def rounds(self) -> list[int]: ...

@final
class Released:
    """What passed the release."""

    def table(self) -> Table: ...
    def pack(self) -> bytes:
        """The tables as bytes, for `unpack_released`."""

    @property
    def part(self) -> tuple[int, int] | None: ...
    @property
    def k(self) -> int | None: ...
    @property
    def passed(self) -> dict[str, tuple[int, int]]: ...

@type_check_only
class EvidencePosition(TypedDict):
    """Figures of a position; docs/ARCHITECTURE.md, evidence."""

    position: int
    examination: float
    lower: float | None
    upper: float | None
    attraction: list[float] | None
    prior: list[float] | None

@type_check_only
class EvidenceModel(TypedDict):
    """What all pairs have in common; docs/ARCHITECTURE.md, evidence."""

    debias: str
    reason: str
    held_out: dict[str, float]
    attractiveness_prior: tuple[float, float]
    kinds: str | None
    unknown: str | None
    satisfied: list[float] | None
    attractive: list[float] | None
    positions: list[EvidencePosition]
    places: list[tuple[int, int, float]]

@final
class Evidence:
    """Evidence per (query, document)."""

    @property
    def model(self) -> EvidenceModel: ...
    def table(self) -> Table: ...
    def positions(self) -> Table: ...

@type_check_only
class Figures(TypedDict):
    """How well a model explains results; docs/CLICK_MODELS.md, Metrics."""

    impressions: float
    clicks: float
    log_likelihood: float
    perplexity: float
    conditional_perplexity: float
    click_perplexity: float
    skip_perplexity: float

@type_check_only
class Propensity(TypedDict):
    """A position's propensity relative to the top's."""

    position: int
    propensity: float | None
    lower: float | None
    upper: float | None
    impressions: int
    clicks: int

@type_check_only
class Candidate(TypedDict):
    """A model that was tried."""

    model: str
    parameters: int
    held_out: float | None
    behind: float | None
    standard_error: float | None
    passes: int | None
    verdict: str

@final
class ClickLog:
    """A log grouped for click models."""

    def stats(self) -> Stats: ...
    @property
    def sizes(self) -> dict[str, int]: ...
    @property
    def has(self) -> dict[str, bool]: ...
    def pairs(self) -> Table: ...

@final
class ClickModel:
    """A model fitted to a log."""

    def attractiveness(self) -> Table: ...
    def places(self) -> Table: ...
    @property
    def model(self) -> str: ...
    @property
    def apart(self) -> list[int]: ...
    @property
    def iterations(self) -> int: ...
    @property
    def converged(self) -> bool: ...
    @property
    def held_out(self) -> float | None: ...
    @property
    def history(self) -> list[float]: ...
    @property
    def gamma(self) -> float | None: ...
    @property
    def attraction_prior(self) -> tuple[float, float] | None: ...
    @property
    def satisfaction_prior(self) -> tuple[float, float] | None: ...
    def predict(
        self, log: ClickLog, /, *, threads: int, progress: Callable[[str, int, float | None], object] | None = None
    ) -> Table: ...
    def metrics(
        self,
        log: ClickLog,
        /,
        *,
        definition: str,
        threads: int,
        progress: Callable[[str, int, float | None], object] | None = None,
    ) -> tuple[Figures, dict[int, Figures], int]:
        """Figures of all, by position, and the pages they are of; `definition` is JSON, "clax" or "pyclick"."""

@final
class Related:
    """Related queries, and the documents clicked for them."""

    def related(self) -> Table: ...
    def documents(self) -> Table: ...
    def stats(self) -> Stats: ...
    @property
    def queries(self) -> int: ...

@final
class Selected:
    """Selected negatives."""

    def negatives(self) -> Table: ...
    def positives(self) -> Table: ...
    def triplets(self) -> Table: ...
    @property
    def funnel(self) -> Funnel: ...
    @property
    def told(self) -> Told: ...
    def outcome(self) -> bytes:
        """Of a part: what all parts together have to know of it."""

    def explain(self, query: str) -> list[Explained] | None:
        """Documents of a normalised query; None where it was not released."""

@final
class Whole:
    """All queries of a release in parts."""

    def __new__(cls, of: int, /, *, k: int | None, evidence: str, select: str, seed: int, threads: int) -> Whole: ...
    def question(self) -> bytes | None:
        """What every part is to answer next; None where all is known."""

    def take(self, answers: list[bytes]) -> None:
        """Takes in the answers of all parts, in their order."""

    def share(self, number: int) -> bytes:
        """What a part is weighed and selected by."""

    def settle(self, outcomes: list[bytes]) -> list[int]:
        """Takes in the outcomes of all parts, in their order; the parts to be selected from again."""

    def evidence(self) -> Evidence:
        """What all pairs have in common, without rows."""

    @property
    def told(self) -> Told: ...

def answer(released: Released, question: bytes, /, *, threads: int) -> bytes:
    """What a part says to a question."""

def evidence_of_part(released: Released, share: bytes, /) -> Evidence:
    """Evidence of a part by its share."""

def pseudonymize(ids: Any, /, *, key: bytes, field: str, epoch: str, dataset: str) -> Any:
    """16-byte HMAC-SHA256 pseudonyms of an array, as an Arrow array."""

def normalize(queries: Any, /, *, scrub: tuple[str, Detector | None], key: bytes | None) -> Any:
    """Normalised query texts of an array, as an Arrow array."""

def scrub(queries: Any, /, *, options: tuple[str, Detector | None], key: bytes | None) -> Any:
    """Texts of an array with personal data replaced; `options` is a `ScrubConfig` as JSON, and its detector."""

def scrub_words(scrub: tuple[str, Detector | None], /) -> str:
    """What counts say of how their queries were scrubbed: their option `scrub`."""

def orphan() -> None:
    """From now on every call in this process is refused: it is the child of a fork that was made beside work."""

def refuse_if_orphaned() -> None:
    """Raises UsageError after `orphan`."""

def parquet_files(files: Sequence[str | PathLike[str] | tuple[str, int, _Fetch]], /) -> ParquetFiles | None:
    """Reads the footers of Parquet files; None where one cannot be used here (encryption).

    Args:
        files: those of one log: a path, or of one on another file system its base name, its bytes, and a function from
            parts (where each begins, and its bytes) and those that are probably wanted next to the bytes of the former.
    """

def parquet_footer(footer: bytes, /, *, name: str) -> ParquetFooter:
    """Reads a footer: the bytes before the last eight of file `name`. Never ends the process, whatever they are."""

def canonicalize(log: Any, /, *, position_base: int) -> Stream:
    """A log as canonical impressions, raw identifiers included."""

def rewrite(
    log: Any,
    /,
    *,
    position_base: int,
    key: bytes,
    epoch: str,
    dataset: str,
    day: bool,
    normalise: bool,
    scrub: tuple[str, Detector | None],
    keep: list[str],
    plain: list[str],
) -> Stream:
    """A log as canonical impressions without raw identifiers, and the columns of `keep` as they are.

    Identifiers in `plain` stay raw: for a caller that replaces them.
    """

def copy_pages(
    files: list[str],
    out: str | PathLike[str],
    /,
    *,
    columns: list[tuple[str, str, bool]],
    key: bytes,
    epoch: str,
    dataset: str,
    threads: int,
) -> Copied:
    """Copies columns of Parquet files by their pages into `out`, which is there and empty.

    `columns` are name in the copy, name in the files, and whether its values become pseudonyms, whose field is the name
    in the copy. Signals are heard about ten times a second; what they raise stops the work.
    """

def contribute(
    log: object,
    /,
    *,
    options: str,
    scrub: tuple[str, Detector | None],
    position_base: int,
    has_pages: bool,
    shown: bool,
    threads: int,
    memory: int,
    spill: str | PathLike[str],
    progress: Callable[[str, int, float | None], object] | None = None,
) -> Contributions: ...
def discrete_laplace(scale: int, n: int, /) -> list[int]:
    """Samples with probabilities proportional to exp(-|z| / scale)."""

def rounded_gaussian(sigma: int, n: int, /) -> list[int]:
    """Samples of a normal of standard deviation sigma, rounded to the nearest whole number."""

def count(
    log: Any,
    /,
    *,
    options: str,
    scrub: tuple[str, Detector | None],
    key: bytes,
    seed: int,
    position_base: int,
    has_pages: bool,
    sessions_stand_for_users: bool,
    threads: int,
    memory: int,
    spill: str | PathLike[str],
    part: tuple[int, int, str, str] | None = None,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> Counts:
    """Counts a log.

    `memory` is in bytes; what does not fit goes, encrypted, to an unnamed file in `spill`. `progress` is called with
    stage, rows and the share of the stage that is done about ten times a second; what it raises stops the job.
    """

def click_log(
    log: Any,
    /,
    *,
    normalize: bool,
    scrub: tuple[str, Detector | None],
    key: bytes,
    seed: int,
    position_base: int,
    max_position: int,
    threads: int,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> ClickLog:
    """Groups a stream for click models.

    It has rows (query, doc_id, clicked, position, search_id), or cells (query, doc_id, position, previous_click, fold,
    impressions, clicks).
    """

def click_log_counted(counts: Counts, /, *, seed: int) -> ClickLog:
    """Groups cells, and pages where they were counted."""

def fit_click_model(
    log: ClickLog,
    /,
    *,
    model: str,
    options: str,
    threads: int,
    m_step: Callable[[bytes, bytes], bytes] | None = None,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> ClickModel:
    """Fits a model by its name; `m_step` makes shares of pairs' expected hits and trials, all as native doubles."""

def choose_click_model(
    log: ClickLog,
    /,
    *,
    options: str,
    threads: int,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> tuple[ClickModel, list[Candidate], str]:
    """Fits the model that explains results held out best; what was tried, and the reason in a sentence."""

def estimate_propensities(
    log: ClickLog,
    /,
    *,
    method: str,
    definition: str,
    replicates: int,
    seed: int,
    threads: int,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> list[Propensity]:
    """Propensities; `method`, such as "all_pairs", and `definition`, "standard" or "agarwal", are JSON."""

def load(path: str | PathLike[str], /, *, memory: int, spill: str | PathLike[str]) -> Counts: ...
def merge(first: Counts, second: Counts, /, *, disjoint: bool) -> Counts:
    """Sums counts; `disjoint` says that no user is in both."""

def unpack(packed: bytes, /, *, memory: int, spill: str | PathLike[str]) -> Counts: ...
def release(counts: Counts, /, *, k_users: int | None, part: tuple[int, int] | None = None) -> Released:
    """Lets pass everything (None), or what `k_users` users stand behind; of `part` of the queries."""

def gather(parts: list[Released], /) -> Released:
    """All queries out of their parts."""

def unpack_released(packed: bytes, /, *, memory: int, spill: str | PathLike[str]) -> Released: ...
def related_released(
    released: Released,
    /,
    *,
    options: str,
    threads: int,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> Related:
    """Related queries of the clicks that a release shows."""

def related_clicks(
    clicks: Any,
    /,
    *,
    options: str,
    normalize: bool,
    scrub: tuple[str, Detector | None],
    key: bytes,
    threads: int,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> Related:
    """Related queries of a stream with query, doc_id and either clicks (whole numbers) or clicked (booleans)."""

def evidence(released: Released, /, *, options: str, seed: int, threads: int) -> Evidence:
    """Evidence of what was released."""

def select(
    evidence: Evidence,
    /,
    *,
    options: str,
    carry: list[str],
    seed: int,
    threads: int,
    positives: Any,
    known_relevant: Any,
    extra_negatives: Any,
    retrieved: Any,
    scores: Any,
) -> Selected:
    """Negatives from evidence; `carry` names evidence columns to take along; the others are Arrow streams or None."""
