"""Reports and guides in a real browser, at a phone's width and a screen's, light and dark: `make test-targets`.

The browser is Debian's package chromium, or what CHROMIUM names. Pictures go to the folder that PICTURES names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import hardneg_fast as hn
from hardneg_fast.ledger import Ledger
from hardneg_fast.writers.report_html import framed, report_html

ROOT = Path(__file__).parents[2]
WIDTHS, THEMES = (390, 1280), ("light", "dark")
HOSTILE = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">" + "word" * 60

# Every text with its colour and the ground it stands on; everything that sticks out; labels of drawings that meet.
LOOK = r"""() => {
  const channels = color => color.match(/[\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
    return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }); return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = channels(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > .99) return c.slice(0, 3) } return [255, 255, 255] };
  const wide = document.documentElement.clientWidth, found = {pale: [], out: [], meet: [], empty: [], thin: []};
  const scrolls = e => { for (; e; e = e.parentElement) if (getComputedStyle(e).overflowX === 'auto') return true };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement, style = getComputedStyle(e);
    if (!node.data.trim() || !e.getClientRects().length || ['TITLE', 'STYLE'].includes(e.tagName)) continue;
    const ink = e.closest('svg') ? style.fill : style.color, [a, b] = [light(channels(ink)), light(ground(e))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) found.pale.push([node.data.slice(0, 40), contrast]);
    const box = e.getBoundingClientRect();
    const drawing = e.closest('svg')?.getBoundingClientRect();
    if (drawing && (box.left < drawing.left - 1 || box.right > drawing.right + 1)) found.out.push(node.data);
    const range = document.createRange(); range.selectNodeContents(node);
    const lines = range.getClientRects().length;
    if (e.tagName === 'TH' && lines > node.data.trim().split(/\s+/).length) found.thin.push(node.data);
    else if (lines > 3 && node.data.length / lines < 4) found.thin.push(node.data.slice(0, 40));
    if ((box.right > wide + 1 || box.left < -1) && !scrolls(e)) found.out.push(node.data.slice(0, 40));
  }
  for (const drawing of document.querySelectorAll('svg.columns')) {
    const boxes = [...drawing.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
      if (a.left < b.right && b.left < a.right && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        found.meet.push([name, other]) }));
  }
  for (const rect of document.querySelectorAll('svg.bar rect, svg.columns rect')) {
    const box = rect.getBoundingClientRect();
    if (rect.getAttribute('width') !== '0.00%' && (box.width < 1 || box.height <= 0)) found.empty.push(rect.outerHTML);
  }
  return {...found, scroll: document.documentElement.scrollWidth - wide,
    ground: light(ground(document.body)), headings: [...document.querySelectorAll('h2')].map(h => h.textContent)};
}"""


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no browser: install Debian's package chromium, or name one with CHROMIUM"
    with sync_playwright() as playwright:
        # Without its sandbox, since build machines run as root; what it opens is ours.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    hn.simulate(folder / "sim", impressions=100_000, seed=3)
    log, documents = folder / "sim" / "log.parquet", folder / "sim" / "documents.parquet"
    Ledger.create(folder / "ledger", epsilon=8, delta=1e-6)
    private = hn.Privacy.dp(
        epsilon=6,
        lineage="shop",
        ledger=folder / "ledger",
        candidates=folder / "sim" / "candidates.parquet",
        candidates_class="frozen_before_window",
    )
    base = hn.Config(read=hn.ReadConfig(position_base="1"))
    for name, privacy in (("dp", private), ("k_users", hn.Privacy.k_users(5)), ("none", hn.Privacy.none())):
        hn.mine(log, folder / name, privacy=privacy, documents=documents, config=base)
    (folder / "hostile").mkdir()
    (folder / "hostile" / "report.html").write_text(report_html(hostile(), {"mode": "k_users", "k": 5}))
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run([sys.executable, ROOT / "docs" / "build_site.py", out], check=True, capture_output=True)
    return out


def hostile():
    """A report in which everything that a log could bring in is markup, and long."""
    example = dict.fromkeys(("query", "positive", "negative", "positive_text", "rule", "why"), HOSTILE)
    return {
        "input": {"notes": [HOSTILE], HOSTILE: HOSTILE},
        "quarantine": {HOSTILE: 10**12},
        "funnel": [{"stage": HOSTILE, "count": 10**15}],
        "select": {"guards": {HOSTILE: 5}, "negatives": {HOSTILE: 5}, "candidates": {HOSTILE: 10**12}},
        "rules_off": {HOSTILE: HOSTILE},
        "examples": [example],
        "ctr_by_position": [{"position": i, "impressions": 9, "clicks": 1, "ctr": 0.1} for i in range(1, 51)],
        "config": {HOSTILE: HOSTILE},
    }


def opened(browser, address, width, theme):
    """A page, and what it asked for and said."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page, heard = context.new_page(), []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.goto(address)
    return page, heard


def kept(page, name):
    """Puts a picture where somebody wants to look at it; a blank one is a fault."""
    picture = page.screenshot(full_page=True)
    assert len(picture) > 20_000
    if folder := os.environ.get("PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(picture)


def sound(seen, theme):
    """Fails where something is cut off, pale, or in the way of something else."""
    assert seen["scroll"] == 0
    assert [seen[fault] for fault in ("out", "pale", "meet", "empty", "thin")] == [[]] * 5
    assert (seen["ground"] > 0.5) == (theme == "light")


HEADINGS = {
    "k_users": {
        "Privacy", "From log to training rows", "Clicks by position", "False negatives to expect", "How hard they are",
        "What other limits would give", "Which queries have negatives", "Rows left out on purpose",
        "Where the negatives come from", "Examples",
    },
    "none": {"Privacy", "False negatives to expect", "Which queries have negatives", "Examples"},
    "dp": {"Privacy", "From log to training rows", "How hard they are", "Examples"},
    "hostile": {"Privacy", "Clicks by position", "Examples"},
}  # fmt: skip


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*HEADINGS])
def test_report(browser, reports, name, width, theme):
    address = (reports / name / "report.html").as_uri()
    page, heard = opened(browser, address, width, theme)
    seen = page.evaluate(LOOK)
    kept(page, f"report-{name}-{width}-{theme}")
    sound(seen, theme)
    assert set(seen["headings"]) >= HEADINGS[name]
    for summary in page.query_selector_all("summary"):
        summary.click()
    sound(page.evaluate(LOOK), theme)
    assert page.title() == "Hard negatives from click logs"
    assert heard == [address]
    page.context.close()


@pytest.mark.parametrize("theme", THEMES)
def test_notebook(browser, tmp_path, theme):
    """What a notebook puts into its page."""
    (tmp_path / "cell.html").write_text(f"<!doctype html><title>notebook</title>{framed(hostile(), {'mode': 'none'})}")
    page, heard = opened(browser, (tmp_path / "cell.html").as_uri(), 1280, theme)
    frame = page.frames[1]
    assert "No privacy protection" in frame.inner_text("body")
    assert "<script>" in frame.inner_text("body")
    assert page.title() == "notebook"
    assert [address for address in heard if not address.startswith(("file:", "about:"))] == []
    page.context.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["index", "docs/guides/your_log", "reference/options", "docs/concepts/position_bias"])
def test_site(browser, site, name, width, theme):
    page, heard = opened(browser, (site / f"{name}.html").as_uri(), width, theme)
    kept(page, f"site-{name.replace('/', '-')}-{width}-{theme}")
    seen = page.evaluate(LOOK)
    sound(seen, theme)
    assert [address for address in heard if not address.startswith("file:")] == []
    if width == 390:
        page.click("nav summary")
    page.locator("nav a:visible", has_text="Privacy for practitioners").click()
    assert page.inner_text("h1") == "Privacy for practitioners"
    page.context.close()


def test_pictures_are_checked(browser, tmp_path):
    """What is wrong is found: pale text, text that sticks out, labels that meet."""
    (tmp_path / "bad.html").write_text(
        "<body style='background:#fff'><p style='color:#bbb'>pale</p>"
        "<p style='position:absolute;left:380px'>out of it</p>"
        "<svg class=columns><text x=10 y=20>one</text><text x=14 y=22>two</text></svg><div style='width:600px'>.</div>"
        "<svg width=50 height=20><text x=40 y=20>cut off</text></svg>"
        "<p style='width:1px;overflow-wrap:anywhere'>letters</p>"
        "<table style='overflow-wrap:anywhere'><tr><th style='max-width:9px'>head</th></tr></table>"
    )
    page, _ = opened(browser, (tmp_path / "bad.html").as_uri(), 390, "light")
    seen = page.evaluate(LOOK)
    assert [text for text, _ in seen["pale"]] == ["pale"]
    assert seen["out"] == ["out of it", ".", "cut off"]
    assert seen["thin"] == ["letters", "head"]
    assert seen["meet"] == [["one", "two"]]
    assert seen["scroll"] > 0
    page.context.close()
