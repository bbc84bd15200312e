"""Evidence and selection part by part come to those of all queries, to the last bit; what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast.blocks import opened

KEY = hn.Key(bytes(range(32)))
CONFIG = hn.Config(read=hn.ReadConfig(position_base="1"))
MODES = [hn.Privacy.none(), hn.Privacy.k_users(3)]
SELECTIONS = {
    "plain": {},
    "a share of false ones": {"target_fnr": 0.03, "max_p_false_negative": 1.0},
    "hubs": {"max_queries_per_document": 2},
    "both": {"target_fnr": 0.03, "max_queries_per_document": 2, "validation": 0.3, "carry": ("coec", "skips")},
    "drawn": {"refill": "random", "num_negatives": 3, "fill": "easy", "max_negatives_per_query": 6},
    "drawn by popularity": {"easy_negatives": 2, "max_negatives_per_query": 6, "draw": "popularity"},
    "no alike": {"alike_clicks": 1.0, "alike_words": 1.0, "same_intent_clicks": 1.0, "same_intent_words": 1.0},
}


@pytest.fixture(scope="module")
def counts(tmp_path_factory) -> hn.Counts:
    folder = tmp_path_factory.mktemp("simulated") / "log"
    hn.simulate(folder, impressions=40_000, seed=8)
    rows = hn.split(pq.read_table(folder / "log.parquet"), 1, key=KEY, config=CONFIG).read_all()
    return hn.count(rows, config=CONFIG, key=KEY, part=(0, 1))


def released_in(counts: hn.Counts, parts: int, privacy: hn.Privacy) -> list[hn.Released]:
    blocks = hn.split(counts, parts, key=KEY).read_all()["block"].to_pylist()
    loaded = (hn.load_counts(block, key=KEY) for block in blocks)
    return [hn.release(each, privacy=privacy, part=(i, parts)) for i, each in enumerate(loaded)]


def asked(released: list[hn.Released], privacy: hn.Privacy, config: hn.Config = CONFIG) -> hn.Whole:
    whole = hn.Whole(len(released), key=KEY, privacy=privacy, config=config)
    while (question := whole.question) is not None:
        whole.take(hn.answer(part, question, key=KEY) for part in reversed(released))
    return whole


def selected_from(part: hn.Released, whole: hn.Whole, config: hn.Config) -> tuple[hn.Evidence, hn.Selected]:
    number = part.part or (0, 1)
    options = {"config": config.evidence, "seed": config.seed}
    weighed = hn.evidence(part, part=number, share=whole.share(number[0]), key=KEY, **options)
    return weighed, hn.select(weighed, config=config.select, seed=config.seed, part=number)


def all_of(tables: list) -> pa.Table:
    return pa.concat_tables([pa.table(table) for table in tables]).combine_chunks()


def assert_same(found: pa.Table, expected: pa.Table) -> None:
    assert found.equals(expected.combine_chunks())
    for column, wanted in zip(found.columns, expected.columns, strict=True):
        if pa.types.is_floating(column.type):
            # Comparison takes -0.0 for 0.0.
            one, other = (c.combine_chunks().fill_null(-1.0).to_numpy().tobytes() for c in (column, wanted))
            assert one == other


def added(funnels: list[dict]) -> dict:
    total: dict = {}
    for funnel in funnels:
        for name, value in funnel.items():
            if name == "rules_off":
                total[name] = value
            elif isinstance(value, dict):
                total[name] = {
                    k: total.get(name, {}).get(k, 0) + value.get(k, 0) for k in {*total.get(name, {}), *value}
                }
            else:
                total[name] = total.get(name, 0) + value
    return total


@pytest.mark.parametrize("privacy", MODES, ids=lambda p: p.mode)
@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("parts", [2, 7])
def test_part_by_part_is_all_at_once(counts, privacy, name, parts):
    config = replace(CONFIG, select=hn.SelectConfig(**SELECTIONS[name]), seed=5)
    everything = hn.release(counts, privacy=privacy)
    wanted = hn.evidence(everything, config=config.evidence, seed=5)
    expected = hn.select(wanted, config=config.select, seed=5)

    released = released_in(counts, parts, privacy)
    whole = asked(released, privacy, config)
    done = [selected_from(part, whole, config) for part in released]
    again = 0
    while more := whole.settle(selected.outcome(key=KEY) for _, selected in done):
        again += 1
        for i in more:
            done[i] = selected_from(released[i], whole, config)
    assert again <= 2
    if "max_queries_per_document" in SELECTIONS[name]:
        assert expected.funnel["caps"]["max_queries_per_document"] > 0

    assert_same(all_of([weighed.table() for weighed, _ in done]), pa.table(wanted.table()))
    for table in ("negatives", "positives", "triplets"):
        rows = pa.table(getattr(expected, table))
        assert rows.num_rows > 20
        assert_same(all_of([getattr(selected, table) for _, selected in done]), rows)
    assert added([selected.funnel for _, selected in done]) == expected.funnel
    assert whole.told == expected.told
    assert whole.evidence.model == wanted.model
    assert pa.table(whole.evidence.positions()) == pa.table(wanted.positions())


def test_tables_beside_the_log_are_the_same_for_parts(counts):
    rows = pa.table(hn.select(hn.evidence(hn.release(counts, privacy=MODES[0]))).negatives)
    given = {
        "positives": pa.table({"query": rows["query"][:30], "doc_id": [f"mine {i}" for i in range(30)]}),
        "known_relevant": rows.slice(5, 40).select(["query", "neg_id"]).rename_columns(["query", "doc_id"]),
        "retrieved": pa.table({"query": rows["query"][:50], "doc_id": [f"far {i % 7}" for i in range(50)]}),
    }
    config = replace(CONFIG, select=hn.SelectConfig(fill="semi", retrieved_from=1))
    expected = hn.select(hn.evidence(hn.release(counts, privacy=MODES[0])), config=config.select, **given)
    released = released_in(counts, 3, MODES[0])
    whole = asked(released, MODES[0], config)
    found = []
    for i, part in enumerate(released):
        weighed = hn.evidence(part, part=(i, 3), share=whole.share(i), key=KEY)
        found.append(hn.select(weighed, config=config.select, part=(i, 3), **given))
    assert {"retrieved", "shown_not_clicked"} <= {*pa.table(expected.negatives)["rule"].to_pylist()}
    for table in ("negatives", "positives", "triplets"):
        assert_same(all_of([getattr(one, table) for one in found]), pa.table(getattr(expected, table)))


def test_what_does_not_fit_is_refused(counts):
    released = released_in(counts, 3, MODES[0])
    whole = hn.Whole(3, key=KEY, privacy=MODES[0], config=CONFIG)
    with pytest.raises(hn.UsageError, match="have not answered"):
        whole.share(0)
    question = whole.question
    answers = [hn.answer(part, question, key=KEY) for part in released]
    for wrong, why in (
        (answers[:2], "1 of 3 parts are missing"),
        ([*answers, answers[1]], "comes twice"),
    ):
        with pytest.raises(hn.UsageError, match=why):
            whole.take(wrong)
    with pytest.raises(hn.UsageError, match="holds question where answer"):
        whole.take([question, *answers[1:]])
    with pytest.raises(hn.UsageError, match="sealed under key"):
        hn.answer(released[0], question, key=hn.Key(bytes(32)))
    with pytest.raises(hn.UsageError, match="put to 3 parts"):
        hn.answer(released_in(counts, 2, MODES[0])[0], question, key=KEY)
    with pytest.raises(hn.DataError, match="damaged"):
        hn.answer(released[0], question[:-1], key=KEY)
    other = released_in(counts, 3, MODES[1])
    mixed = [*answers[:2], hn.answer(other[2], question, key=KEY)]
    with pytest.raises(hn.UsageError, match=r"part 2 was released with k-users \d+, and here privacy is no threshold"):
        hn.Whole(3, key=KEY, privacy=MODES[0], config=CONFIG).take(mixed)
    with pytest.raises(hn.UsageError, match="part 0 was released with no threshold of users"):
        hn.Whole(3, key=KEY, privacy=MODES[1], config=CONFIG).take(answers)

    whole = asked(released, MODES[0])
    with pytest.raises(hn.UsageError, match="asked already"):
        whole.take(answers)
    share = whole.share(1)
    part = {"part": (1, 3), "share": share, "key": KEY}
    for changed, why in (
        ({"share": None}, "share=whole.share"),
        ({"key": None}, "share=whole.share"),
        ({"part": None}, "part=.i, n."),
        ({"part": (2, 3)}, "part 1 of 3, not of part 2"),
        ({"seed": 9}, "another seed"),
        ({"config": hn.EvidenceConfig(shrinkage=2.0)}, "other options of evidence"),
        ({"share": question}, "holds question where share"),
    ):
        with pytest.raises(hn.UsageError, match=why):
            hn.evidence(released[1], **part | changed)
    with pytest.raises(hn.UsageError, match="and the share is that of part 1 of 3"):
        hn.evidence(released[0], **part)
    weighed = hn.evidence(released[1], **part)
    for options, why in (
        ({}, "evidence is of part 1 of 3"),
        ({"part": (0, 3)}, "part says part 0 of 3"),
        ({"part": (1, 3), "seed": 1}, "another seed"),
        ({"part": (1, 3), "config": hn.SelectConfig(alpha=0.5)}, "other options of select"),
    ):
        with pytest.raises(hn.UsageError, match=why):
            hn.select(weighed, **options)
    with pytest.raises(hn.UsageError, match="chain_users goes by"):
        hn.Whole(3, key=KEY, privacy=MODES[0], config=hn.Config(select=hn.SelectConfig(chain_users=2)))
    everything = hn.select(hn.evidence(hn.release(counts, privacy=MODES[0])))
    with pytest.raises(hn.UsageError, match="all queries"):
        everything.outcome(key=KEY)
    with pytest.raises(hn.UsageError, match="gather the parts first"):
        hn.evidence(released[0])


def test_tables_of_parts_say_of_which(counts):
    said = pa.table(counts.table("pairs")).schema.metadata
    assert said[b"hardneg_fast.stage"] == b"counts"
    assert said[b"hardneg_fast.users"] == said[b"hardneg_fast.queries"] == b"[1, [0]]"
    assert said[b"hardneg_fast.key_id"].decode() == KEY.id
    assert said[b"hardneg_fast.config"].decode() == counts.parts["config"]
    released = released_in(counts, 2, MODES[0])
    whole = asked(released, MODES[0])
    weighed = hn.evidence(released[1], part=(1, 2), share=whole.share(1), key=KEY)
    said = pa.table(weighed.table()).schema.metadata
    assert (said[b"hardneg_fast.stage"], said[b"hardneg_fast.part"], said[b"hardneg_fast.parts"]) == (
        b"evidence",
        b"1",
        b"2",
    )
    assert said[b"hardneg_fast.key_id"].decode() == KEY.id
    assert not pa.table(hn.release(counts, privacy=MODES[0]).table()).schema.metadata


def test_questions_answers_and_shares_are_sealed(counts):
    """What travels holds no text in clear: every block opens under the key alone."""
    released = released_in(counts, 2, MODES[0])
    texts = [text.encode() for text in pa.table(counts.table("queries"))["query"].to_pylist()]
    whole = hn.Whole(2, key=KEY, privacy=MODES[0], config=CONFIG)
    seen = []
    while (question := whole.question) is not None:
        answers = [hn.answer(part, question, key=KEY) for part in released]
        seen += [question, *answers]
        whole.take(answers)
    seen += [whole.share(0), whole.share(1)]
    contents = b"".join(
        opened(block, KEY, stage="answer")[1].to_pybytes() for block in seen if b'"answer"' in block[:200]
    )
    assert [text for text in texts[:50] if text in contents], "answers hold texts of queries"
    assert not [text for text in texts if any(text in block for block in seen)]
