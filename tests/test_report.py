"""Card and report: what they say, and that nothing of the input becomes markup."""

import json
import re
from html.parser import HTMLParser

import pyarrow as pa
import pytest
import yaml
from markdown_it import MarkdownIt

from hardneg_fast.write import write
from hardneg_fast.writers import reasons
from hardneg_fast.writers.escape import as_html, as_markdown, plain
from hardneg_fast.writers.report_html import framed, report_html
from hardneg_fast.writers.report_measures import by_position
from hardneg_fast.writers.stable_json import to_json
from mined_tables import documents, empty, mined, report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table></main><iframe src='https://evil.example/'>",
    "a | b | c",
    "line\nbreak\r\n\n# heading\n\n---\nconfigs: []",
    "``` \n fence `code` ```",
    "[link](https://evil.example/) ![i](http://evil.example/p.png)",
    "https://evil.example www.evil.example a@evil.example",
    "<https://evil.example/>",
    "&lt;b&gt; &#60;script&#62;",
    "\u202eright to left\u2066 \x00\x1b[31m\u2028",
    "half a pair \udc80",
    "**bold** _em_ ~~x~~ $x$ \\| \\",
    "long " * 500,
]
VOID = {"meta", "wbr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def hostile_report() -> dict:
    examples = [{"query": text, "positive": text, "negative": text, "rule": text, "why": text} for text in HOSTILE]
    given = report()
    given["examples"] = examples
    for text in HOSTILE:
        given["quarantine"][text] = 1
        given["cleaning"][text] = 1
        given["rules_off"][text] = text
        given["select"]["guards"][text] = 1
        given["select"]["negatives"][text] = 1
        given["funnel"].append({"stage": text, "count": 1})
        given["input"]["notes"].append(text)
        given["config"][text] = text
    given["version"] = HOSTILE[0]
    return given


def test_page_is_one_file_that_loads_nothing(tmp_path):
    write(mined(), tmp_path / "out", documents=documents())
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(text) < 300_000
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not {"src", "href", "srcset", "action", "data", "background"} & {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "prefers-color-scheme" in text


def test_page_tells_what_happened(tmp_path):
    write(mined(), tmp_path / "out", documents=documents())
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    for words in (
        "1,000,000",
        "rows understood",
        reasons.QUARANTINE["null_query"],
        reasons.CLEANING["robot_searches"],
        reasons.RULES["skip_above"],
        reasons.GUARDS["own_positive"],
        "the log has no click times",
        "at least 10 different users",
        "not differential privacy",
        "Text of d1.",
        "22.7",
    ):
        assert words in page.text


def test_an_interval_goes_down_to_nothing():
    given = measured()
    place = given["evidence"]["positions"][3]
    drawn = []
    for low in (0.0, None, 1e-9):
        place |= {"lower": low, "upper": 0.9}
        drawn.append(by_position(given))
    assert drawn[0] != drawn[1], "an end at 0 is drawn, one that is not there is not"
    assert re.sub(r"<td.*", "", drawn[0]) == re.sub(r"<td.*", "", drawn[2])


def measured() -> dict:
    """A report with all that is measured in it."""
    return report() | {
        "evidence": {
            "debias": "pbm",
            "reason": "explains held-out impressions best",
            "positions": [{"position": i, "examination": 1 / i} for i in range(1, 11)],
            "false_negatives": {
                "expected": 0.034,
                "lower": 0.025,
                "upper": 0.042,
                "distribution": [
                    {"from": 0.0, "below": 0.05, "rows": 700}, {"from": 0.05, "below": 0.5, "rows": 130},
                    {"from": 0.5, "below": 1.0, "rows": 20},
                ],
            },
        },
        "hardness": {
            "positions": [{"place": "1 to 3", "rows": 70}, {"place": "11 and more", "rows": 10}],
            "without_position": 20,
            "words": {"positive": 0.96, "negative": 0.75, "other": 0.034},
        },
        "yield": {
            "limit": 0.1,
            "queries_with_positive": 500,
            "curve": [
                {"limit": 0.02 * i, "negatives": 100 * i, "false_negatives": 0.005 * i, "queries_4": 10 * i}
                for i in range(1, 51)
            ],
        },
        "coverage": [
            {"from": 10, "below": 20, "queries": 360, "with_1": 60, "with_4": 50},
            {"from": 10_000, "below": None, "queries": 10, "with_1": 10, "with_4": 0},
        ],
    }  # fmt: skip


def test_page_shows_what_was_measured():
    page = Page(report_html(measured(), {"mode": "k_users", "k": 10}))
    for words in (
        "3.4 % of the negatives, between 2.5 % and 4.2 %", "under 5 %", "5 to 50 %", "50 % and more", "position-based",
        "Percent looked at", "position 1 to 3", "20 without a position", "75.0 %", "documents of other queries",
        "10 to 19", "10,000 and more", "16.7 %", "What other limits would give", "this run: 10.0 %",
        "100.0 %5,00025.0 %500",
    ):  # fmt: skip
        assert words in page.text


def test_card_says_what_was_measured(tmp_path):
    write(mined(report=measured()), tmp_path / "out", documents=documents())
    _, body = front_matter((tmp_path / "out" / "README.md").read_text(encoding="utf-8"))
    for words in ("## Quality", "3.4 % of the negatives (between 2.5 % and 4.2 %", "| 10 to 19 | 360 | 60 | 50 |"):
        assert words in body


def test_hardness_is_that_of_the_written_rows(tmp_path):
    texts = pa.table({"doc_id": ["d1", "d2", "d3", "d4", "d5"], "text": [
        "Waterproof hiking boots for women", "Laces for hiking boots", "HIKING socks", "a pan, nonstick", "pan lid",
    ]})  # fmt: skip
    write(mined(privacy={"mode": "none"}), tmp_path / "out", documents=texts)
    found = json.loads((tmp_path / "out" / "report.json").read_text())["hardness"]
    assert found["positions"][0] == {"place": "1 to 3", "rows": 3}
    # Positives have 4/4, 4/4 and 2/2 of the words, negatives 2/4, 1/4 and 1/2, those of the next row 1/4, 0 and 0.
    assert found["words"] == {"positive": 1.0, "negative": 0.417, "other": 0.083}


def test_budget_is_shown():
    claim = {"dp": True, "lineage": "shop<b>", "epsilon": 1.9999999, "delta": 1e-6, "limit_epsilon": 8.0}
    page = Page(report_html({}, {"mode": "dp", "epsilon": 0.5, "delta": 1e-8, "lineage_claim": claim}))
    assert "Budget of shop<b>: epsilon at delta 1e-06" in page.text
    assert "spent so far2limit8" in page.text


def test_a_notebook_shows_the_page_in_a_frame():
    shown = framed(hostile_report(), {"mode": "none"})
    frame = Page(shown)
    assert frame.tags == ["iframe"]
    assert dict(frame.attributes)["sandbox"] is None
    assert "No privacy protection" in Page(dict(frame.attributes)["srcdoc"]).text


def test_no_privacy_is_said_aloud(tmp_path):
    write(mined(privacy={"mode": "none"}), tmp_path / "out")
    for name in ("report.html", "README.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "No privacy protection" in text
        assert "at least 10" not in text


def test_page_is_small_and_sound_whatever_is_in_it():
    text = report_html(hostile_report(), {"mode": HOSTILE[0]})
    plain_page, page = Page(report_html(report(), {"mode": "k_users", "k": 10})), Page(text)
    assert set(page.tags) <= set(plain_page.tags)
    assert {name for name, _ in page.attributes} == {name for name, _ in plain_page.attributes}
    assert not re.search(r"https?://", text)
    assert len(text) < 300_000
    text.encode("utf-8")


@pytest.mark.parametrize("given", [{}, {"funnel": None, "examples": None, "select": None, "input": {}, "counts": {}}])
def test_missing_figures_leave_their_section_out(given):
    page = Page(report_html(given, {}))
    assert "Hard negatives" in page.text
    assert "Clicks by position" not in page.text


def front_matter(text: str) -> tuple[dict, str]:
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_card_names_the_configs(tmp_path):
    write(mined(), tmp_path / "out", documents=documents())
    head, body = front_matter((tmp_path / "out" / "README.md").read_text(encoding="utf-8"))
    assert [config["config_name"] for config in head["configs"]] == [
        "triplets", "negatives", "positives", "queries", "documents",
    ]  # fmt: skip
    assert [config.get("default") for config in head["configs"]] == [True, None, None, None, None]
    for words in ("load_dataset", "## Privacy", "| `negative_1` | string |", "| rows read | 1,000,000 |", "## Limits"):
        assert words in body


def tree(text: str) -> list[tuple[str, str]]:
    """Blocks and inline marks of a card, without its texts."""
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    return [(token.type, token.tag) for block in tokens for token in (block, *(block.children or ()))]


@pytest.mark.parametrize("text", HOSTILE)
def test_card_keeps_its_structure(tmp_path, text):
    example = {"query": text, "positive": text, "negative": text, "rule": text}
    cards = []
    for number, shown in enumerate((example, dict.fromkeys(example, "word"))):
        given = report() | {"examples": [shown], "funnel": [{"stage": shown["query"], "count": 1}]}
        given["rules_off"] = {"skipped": shown["query"]}
        write(mined(report=given), tmp_path / f"out{number}")
        head, body = front_matter((tmp_path / f"out{number}" / "README.md").read_text(encoding="utf-8"))
        assert len(head["configs"]) == 5
        assert not re.search(r"https?://|www\.|\w@\w", body)
        cards.append([kind for kind in tree(body) if kind != ("text", "")])
    # A reference to a character is a node of its own to the parser; it is text all the same.
    hostile, plain_card = ([kind for kind in card if kind[0] != "text_special"] for card in cards)
    assert hostile == plain_card


def test_card_shows_the_text_that_was_given():
    html = MarkdownIt("gfm-like", {"linkify": False}).renderInline(as_markdown("a|b `c` <d> & [e](f) *g* 1.5 x_y_z"))
    assert html == "a|b `c` &lt;d&gt; &amp; [e](f) *g* 1.5 x_y_z"


def test_plain_is_one_short_line():
    assert plain("a\nb\t\x00c\u2028d") == "a b c d"
    assert plain("\u202eabc\u2066") == "abc"
    assert plain("x" * 500) == "x" * 199 + "…"
    assert plain("\U0001f469\u200d\U0001f692 ñ 日本") == "\U0001f469\u200d\U0001f692 ñ 日本"
    assert as_html("http://a") == "http&#58;//a"


def test_report_json_is_the_report_sorted(tmp_path):
    write(mined(), tmp_path / "out")
    text = (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    written = content.pop("written")
    assert written == {"triplets": 3, "negatives": 3, "positives": 2, "queries": 2, "documents": 5}
    hardness = content.pop("hardness")
    assert hardness == {
        "positions": [{"place": place, "rows": 0} for place in ("1 to 3", "4 to 6", "7 to 10", "11 and more")],
        "without_position": 0,
    }
    for row in content["ctr_by_position"]:
        assert 0 < row.pop("lower") < row["ctr"] < row.pop("upper") < 1
    assert content == report()
    assert json.loads((tmp_path / "out" / "privacy.json").read_text()) == {"mode": "k_users", "k": 10}


def test_positions_come_from_the_table_where_the_report_has_none(tmp_path):
    write(mined(report={}), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    # The interval is that of Wilson, by hand.
    assert content["ctr_by_position"][0] == {
        "position": 1, "impressions": 100, "clicks": 20, "ctr": 0.2, "lower": 0.1334, "upper": 0.2888,
    }  # fmt: skip
    assert "Clicks by position" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_json_takes_what_tables_give():
    values = {"b": (1, pa.scalar(2).as_py()), "a": float("nan"), 3: "half \udc80"}
    assert to_json(values) == b'{\n  "3": "half \\udc80",\n  "a": null,\n  "b": [\n    1,\n    2\n  ]\n}\n'
    with pytest.raises(TypeError, match="object"):
        to_json({"a": object()})


def test_empty_run_has_a_page_and_a_card(tmp_path):
    write(empty(), tmp_path / "out")
    Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "### triplets: 0 rows" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_every_reason_of_the_architecture_has_a_sentence():
    assert reasons.sentence("cap", "some_new_reason") == "Some new reason."
    for table in (reasons.QUARANTINE, reasons.CLEANING, reasons.RULES, reasons.GUARDS, reasons.CAPS):
        assert all(sentence.endswith(".") and len(sentence) < 120 for sentence in table.values())
