"""Shown code is run, and prints what its page says; the site is built, and no link in it leads nowhere."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest

import hardneg_fast as hn
from disguises import disguise
from hardneg_fast import cli
from shown import PAGES, ROOT, blocks, check, run

# What needs Spark is run by make test-engines.
ELSEWHERE = {"SPARK": ROOT / "tests" / "engines" / "test_recipes.py"}
GUIDES = [page for page in PAGES if page.parent != ROOT and page.stem not in ELSEWHERE]
LANGUAGES = {"python", "console", "toml", "text"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Everything that pages name."""
    folder = tmp_path_factory.mktemp("logs")
    disguise(folder)
    (folder / "clicks.ndjson").write_bytes(
        (folder / "ubi_queries.ndjson").read_bytes() + (folder / "ubi_events.ndjson").read_bytes()
    )
    shutil.copyfile(folder / "sim" / "log.parquet", folder / "log.parquet")
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder to run in, with no cache of Hugging Face outside it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_code_of_a_guide(page, logs, elsewhere):
    folder = shutil.copytree(logs, elsewhere / "here")
    (folder / "examples").symlink_to(ROOT / "examples")
    if page.stem == "first_model":
        shutil.rmtree(folder / "sim")  # It simulates its own, and replaces nobody's.
    if page.stem == "TARGETS":
        texts = folder / "sim" / "documents.parquet"
        hn.mine(folder / "log.parquet", folder / "negatives", privacy=hn.Privacy.k_users(5), documents=texts)
    run(page, folder)
    if page.stem == "your_log":
        # Whoever followed it has what a trainer opens, each from the same searches.
        rows = {name: _opened(folder / name) for name in ("from-ubi", "from-ga4", "from-table", "from-mapping")}
        assert min(rows.values()) > 20
        assert max(rows.values()) < 1.3 * min(rows.values())


def _opened(folder: Path) -> int:
    """Rows that the `datasets` library finds, which must hold texts."""
    from datasets import load_dataset  # it looks for its cache when it is imported

    train = load_dataset(str(folder), split="train")
    assert train.column_names == ["query", "positive", "negative_1"]
    assert all(row["positive"].endswith(".") and row["positive"] != row["negative_1"] for row in train)
    return len(train)


def test_the_readme_in_its_order(elsewhere):
    """All of its blocks, in one folder that holds a log and texts, as a reader would go through them."""
    hn.simulate(elsewhere / "their", impressions=1_000_000, seed=8)
    log = pl.read_parquet(elsewhere / "their" / "log.parquet")
    log.write_parquet(elsewhere / "clicks.parquet")
    shutil.copyfile(elsewhere / "their" / "documents.parquet", elsewhere / "docs.parquet")
    north = pl.col("user_id").cast(pl.String).hash(seed=0) % 2 == 0
    log.filter(north).write_parquet(elsewhere / "north.parquet")
    log.filter(~north).write_parquet(elsewhere / "south.parquet")
    del log
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert run(ROOT / "README.md", elsewhere) >= 11
    # Commands within sentences that name all that they need come where they can be run, too.
    inline = re.findall(r"`(hardneg-fast export [^`]+)`", page)
    assert inline == ["hardneg-fast export mined --to tevatron -o for-training"]
    with contextlib.chdir(elsewhere):
        assert cli.main(inline[0].split()[1:]) == 0
        # And the guide's ledger is of the same people.
        guide = (ROOT / "docs" / "guides" / "privacy.md").read_text(encoding="utf-8")
        assert {*re.findall(r"--lineage (\w+) --ledger budget", page + guide)} == {"web"}


def test_exit_codes_are_in_one_table():
    text = (ROOT / "docs" / "concepts" / "words.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {error.exit_code for error in vars(hn).values() if isinstance(error, type) and hasattr(error, "exit_code")}
    assert told == {0, 130} | raised
    assert "#exit-codes" in "".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_the_curve_counts_documents_and_the_table_rows(tmp_path):
    """As the guide, the report and the words say."""
    hn.simulate(tmp_path / "sim", impressions=100_000, seed=7)
    found = hn.mine(tmp_path / "sim" / "log.parquet", privacy=hn.Privacy.none())
    limit = hn.SelectConfig().max_p_false_negative
    (point,) = [p for p in found.report["yield"]["curve"] if p["limit"] == limit] or [None]
    documents = found.negatives.group_by(["query_id", "neg_id"]).aggregate([]).num_rows
    assert point["negatives"] == documents < found.negatives.num_rows


def test_commands_go_over_no_line():
    """What stands in backticks can be copied as it is."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        broken = [
            code
            for code in re.findall(r"`([^`]+)`", text)
            if "\n" in code and re.match(r"(hardneg-fast|make|source) ", code)
        ]
        assert not broken, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_its_language(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES
    assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0


def test_figures_are_compared():
    check("a 1,040 b\nc\n", "a 1,000 b\n…\n", figures="near")
    check("a\nb\nc 0.83 d\n", "…\nc 0.81 …\n", figures="near")
    for printed, shown in (
        ("a 1,400\n", "a 1,000\n"), ("a 1\nb\n", "a 1\n"), ("b 1\n", "a 1\n"), ("", "a\n"), ("-0.3\n", "+0.3\n"),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            check(printed, shown, figures="near")
    with pytest.raises(AssertionError):
        check("1,001\n", "1,000\n", figures="exact")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built."""
    out = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run([sys.executable, ROOT / "docs" / "build_site.py", out], check=True, capture_output=True)
    return out


def test_no_link_leads_nowhere(site):
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if "api" not in path.parts}
    assert len(pages) > len(PAGES)
    places = {path: {*re.findall(r' id="([^"]+)"', text)} for path, text in pages.items()}
    lost = []
    for path, text in pages.items():
        for address in re.findall(r' (?:href|src)="([^"]+)"', text):
            if re.match(r"[a-z]+:", address):
                continue
            file, _, place = unquote(address).partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (place and target in places and place not in places[target]):
                lost.append((path.relative_to(site).as_posix(), address))
    assert not lost


def test_reference_has_every_command_and_option(site):
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in ("mine", "inspect", "anonymize", "audit", "export", "ledger", "config show"):
        assert f'<h2 id="{name.replace(" ", "-")}">' in commands
    options = (site / "reference" / "options.html").read_text(encoding="utf-8")
    for name in ("select.max_attractiveness", "read.preset", "release.clip", "seed"):
        assert f"<code>{name}</code>" in options
    assert 'class="language-' in (site / "docs" / "guides" / "first_model.html").read_text(encoding="utf-8")
    assert (site / "api" / "hardneg_fast.html").exists()


def test_pages_load_nothing(site):
    for path in site.rglob("*.html"):
        if "api" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?https?:', text)


def test_links_of_the_pages_themselves():
    """On a code host links lead to files, which need not be pages."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for address in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:", address):
                assert (page.parent / Path(unquote(address.partition("#")[0]))).exists() or address[0] == "#", address
