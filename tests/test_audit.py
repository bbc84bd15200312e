"""Audits of outputs: what is right passes, and each planted leak fails the check that is there for it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import itertools
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import audit_dp, cli
from hardneg_fast.audit import MECHANISM as MECHANISM_CHECKS
from hardneg_fast.audit import audit, of_findings
from hardneg_fast.audit.checks import MEANS
from hardneg_fast.audit.contents import pieces
from hardneg_fast.audit.identifiers import HASHES
from hardneg_fast.audit.log import looked_up, read_log, users_by
from hardneg_fast.audit.scan import scan
from hardneg_fast.audit.search import HEX, Needles, encoded
from hardneg_fast.audit.throwaway import Choosing, Mechanism, findings, told_apart
from hardneg_fast.audit_dp import Finding, Outcome, Report
from hardneg_fast.audit_dp.sensitivity import Users
from hardneg_fast.ledger import Ledger

K = 3
KEY = hn.Key(hashlib.sha256(b"a key").digest())
LOOSE = hn.SelectConfig(positive_coec=0.5, alpha=1.0, negative_coec=0.9, num_negatives=2, refill="random")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated log, and an output of each kind."""
    folder = tmp_path_factory.mktemp("audit")
    hn.simulate(folder / "sim", impressions=20_000, seed=5)
    log, texts = folder / "sim" / "log.parquet", folder / "sim" / "documents.parquet"
    config = hn.Config(read=hn.ReadConfig(position_base="1"), select=LOOSE)
    for name, privacy in (("k", hn.Privacy.k_users(K)), ("none", hn.Privacy.none())):
        hn.mine(log, folder / name, privacy=privacy, config=config, documents=texts)
    rows = pq.read_table(log)
    lists = rows.group_by(["query", "doc_id"]).aggregate([("position", "min")])
    Ledger.create(folder / "ledger", epsilon=5, delta=3e-6)
    private = hn.Privacy.dp(
        epsilon=4,
        delta=1e-6,
        lineage="web",
        ledger=folder / "ledger",
        candidates=lists.rename_columns(["query", "doc_id", "position"]),
        candidates_class="already_public",
    )
    hn.mine(log, folder / "dp", privacy=private, config=hn.Config(read=config.read), documents=texts)
    assert pq.read_table(folder / "dp" / "negatives").num_rows
    for epoch in ("1", "2"):
        (folder / f"log-{epoch}").mkdir()
        manifest = folder / f"log-{epoch}" / "manifest.json"
        hn.anonymize(log, folder / f"log-{epoch}" / "safe.parquet", key=KEY, epoch=epoch, k_users=K, manifest=manifest)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path):
    """Copies an output, to plant something in it."""

    def copied(name: str) -> Path:
        if (made / f"{name}.private").exists():
            shutil.copytree(made / f"{name}.private", tmp_path / f"{name}.private")
        return shutil.copytree(made / name, tmp_path / name)

    return copied


def log_of(made: Path) -> Path:
    return made / "sim" / "log.parquet"


def only_file(out: Path, table: str) -> Path:
    (path,) = (out / table).glob("*.parquet")
    return path


def rewrite(path: Path, column: str, change) -> None:
    """Replaces the first value of a column."""
    table = pq.read_table(path, partitioning=None)
    values = table[column].to_pylist()
    values[0] = change(values[0]) if callable(change) else change
    pq.write_table(
        table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type)), path
    )


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- what is right ---


@pytest.mark.parametrize("name", ["k", "none", "dp", "log-1", "log-1/safe.parquet"])
def test_what_is_right_passes(name: str, made: Path, tmp_path: Path, capsys) -> None:
    key = tmp_path / "key"
    KEY.save(key)
    args = ["--log", str(log_of(made)), "--key", str(key), "--other", str(made / "log-2")]
    args += ["--ledger", str(made / "ledger")] if name == "dp" else []
    assert cli.main(["audit", str(made / name), *args, "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"]
    passed = {check["name"] for part in ("proved", "tested") for check in said[part]}
    assert passed >= {"personal data", "identifiers", "key", "pseudonyms of the other output"}
    expected = {
        "dp": {"privacy statement", "thresholds", "rare queries", "exact figures", "ledger"},
        "none": set(),
    }
    threshold = {"user thresholds in the output", "user thresholds in the log", "rare queries"}
    assert passed >= expected.get(name, threshold)
    assert any("timing" in entry for entry in said["not_covered"])
    assert {check["name"] for check in said["not_checked"]}.isdisjoint(passed)


def test_pairs_that_were_chosen(made: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=20, delta=1e-5)
    private = hn.Privacy.dp(epsilon=20, delta=1e-6, lineage="web", ledger=tmp_path / "ledger")
    hn.mine(log_of(made), tmp_path / "out", privacy=private, config=hn.Config(read=hn.ReadConfig(position_base="1")))
    found = hn.audit(tmp_path / "out")
    assert found.passed
    assert "thresholds of pairs" in "\n".join(found.lines())
    assert "thresholds of pairs" in [check["name"] for part in ("proved", "tested") for check in found.to_dict()[part]]


def test_the_text_has_three_parts_and_no_value_of_the_log(made: Path, capsys) -> None:
    assert cli.main(["audit", str(made / "dp"), "--log", str(log_of(made))]) == 0
    said = capsys.readouterr().out
    for title in ("proved", "tested", "not checked", "not covered", "mechanism: not run"):
        assert title in said
    ids = pq.read_table(log_of(made))["user_id"].unique().to_pylist()
    assert not [value for value in ids if value in said]


# --- planted leaks ---


def test_negatives_that_nobody_was_shown(made, tmp_path):
    config = hn.Config(
        read=hn.ReadConfig(position_base="1"), select=hn.SelectConfig(preset="retriever", validation=0.3)
    )
    hn.mine(log_of(made), tmp_path / "out", privacy=hn.Privacy.k_users(K), config=config)
    found = audit(tmp_path / "out", log=log_of(made))
    easy = pc.sum(pc.equal(pq.read_table(tmp_path / "out" / "negatives")["kind"], "easy")).as_py()
    assert not found.failed
    assert easy > 10
    assert any(f"{easy:,} negatives of other kinds than hard" in check.said for check in found.checks)


def test_an_email_kept_in_a_query(copy) -> None:
    out = copy("k")
    rewrite(only_file(out, "queries"), "query", "write to bob@example.com")
    assert "personal data" in audit(out).failed
    safe = copy("log-1")
    rewrite(safe / "safe.parquet", "query", "write to bob@example.com")
    found = audit(safe)
    assert "personal data" in found.failed
    (safe / "of bob@example.com.json").write_text('["bob@example.com"]')
    assert "bob" not in str(audit(safe).to_dict()) + str(found.to_dict())


@pytest.mark.parametrize("name", ["README.md", "report.html", "report.json"])
def test_a_card_number_in_a_text(name: str, copy) -> None:
    out = copy("dp")
    path, card = out / name, "card 4111 1111 1111 1111"
    added = json.dumps({**json.loads(path.read_text()), "note": card}) if name.endswith("json") else ""
    path.write_text(
        added or path.read_text().replace("</body>", f"<p>{card}</p></body>") + ("" if ".html" in name else card)
    )
    assert "personal data" in audit(out).failed


def an_id(made: Path, column: str = "user_id") -> str:
    return str(pq.read_table(log_of(made))[column][7])


def in_metadata(out: Path, value: str) -> None:
    path = only_file(out, "negatives")
    pq.write_table(pq.read_table(path, partitioning=None).replace_schema_metadata({"from": f"row of {value}!"}), path)


def in_a_page(out: Path, value: str) -> None:
    path = only_file(out, "negatives")
    table = pq.read_table(path, partitioning=None)
    rules = pa.array([value, *table["rule"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("rule"), "rule", rules), path, compression="zstd")


def in_an_unused_entry(out: Path, value: str) -> None:
    path = only_file(out, "negatives")
    table = pq.read_table(path, partitioning=None)
    rules = table["rule"].combine_chunks().dictionary_encode()
    # So many that their bytes are recoded, not copied.
    more = pa.array([value, *(hashlib.sha256(bytes([i])).hexdigest() for i in range(200))])
    rules = pa.DictionaryArray.from_arrays(rules.indices, pa.concat_arrays([rules.dictionary, more]))
    pq.write_table(
        table.set_column(table.column_names.index("rule"), "rule", rules),
        path,
        compression="zstd",
        store_schema=False,
        write_statistics=False,
    )
    assert value not in pq.read_table(path, partitioning=None)["rule"].to_pylist()
    assert value.encode() not in path.read_bytes()


def in_a_delta_encoding(out: Path, value: str) -> None:
    path = only_file(out, "queries")
    table = pa.table({"query_id": [value[:-1] + "x", value], "query": ["a b", "c d"]})
    pq.write_table(table, path, compression="gzip", use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY",
                   write_statistics=False)  # fmt: skip


def in_a_name(out: Path, value: str) -> None:
    (out / f"{value}.txt").write_text("")


def gzipped(out: Path, value: str) -> None:
    (out / "more.gz").write_bytes(gzip.compress(b"rows of " + value.upper().encode()))


def as_hexadecimal(out: Path, value: str) -> None:
    (out / "README.md").write_text(value.encode().hex())


def md5(out: Path, value: str) -> None:
    (out / "README.md").write_text(f"a{hashlib.md5(value.encode()).hexdigest().upper()}")  # noqa: S324 what is planted


def sha256(out: Path, value: str) -> None:
    edit(
        out / "report.json",
        lambda r: r.update(note=base64.b64encode(hashlib.sha256(value.encode()).digest()).decode()),
    )


def a_cut_sha1(out: Path, value: str) -> None:
    rewrite(only_file(out, "queries"), "query_id", hashlib.sha1(value.encode()).hexdigest()[:16])  # noqa: S324 likewise


IDS = [in_metadata, in_a_page, in_an_unused_entry, in_a_delta_encoding, in_a_name, gzipped, as_hexadecimal]


@pytest.mark.parametrize("plant", [*IDS, md5, sha256, a_cut_sha1], ids=lambda plant: plant.__name__)
def test_an_id_or_its_hash(plant, made: Path, copy, capsys) -> None:
    out, value = copy("none"), an_id(made, "search_id" if plant is in_a_page else "user_id")
    plant(out, value)
    assert cli.main(["audit", str(out), "--log", str(log_of(made))]) == 5
    said = capsys.readouterr()
    assert "identifiers" in said.err
    assert value not in said.out + said.err


def test_a_short_id_as_a_whole_value(tmp_path: Path) -> None:
    rows = {"user_id": ["u1", "u2"], "query": ["a b", "a b"], "doc_id": ["x", "y"], "clicked": [True, False]}
    pq.write_table(pa.table({**rows, "search_id": ["1", "2"], "position": [1, 1]}), tmp_path / "log.parquet")
    hn.anonymize(tmp_path / "log.parquet", tmp_path / "safe.parquet")
    found = audit(tmp_path / "safe.parquet", log=tmp_path / "log.parquet")
    assert found.passed
    assert "4 of fewer than 8 bytes" in next(check.said for check in found.checks if check.name == "identifiers")
    pq.write_table(pa.table(rows), tmp_path / "safe.parquet")
    assert audit(tmp_path / "safe.parquet", log=tmp_path / "log.parquet").failed == ("identifiers",)


@pytest.mark.parametrize("reversible", [(), ("user_id",), ("session_id", "user_id")])
def test_a_log_that_was_anonymized(reversible: tuple[str, ...], made: Path, tmp_path: Path, capsys) -> None:
    """Pseudonyms are bytes, tokens are texts: both are ids of the log that an output was made of."""
    safe, out = tmp_path / "safe.parquet", tmp_path / "out"
    hn.anonymize(log_of(made), safe, key=KEY, reversible=reversible)
    assert cli.main(["mine", str(safe), "-o", str(out), "--k-users", str(K)]) == 0
    assert cli.main(["audit", str(out), "--log", str(safe)]) == 0
    ids = pq.read_table(safe, columns=["user_id", "session_id", "search_id"])
    assert f"{sum(len(pc.unique(column)) for column in ids.columns):,} ids looked for" in capsys.readouterr().out
    for column in ("search_id", "user_id"):
        value = ids[column][0].as_py()
        value = value if isinstance(value, bytes) else value.encode()
        for text in (value, value.hex().encode(), base64.b64encode(value)):
            (out / "notes.txt").write_bytes(b"seen: " + text + b" twice")
            assert audit(out, log=safe).failed == ("identifiers",)
    # Copied whole, they stand in a column.
    shutil.copy(safe, tmp_path / "copy.parquet")
    assert "are ids of the log" in "\n".join(audit(tmp_path / "copy.parquet", log=safe).lines())


@pytest.mark.parametrize("name", ["k", "none"])
def test_another_log_is_refused(name: str, made: Path, tmp_path: Path, capsys) -> None:
    rows = pq.read_table(log_of(made))
    few, other = tmp_path / "few.parquet", tmp_path / "other.parquet"
    pq.write_table(rows.slice(100), few)
    for command in (["audit", str(made / name)], ["explain", str(made / name), "--query", "any", "--doc", "d"]):
        assert cli.main([*command, "--log", str(few)]) == 3
        assert "this is not the log that " in capsys.readouterr().err
    # As many rows, which audit cannot tell apart, and explain can: it counts them.
    shuffled = rows["doc_id"].combine_chunks().take(pa.array(np.random.default_rng(1).permutation(len(rows))))
    pq.write_table(rows.set_column(rows.column_names.index("doc_id"), "doc_id", shuffled), other)
    assert cli.main(["explain", str(made / name), "--query", "any", "--doc", "d", "--log", str(other)]) == 3
    assert "what was counted of it is another" in capsys.readouterr().err
    if name == "k":
        # A row more or less is not told: figures are rounded down.
        pq.write_table(rows.slice(len(rows) % K), few)
        audit(made / name, log=few)


def test_the_log_of_saved_counts_is_not_another(made: Path, tmp_path: Path, capsys) -> None:
    """Counts say how many impressions they are of, and the log has pages, or lines that could not be read."""
    rows = pq.read_table(log_of(made)).sort_by([("search_id", "ascending"), ("position", "ascending")]).to_pylist()
    pages = []
    for (user, search, query), shown in itertools.groupby(rows, lambda r: (r["user_id"], r["search_id"], r["query"])):
        page = [*shown]
        lists = {"documents": [r["doc_id"] for r in page], "clicks": [int(r["clicked"]) for r in page]}
        pages.append({"user_id": user, "search_id": search, "query": query, **lists})
    pq.write_table(pa.Table.from_pylist(pages), tmp_path / "pages.parquet")
    hn.count(tmp_path / "pages.parquet", key=KEY).save(tmp_path / "log.counts")
    hn.mine(tmp_path / "log.counts", tmp_path / "out", privacy=hn.Privacy.none())
    audit(tmp_path / "out", log=tmp_path / "pages.parquet")
    command = ["explain", str(tmp_path / "out"), "--query", "any", "--doc", "d"]
    cli.main([*command, "--log", str(tmp_path / "pages.parquet")])
    assert "this is not the log" not in capsys.readouterr().err


def said_of(found: hn.Audit, name: str) -> str:
    return next(check.said for check in found.checks if check.name == name)


@pytest.mark.parametrize("manifest", [None, "safe.json"])
def test_tokens_are_by_design(manifest: str | None, made: Path, tmp_path: Path) -> None:
    safe = tmp_path / "safe.parquet"
    named = None if manifest is None else tmp_path / manifest
    hn.anonymize(log_of(made), safe, key=KEY, reversible=("user_id",), manifest=named)
    for key, says in ((None, "by their form"), (KEY, "each opened with the key" if manifest else "by their form")):
        found = audit(safe, log=log_of(made), key=key)
        assert found.passed
        assert f"tokens in user_id, by design ({says}" in said_of(found, "personal data")
    # What has no such form is looked at, there too, and so is what has it elsewhere.
    table = pq.read_table(safe)
    users = table["user_id"].to_pylist()
    metadata = {b"hardneg_fast.reversible": b"user_id"}

    def with_first(column: str, value: str) -> hn.Audit:
        values = [value, *table[column].to_pylist()[1:]]
        changed = table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
        pq.write_table(changed.replace_schema_metadata(metadata), safe)
        return audit(safe, key=KEY)

    assert with_first("user_id", "jane.doe@example.com").failed == ("personal data",)
    assert with_first("query", users[0]).failed == ("personal data",)
    forged = "hfr1_" + base64.urlsafe_b64encode(hashlib.sha256(b"no token").digest()).decode().rstrip("=")
    assert with_first("user_id", forged).passed == (manifest is None)
    metadata.clear()
    assert with_first("user_id", users[0]).passed == (manifest is not None)


def test_digits_of_longer_numbers_are_no_ids(tmp_path: Path) -> None:
    rows = {"user_id": ["12345678"], "query": ["a b"], "doc_id": ["x"], "clicked": [True], "position": [1]}
    pq.write_table(pa.table({**rows, "search_id": ["23456789"]}), tmp_path / "log.parquet")
    pq.write_table(pa.table({"query": ["912345678", "a b"]}), tmp_path / "safe.parquet")
    assert "identifiers" not in audit(tmp_path / "safe.parquet", log=tmp_path / "log.parquet").failed
    pq.write_table(pa.table({"query": ["a 12345678 b"]}), tmp_path / "safe.parquet")
    assert "identifiers" in audit(tmp_path / "safe.parquet", log=tmp_path / "log.parquet").failed


def rare_query(made: Path) -> str:
    pairs = pq.read_table(log_of(made)).group_by(["query", "user_id"]).aggregate([])
    users = pairs.group_by("query").aggregate([("user_id", "count")])
    few = users.filter(pc.equal(users["user_id_count"], K - 1))["query"].to_pylist()
    return min(query for query in few if len(query.split()) > 2 and len(query) > 12)


def test_a_query_of_too_few_users(made: Path, copy) -> None:
    out = copy("k")
    rewrite(only_file(out, "negatives"), "query", rare_query(made))
    # As part of the tables it is known for what it is, and found in the pages besides.
    assert audit(out, log=log_of(made)).failed == ("user thresholds in the log", "rare queries")
    assert audit(out).passed


@pytest.mark.parametrize("name", ["k", "dp"])
def test_a_rare_query_in_a_report(name: str, made: Path, copy) -> None:
    for as_hash in (False, True):
        out, text = copy(name), rare_query(made)
        said = hashlib.sha256(text.encode()).hexdigest() if as_hash else f"seen: {text.upper()}"
        edit(out / "report.json", lambda report, said=said: report["input"]["notes"].append(said))
        assert "rare queries" in audit(out, log=log_of(made)).failed
        shutil.rmtree(out)
        shutil.rmtree(out.with_name(f"{name}.private"), ignore_errors=True)


def test_figures_below_the_threshold(copy) -> None:
    name = ("user thresholds in the output",)
    out = copy("k")
    rewrite(only_file(out, "negatives"), "users", K - 1)
    assert audit(out).failed == name
    shutil.rmtree(out)
    edit(copy("k") / "report.json", lambda report: report["counts"].update(queries=K + 1))
    assert audit(out).failed == name
    safe = copy("log-1")
    table = pq.read_table(safe / "safe.parquet")
    one = table.slice(0, 1).set_column(table.column_names.index("query"), "query", pa.array(["of nobody else"]))
    pq.write_table(pa.concat_tables([table, one]), safe / "safe.parquet")
    assert audit(safe).failed == name


def test_a_key_in_a_message_or_a_report(made: Path, copy, tmp_path: Path, capsys) -> None:
    material, key = KEY.material(), tmp_path / "key"
    KEY.save(key)
    line = tmp_path / "run.log"
    for form in (material.hex().upper().encode(), base64.b64encode(b"k" + material), material[4:20]):
        line.write_bytes(b"debug: key=" + form + b"\n")
        assert cli.main(["audit", str(made / "k"), "--key", str(key), "--messages", str(line)]) == 5
        assert "audit failed: key;" in capsys.readouterr().err
    out = copy("k")
    edit(out / "report.json", lambda report: report.update(key=base64.urlsafe_b64encode(material).decode()))
    assert "key" in audit(out, key=KEY).failed
    assert audit(made / "k", key=KEY).passed


def test_two_outputs_that_share_a_pseudonym(made: Path, copy) -> None:
    name = "pseudonyms of the other output"
    one, again = made / "log-1", copy("log-1")
    checks = {check.name: check for check in audit(one, other=again).checks}
    assert checks[name].verdict == "pass"
    assert "as was asked for" in checks[name].said
    edit(again / "manifest.json", lambda manifest: manifest.update(epoch="3"))
    assert audit(one, other=again).failed == audit(again, other=one).failed == (name,)
    (again / "manifest.json").unlink()
    found = audit(again, other=one)
    assert found.failed == (name,)
    # Its threshold stands in the file itself.
    assert "user thresholds in the output" not in found.not_checked
    assert audit(one, other=made / "log-2").passed
    out = copy("k")
    pseudonym = pq.read_table(one / "safe.parquet")["user_id"][0].as_py()
    (out / "README.md").write_text(f"<{pseudonym.hex()}>")
    assert name in audit(out, other=one).failed
    assert name in audit(one, other=out).failed


def test_lineages_side_by_side(made: Path, copy) -> None:
    out = copy("k")
    edit(out / "privacy.json", lambda said: said.update(lineage="web"))
    assert (
        audit(made / "dp", other=out).failed == audit(out, other=made / "dp").failed == ("lineage of the other output",)
    )
    edit(out / "privacy.json", lambda said: said.update(lineage="elsewhere"))
    assert audit(made / "dp", other=out).passed


def constant(name: str, change):
    return lambda said: said["constants"].update({name: change(said["constants"][name])})


BOTH = {"privacy statement", "thresholds"}
STATEMENTS = {
    "noise of choosing halved": (constant("selection_sigma", lambda x: x // 2), {"privacy statement"}),
    "noise of counting one less": (constant("count_sigma", lambda x: x - 1), {"privacy statement"}),
    "a threshold lowered": (constant("selection_thresholds", lambda x: [x[0] - 5]), BOTH),
    "a smaller epsilon": (
        lambda said: said.update(epsilon=3.9, claim="(3.9, 1e-06)-differential"),
        {"privacy statement"},
    ),
    "another claim in words": (
        lambda said: said.update(claim="(1, 1e-06)-differential privacy"),
        {"privacy statement"},
    ),
    "more queries a user": (constant("max_queries_per_user", lambda x: x * 2), BOTH),
    "no constants": (lambda said: said.pop("constants"), {"privacy statement"}),
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_a_private_statement_that_does_not_add_up(what: str, copy) -> None:
    change, failed = STATEMENTS[what]
    out = copy("dp")
    edit(out / "privacy.json", change)
    assert set(audit(out).failed) == failed


def test_a_ledger_that_knows_less(made: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    assert audit(made / "dp", ledger=tmp_path / "ledger").failed == ("ledger",)
    Ledger(tmp_path / "ledger").no_dp_claim("web", window="all", what="an anonymized log")
    assert audit(made / "dp", ledger=tmp_path / "ledger").failed == ("ledger",)
    with pytest.raises(hn.PrivacyError):
        audit(made / "dp", ledger=tmp_path / "gone")


def test_an_exact_counter_beside_noisy_ones(made: Path, copy) -> None:
    exact = json.loads((made / "dp.private" / "exact.json").read_text())
    out = copy("dp")
    for change in (
        lambda report: report["counts"].update(users=exact["users"]),
        lambda report: report["input"].update(rows=exact["rows"]),
        lambda report: report.update(searches=1),
        lambda report: report["input"]["notes"].append(f"of {exact['rows']:,} rows"),
    ):
        edit(out / "report.json", change)
        assert audit(out).failed == ("exact figures",)
        shutil.copy(made / "dp" / "report.json", out)
    assert audit(out).passed
    rewrite(only_file(out, "negatives"), "users", 7)
    assert audit(out).failed == ("exact figures",)


# --- bad input ---


def test_what_is_no_output_is_named(made: Path, copy, tmp_path: Path, capsys) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("nothing")
    for out in (tmp_path / "nowhere", tmp_path / "text"):
        assert cli.main(["audit", str(out)]) == 3
    broken, key = copy("k"), tmp_path / "key"
    KEY.save(key)
    path = only_file(broken, "negatives")
    path.write_bytes(path.read_bytes()[:-40])
    assert cli.main(["audit", str(broken)]) == cli.main(["audit", str(broken), "--key", str(key)]) == 3
    (broken / "privacy.json").write_text("{")
    assert cli.main(["audit", str(broken)]) == 3
    assert cli.main(["audit", str(made / "k"), "--mechanism"]) == 2
    capsys.readouterr()


# --- search: a naive twin ---

SHORT = st.text("ab1", min_size=8, max_size=12).map(str.encode)


@given(st.lists(SHORT, max_size=30), st.lists(st.one_of(SHORT, st.binary(max_size=9)), max_size=12), st.booleans())
@settings(max_examples=60)
def test_needles_are_found_where_they_are(needles: list[bytes], parts: list[bytes], fold: bool) -> None:
    buffer = b"".join(part.upper() if fold and i % 2 else part for i, part in enumerate(parts))
    if not fold:
        needles += [buffer[3:12]] if len(buffer) > 12 else []
    text = buffer.lower() if fold else buffer
    assert Needles(needles, fold=fold).find(buffer) == {i for i, needle in enumerate(needles) if needle in text}


def test_needles_beyond_a_step_and_with_one_end() -> None:
    # Endings that all share, and places on both sides of every step of the search.
    needles = [f"name{i:05d}@mail.example".encode() for i in range(3_000)]
    buffer = bytearray(b"." * 200_000)
    for i in range(0, 190_000, 700):
        buffer[i : i + len(needles[0])] = needles[i // 100]
    assert Needles(needles).find(bytes(buffer)) == {i // 100 for i in range(0, 190_000, 700)}


@given(st.binary(min_size=16, max_size=40), st.binary(max_size=5), st.integers(0, 2))
def test_what_is_encoded_is_decoded(value: bytes, before: bytes, form: int) -> None:
    text = [value.hex().encode(), value.hex().upper().encode(), base64.b64encode(before + value)][form]
    assume(form < 2 or HEX.fullmatch(text.rstrip(b"=")) is None)
    found = [decoded for _, decoded in encoded(b"(" + text + b")")]
    # The last bits of base64 can belong to the next byte.
    assert any(value[:-1] in decoded for decoded in found)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_page_is_decompressed(codec: str, version: str, tmp_path: Path) -> None:
    values = [None if i % 7 == 0 else f"value-{i % 900:07d}" for i in range(5_000)]
    table = pa.table(
        {"a": values, "b": [[v, v] if v else None for v in values], "c": pa.array(values).dictionary_encode()}
    )
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, compression=codec, data_page_version=version, row_group_size=1_200, data_page_size=900)
    needles = Needles(sorted({v.encode() for v in values if v}))
    for column in ("a", "b", "c"):
        found: set[int] = set()
        for piece in pieces(path, "x"):
            if piece.part.startswith(f"page of column '{column}"):
                found |= needles.find(piece.data)
        assert len(found) == len(needles)


@pytest.mark.parametrize("text", ["o'neil & söhne größe", "日本語の検索です", "rare 🦊 words [here] a*b"])
def test_words_behind_escapes(text: str, tmp_path: Path) -> None:
    forms = {"a.json": json.dumps([text]), "a.html": html.escape(text), "a.md": re.sub(r"([*\[\]&])", r"\\\1", text)}
    for name, form in forms.items():
        (tmp_path / name).write_text(f"<p>{form}</p>", encoding="utf-8")
        assert scan([tmp_path / name], {"it": Needles([text.encode()])}).found["it"].numbers == {0}


# --- users: a naive twin ---


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=60))
@settings(max_examples=50)
def test_users_are_counted(rows: list[tuple[int, int, int]]) -> None:
    query, doc, user = (np.array([row[i] for row in rows], np.uint64) for i in range(3))
    found = users_by([query], user)
    naive: Mapping[int, int] = {q: len({u for p, _, u in rows if p == q}) for q in range(6)}
    assert looked_up(np.arange(6, dtype=np.uint64), *found).tolist() == list(naive.values())
    del doc


def test_preferences_are_counted_by_page(made: Path) -> None:
    log = log_of(made)
    rows = pq.read_table(log).to_pylist()
    negatives = [row for row in pq.read_table(made / "k" / "negatives").to_pylist() if row["pos_id"]]
    assert negatives
    found = audit(made / "k", log=log)
    looked = next(c for c in found.checks if c.name == "user thresholds in the log").figures["looked_at"]
    assert looked["preferences"] == len(negatives)
    from hardneg_fast.audit.users import _common, _grouped, mixed

    read = read_log(log, read=hn.ReadConfig(), scrub=hn.ScrubConfig(), key=None)
    pair = mixed([read.rows["query"], read.rows["doc_id"]])
    page = mixed([read.rows["user_id"], read.rows["search_id"]])
    ways = [_grouped(pair[m], page[m], read.rows["user_id"][m]) for m in (read.rows["clicked"], ~read.rows["clicked"])]
    for row in negatives[:20]:
        keys = [
            int(mixed([read.codes(pa.array([row["query"]])), read.codes(pa.array([row[side]]))])[0])
            for side in ("pos_id", "neg_id")
        ]
        pages: dict[tuple[str, str], set[tuple[str, bool]]] = {}
        for r in rows:
            if r["query"] == row["query"]:
                pages.setdefault((r["user_id"], r["search_id"]), set()).add((r["doc_id"], r["clicked"]))
        naive = {user for (user, _), there in pages.items() if {(row["pos_id"], True), (row["neg_id"], False)} <= there}
        assert _common(ways[0], keys[0], ways[1], keys[1]) == len(naive) >= K


# --- the mechanism ---


class HalfTheNoise(Choosing):
    def _select(self, contributions, thresholds=()):
        self.sigma, whole = self.sigma // 2, self.sigma
        try:
            return super()._select(contributions, thresholds)
        finally:
            self.sigma = whole


class NotBounded(Choosing):
    def sums(self, users: Users) -> dict[tuple[str, ...], int]:
        bound, self.max_items = self.max_items, 10_000
        try:
            return super().sums(users)
        finally:
            self.max_items = bound


class ExactPrefilter(Choosing):
    def sums(self, users: Users) -> dict[tuple[str, ...], int]:
        having: dict[str, int] = {}
        for items in users.values():
            for item in set(items):
                having[item] = having.get(item, 0) + 1
        return super().sums({user: [i for i in items if having[i] > 1] for user, items in users.items()})


class ClippedOneByOne(Choosing):
    def click_sums(self, users: Users) -> dict[tuple[str, ...], int]:
        return super().click_sums(
            {f"{user}-{i}": [item] for user, items in users.items() for i, item in enumerate(items)}
        )


class ExactCounter(Choosing):
    def run(self, users: Users) -> Outcome:
        return Outcome(super().run(users).released, {"rows": sum(map(len, users.values()))})


class ReleasesAll(Choosing):
    def _select(self, contributions, thresholds=()):
        return super()._select(contributions, thresholds or [1 << 18] * len(self.thresholds))


RELEASE = hn.Config(release=hn.ReleaseConfig(max_queries_per_user=8))
MECHANISM = Mechanism(hn.Privacy.dp(epsilon=1, delta=1e-6, lineage="web", ledger="none"), RELEASE)


def verdicts(*found: Finding) -> dict[str, str]:
    return {check.name: check.verdict for check in of_findings(Report(found))}


def test_the_mechanism_that_ships_passes() -> None:
    report = findings(MECHANISM, runs=20, trials=8)
    assert {*verdicts(*report.findings).values()} == {"pass"}, report.as_dict()
    assert set(verdicts(*report.findings)) == set(MECHANISM_CHECKS)


@pytest.mark.parametrize("delta", [0, 1e-6])
def test_the_mechanism_of_public_queries_passes(delta: float) -> None:
    public = hn.Privacy.dp(
        epsilon=1,
        delta=delta,
        lineage="web",
        ledger="none",
        candidates=(),
        candidates_class="already_public",
        public_queries=(),
        public_queries_class="already_public",
    )
    report = findings(Mechanism(public, RELEASE))
    assert [finding.name for finding in report.findings] == ["noise of counting", "one run"]
    assert report.passed, report.as_dict()


@pytest.mark.parametrize("bug", [Choosing, HalfTheNoise])
def test_noise_halved_where_it_is_added(bug: type[Choosing]) -> None:
    made = bug(MECHANISM)
    found = audit_dp.audit_noise(made.noise, audit_dp.rounded_gaussian_tail(made.sigma), scale=made.sigma, n=2_000)
    assert verdicts(found) == {"noise": "pass" if bug is Choosing else "fail"}


@pytest.mark.parametrize("bug", [Choosing, NotBounded, ExactPrefilter])
def test_sums_that_move_too_far(bug: type[Choosing]) -> None:
    found = audit_dp.audit_sums(bug(MECHANISM).sums, max_items=8, trials=25)
    assert verdicts(found) == {"sensitivity": "pass" if bug is Choosing else "fail"}


@pytest.mark.parametrize("bug", [Choosing, ClippedOneByOne])
def test_clicks_that_move_too_far(bug: type[Choosing]) -> None:
    found = audit_dp.audit_sums(bug(MECHANISM).click_sums, max_items=8, most=1 << 30, trials=25)
    assert verdicts(found) == {"sensitivity": "pass" if bug is Choosing else "fail"}


@pytest.mark.parametrize("bug", [ExactCounter, ReleasesAll])
def test_runs_that_can_be_told_apart(bug: type[Choosing]) -> None:
    found = told_apart(bug(MECHANISM.at_delta(0.05)), runs=100)
    assert verdicts(found) == {"mechanism": "fail"}


def test_every_check_says_what_it_means() -> None:
    given = re.compile(r'(?:(?:Check|Finding)\(\s*|\bname ?= ?)"([^"]+)"')
    parts = [*Path(hn.__file__).parent.glob("audit/*.py"), *Path(hn.__file__).parent.glob("audit_dp/*.py")]
    named = {name for part in parts for name in given.findall(part.read_text())}
    assert len(named) > 15
    assert named <= {*MEANS}
    assert all(text.endswith(".") for text in MEANS.values())
    assert len(HASHES) == 3
