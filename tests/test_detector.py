"""A detector of the user's own, in every stage that scrubs, against the same search row by row in Python."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.anonymize import anonymized

NAMES = re.compile(r"anna|jürgen w|李|o'neil", re.IGNORECASE)
KEY = hn.Key(b"k" * 32)


def pairs(texts: pa.Array) -> list[list[tuple[int, int]]]:
    return [[found.span() for found in NAMES.finditer(text)] for text in texts.to_pylist()]


def in_bytes(texts: pa.Array) -> pa.Array:
    """The same as an Arrow array, in bytes, null for nothing."""
    found = []
    for text in texts.to_pylist():
        spans = [[len(text[:at].encode()) for at in match.span()] for match in NAMES.finditer(text)]
        found.append([{"from": start, "to": end} for start, end in spans] or None)
    return pa.array(found, pa.list_(pa.struct([("from", pa.int32()), ("to", pa.uint16())])))


def large(texts: pa.Array) -> pa.ChunkedArray:
    spans = in_bytes(texts).cast(pa.large_list(pa.struct([("from", pa.int32()), ("to", pa.uint16())])))
    return pa.chunked_array([spans[:2], spans[2:]])


DETECTORS = [
    hn.Detector(pairs, name="names-v1"),
    hn.Detector(in_bytes, name="names-v1", offsets="bytes"),
    hn.Detector(large, name="names-v1", offsets="bytes"),
]
DETECTOR = DETECTORS[0]

PIECES = ["shoes", "Größe", "日本", "Anna", "JÜRGEN W", "李李", "o'neil", "jane@example.com", "+49 30 1234567"]
PIECES += ["<email>", "<ip>"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map(" , ".join)


def masked(piece: str) -> str:
    """One piece by itself: structure, then names."""
    found = hn.scrub(pa.array([piece]))[0].as_py() or ""
    return found if found != piece else NAMES.sub("<detector>", piece)


def twin(text: str) -> str | None:
    return " , ".join(masked(piece) for piece in text.split(" , ")) or None


@given(st.lists(TEXTS, max_size=12), st.sampled_from(DETECTORS))
def test_agrees_with_a_search_row_by_row(texts: list[str], detector: hn.Detector) -> None:
    plain = pa.array(texts, pa.string())
    expected = [twin(text) for text in texts]
    assert hn.scrub(plain, detector=detector).to_pylist() == expected
    assert hn.scrub(plain.dictionary_encode(), detector=detector).to_pylist() == expected
    assert hn.scrub(pa.chunked_array([plain[:3], plain[3:]]), detector=detector).to_pylist() == expected
    config = hn.ScrubConfig(detector=detector)
    normal = hn.normalize(pa.array(expected, pa.string()), scrub=hn.ScrubConfig(action="off"))
    assert hn.normalize(plain, scrub=config).to_pylist() == normal.to_pylist()
    assert hn.normalize(normal, scrub=config).to_pylist() == normal.to_pylist()


def test_what_becomes_of_its_matches() -> None:
    texts = pa.array(["shoes of Anna", "ANNA", "shoes", "anna jane@example.com"])
    tokens = hn.scrub(texts, action="token", key=KEY, detector=DETECTOR).to_pylist()
    assert re.fullmatch("shoes of <detector:[0-9a-f]{16}>", tokens[0])
    assert tokens[0].endswith(tokens[1])
    assert tokens[2] == "shoes"
    assert hn.scrub(pa.array(tokens), action="token", key=KEY, detector=DETECTOR).to_pylist() == tokens
    assert hn.scrub(texts, action="drop", detector=DETECTOR).to_pylist() == [None, None, "shoes", None]
    # Kinds are of structure: a detector that is given is asked.
    only = hn.scrub(texts, kinds=("phone",), detector=DETECTOR).to_pylist()
    assert only[3] == "<detector> jane@example.com"
    with pytest.raises(hn.UsageError, match="email"):
        hn.scrub(texts, kinds=("detector",))


def test_overlaps_with_structure_and_masks_become_one() -> None:
    def all_of(texts: pa.Array) -> list[list[tuple[int, int]]]:
        return [[(2, len(text) - 1)] for text in texts.to_pylist()]

    def one(text: str) -> str:
        return str(hn.scrub(pa.array([text]), detector=hn.Detector(all_of, name="all"))[0])

    assert one("jane@example.com!") == "<email>!"
    assert one("a jane@example.com!!") == "a <detector>!"
    assert one("<email>") == "<email>"
    assert one("<email> x!") == "<detector>!"
    assert one("xy \u0661\u0662<ip>\u0663!") == "xy<detector>!"
    # It sees the text as readers do.
    assert one("\uff58\u200by  ABC!") == "xy<detector>!"


def test_each_distinct_text_is_asked_for_once() -> None:
    asked: list[list[str]] = []

    def noting(texts: pa.Array) -> list[list[tuple[int, int]]]:
        asked.append(texts.to_pylist())
        return pairs(texts)

    detector = hn.Detector(noting, name="noting")
    texts = pa.array(["anna", "x", None, "", "anna", "y"] * 50)
    for array in (texts, texts.dictionary_encode()):
        asked.clear()
        hn.scrub(array, detector=detector)
        assert len(asked) == 1
        assert {"anna", "x", "y"} == {*asked[0]}
        assert len(asked[0]) == 3
    many = pa.array([f"q{i}" for i in range(70_000)])
    asked.clear()
    hn.normalize(many, scrub=hn.ScrubConfig(detector=detector))
    assert [len(texts) for texts in asked] == [65_536, 4_464]
    asked.clear()
    hn.scrub(pa.array([None, ""], pa.string()), detector=detector)
    assert asked == []


QUERIES = ["shoes", "shoes of Anna", "call +49 30 1234567", "李 jane@example.com"]
MASKED = {"shoes", "shoes of <detector>", "call <phone>", "<detector> <email>"}
FOUND = {"detector": 30, "email": 15, "phone": 15}
SCRUB = hn.ScrubConfig(detector=DETECTOR)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}{j}", "query": query, "doc_id": doc, "position": p, "clicked": p == 2}
        for i in range(5)
        for j, query in enumerate(QUERIES)
        for p, doc in ((1, "a"), (2, "b"), (3, "c"))
    ]
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    return path


def queries(counts: hn.Counts) -> set[str]:
    return set(pa.table(counts.queries)["query"].to_pylist())


@pytest.mark.parametrize("threads", [1, 4])
def test_counts(log: Path, tmp_path: Path, threads: int) -> None:
    counts = hn.count(log, config=hn.Config(scrub=SCRUB, threads=threads))
    assert queries(counts) == MASKED
    assert counts.scrubbed == FOUND
    streamed = hn.count(pq.read_table(log), config=hn.Config(scrub=SCRUB, threads=threads))
    assert queries(streamed) == MASKED
    counts.save(tmp_path / "x.counts")
    loaded = hn.load_counts(tmp_path / "x.counts")
    assert loaded.scrubbed == FOUND
    assert queries(hn.merge(loaded, streamed, users="disjoint")) == MASKED
    other = hn.ScrubConfig(detector=hn.Detector(pairs, name="names-v2"))
    for scrub in (other, hn.ScrubConfig()):
        with pytest.raises(hn.UsageError, match="scrub"):
            hn.merge(loaded, hn.count(log, config=hn.Config(scrub=scrub)), users="disjoint")
    dropped = hn.count(log, config=hn.Config(scrub=hn.ScrubConfig(action="drop", detector=DETECTOR), threads=threads))
    assert queries(dropped) == {"shoes"}
    assert dropped.quarantine == {"personal_data": 45}
    off = hn.count(log, config=hn.Config(scrub=hn.ScrubConfig(action="off", detector=DETECTOR)))
    assert queries(off) == {query.casefold() for query in QUERIES}


def test_related_queries(log: Path) -> None:
    found = hn.related_queries(log, config=hn.Config(scrub=SCRUB))
    assert set(pa.table(found.related)["query"].to_pylist()) == MASKED


@pytest.mark.parametrize("k_users", [None, 5])
def test_the_anonymized_log(log: Path, tmp_path: Path, k_users: int | None) -> None:
    done = hn.anonymize(log, tmp_path / "out.parquet", config=hn.Config(scrub=SCRUB), k_users=k_users)
    assert Counter(pq.read_table(tmp_path / "out.parquet")["query"].to_pylist()) == dict.fromkeys(MASKED, 15)
    assert done["scrubbed"] == FOUND


def test_mined_files_name_the_detector(log: Path, tmp_path: Path) -> None:
    config = hn.Config(scrub=SCRUB, count=hn.CountConfig(robots="keep"))
    hn.mine(log, tmp_path / "out", privacy=hn.Privacy.none(), config=config)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["scrubbed"] == FOUND
    assert "'names-v1'" in json.loads((tmp_path / "out" / "privacy.json").read_text())["query_text"]
    for path in (tmp_path / "out").rglob("*.*"):
        assert not path.is_file() or b"anna" not in path.read_bytes().lower(), path


def test_command_line_and_files(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_names.py").write_text(
        "import hardneg_fast as hn\n"
        "def find(texts):\n"
        "    return [[(t.find('Anna'), t.find('Anna') + 4)] if 'Anna' in t else [] for t in texts.to_pylist()]\n"
        "named = hn.Detector(find, name='own-v1')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out.parquet"
    assert cli.main(["anonymize", str(log), "-o", str(out), "--scrub.detector", "own_names:named"]) == 0
    assert "shoes of <detector>" in pq.read_table(out)["query"].to_pylist()
    assert hn.Detector.load("own_names:find").name == "own_names:find"
    for place in ("own_names:none", "no_such_module:x", "own_names", ""):
        with pytest.raises(hn.UsageError, match="MODULE:FUNCTION"):
            hn.Detector.load(place)


ASKED = "shoes of anna"


def stages(log: Path, out: Path, detector: hn.Detector) -> dict[str, Callable[[], object]]:
    config = hn.Config(scrub=hn.ScrubConfig(detector=detector))
    texts = pa.array(["shoes of anna"])
    return {
        "scrub": lambda: hn.scrub(texts, detector=detector),
        "normalize": lambda: hn.normalize(texts, scrub=config.scrub),
        "count": lambda: hn.count(log, config=config),
        "mine": lambda: hn.mine(log, out, privacy=hn.Privacy.none(), config=config),
        "related_queries": lambda: hn.related_queries(log, config=config),
        "anonymize": lambda: hn.anonymize(log, out, config=config),
        "anonymize, k_users": lambda: hn.anonymize(log, out, config=config, k_users=2),
    }


STAGES = [*stages(Path(), Path(), DETECTOR)]


@pytest.mark.parametrize("stage", STAGES)
def test_what_it_raises_is_a_named_error_without_the_texts(log: Path, tmp_path: Path, stage: str) -> None:
    def broken(texts: pa.Array) -> list[list[tuple[int, int]]]:
        raise RuntimeError(f"cannot make anything of {texts.to_pylist()}")

    out = tmp_path / "out"
    with pytest.raises(hn.DetectorError, match="'broken' raised RuntimeError") as raised:
        stages(log, out, hn.Detector(broken, name="broken"))[stage]()
    assert not out.exists()
    e: BaseException | None = raised.value
    while e is not None:
        assert ASKED not in f"{e!r}".lower()
        e = e.__cause__ or e.__context__


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_is_one(log: Path, tmp_path: Path, stage: str) -> None:
    def interrupted(_: pa.Array) -> list[list[tuple[int, int]]]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages(log, tmp_path / "out", hn.Detector(interrupted, name="x"))[stage]()


def test_a_stream_may_end_while_another_detector_is_asked() -> None:
    """pyarrow frees a reader with Python's lock given up; here within a call of ours, and with it the detector."""
    log = pa.table({"query": ["a"], "doc_id": ["d"], "clicked": [True]}).to_reader()
    scrub = hn.ScrubConfig(detector=hn.Detector(lambda texts: [[]] * len(texts), name="first"))
    how = {"position_base": 1, "key": KEY, "epoch": "", "dataset": "", "time": "day", "query_text": "normalise"}
    stream = anonymized(log, scrub=scrub, keep=(), **how)
    held = [pa.RecordBatchReader.from_stream(stream)]
    del stream, scrub

    def ends_it(texts: pa.Array) -> list[list[tuple[int, int]]]:
        held.clear()
        return [[]] * len(texts)

    assert hn.scrub(pa.array(["b"]), detector=hn.Detector(ends_it, name="second")).to_pylist() == ["b"]
    assert held == []


def struct(*names: str, kind: pa.DataType | None = None) -> pa.DataType:
    return pa.list_(pa.struct([(name, kind or pa.int64()) for name in names]))


TEXT = "aä李b"  # 4 characters, 7 bytes
BAD = {
    "one answer too few": ([], "0 answers for 1 texts"),
    "one too many": ([[], []], "2 answers for 1 texts"),
    "beyond the end": ([[(0, 5)]], "0 to 5 in a text of 4 characters"),
    "far beyond it": ([[(0, 2**62)]], "in a text of 4 characters"),
    "empty": ([[(2, 2)]], "2 to 2"),
    "backwards": ([[(3, 1)]], "3 to 1"),
    "negative": ([[(-1, 1)]], "cannot be read"),
    "overlapping": ([[(0, 2), (1, 3)]], "overlap"),
    "nothing": (None, "NoneType"),
    "a number": (7, "int"),
    "numbers": ([1], "list"),
    "triples": ([[(1, 2, 3)]], "list"),
    "texts": ([[("a", "b")]], "list"),
    "too large for anything": ([[(0, 2**70)]], "list"),
    "a text": ("x", "str"),
    "floats in Arrow": (pa.array([[{"s": 0.5, "e": 1.5}]], struct("s", "e", kind=pa.float64())), "cannot be read"),
    "three fields": (pa.array([[]], struct("s", "e", "x")), "cannot be read"),
    "a flat array": (pa.array([1]), "cannot be read"),
    "null places": (pa.array([[{"s": None, "e": 1}]], struct("s", "e")), "cannot be read"),
    "a null place": (pa.array([[None]], struct("s", "e")), "cannot be read"),
}
BAD_BYTES = {
    "inside the first": ([[(2, 3)]], "inside a character"),
    "inside the second": ([[(1, 4)]], "inside a character"),
    "beyond the end": ([[(0, 8)]], "0 to 8 in a text of 7 bytes"),
}


@pytest.mark.parametrize(("answer", "says"), BAD.values(), ids=[*BAD])
def test_answers_that_cannot_be(answer: object, says: str) -> None:
    detector = hn.Detector(lambda _: answer, name="bad")
    with pytest.raises(hn.DetectorError, match=f"(?s)'bad'|\"bad\".*{re.escape(says)}") as raised:
        hn.scrub(pa.array([TEXT]), detector=detector)
    assert says in str(raised.value)
    assert TEXT not in str(raised.value)


@pytest.mark.parametrize(("answer", "says"), BAD_BYTES.values(), ids=[*BAD_BYTES])
def test_answers_in_bytes_that_cannot_be(answer: object, says: str) -> None:
    with pytest.raises(hn.DetectorError, match=re.escape(says)):
        hn.scrub(pa.array([TEXT]), detector=hn.Detector(lambda _: answer, name="bad", offsets="bytes"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"find": "names"}, "function"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"offsets": "words"}, "characters, bytes"),
    ],
)
def test_detectors_that_cannot_be(arguments: dict, says: str) -> None:
    with pytest.raises(hn.UsageError, match=says):
        hn.Detector(**({"find": pairs, "name": "names"} | arguments))


def test_what_is_no_detector() -> None:
    for no in (pairs, 7):
        with pytest.raises(hn.UsageError, match="Detector"):
            hn.scrub(pa.array(["x"]), detector=no)
        with pytest.raises(hn.UsageError, match="Detector"):
            hn.count(pa.table({"x": [1]}), config=hn.Config(scrub=hn.ScrubConfig(detector=no)))
    assert repr(DETECTOR) == "<Detector 'names-v1'>"


def test_threads_may_share_one() -> None:
    """Two threads are in it at once, and results are those of one."""
    met = threading.Barrier(2, timeout=60)

    def meeting(texts: pa.Array) -> list[list[tuple[int, int]]]:
        met.wait()
        return pairs(texts)

    detector = hn.Detector(meeting, name="names-v1")
    texts = [pa.array([f"anna {i} {n}" for i in range(200)]) for n in range(2)]
    made: dict[int, list[str | None]] = {}

    def work(n: int) -> None:
        made[n] = hn.scrub(texts[n], detector=detector).to_pylist()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert made == {n: hn.scrub(texts[n], detector=DETECTOR).to_pylist() for n in range(2)}
