"""Write site/: README and guides as pages, commands and options from the code, the API from docstrings and the stub."""

import html
import re
import shutil
import sys
import warnings
from pathlib import Path

import pdoc
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hardneg_fast import cli, cli_config, options
from hardneg_fast.cli_shared import Help, Parser
from hardneg_fast.config import Config
from site_style import STYLE

ROOT = Path(__file__).resolve().parents[1]

CONTENTS = {
    "": {"README.md": "hardneg_fast"},
    "Tutorial": {"docs/guides/first_model.md": "From a log to a model"},
    "Guides": {
        "docs/guides/your_log.md": "Bring your log",
        "docs/guides/your_trainer.md": "Feed your trainer",
        "docs/guides/privacy.md": "Privacy for practitioners",
        "docs/guides/yield_or_purity.md": "Yield or purity",
        "docs/guides/beyond_the_log.md": "Negatives beyond the log",
        "docs/SPARK.md": "Past one machine",
    },
    "Ideas": {
        "docs/concepts/position_bias.md": "Position bias",
        "docs/concepts/false_negatives.md": "False negatives",
        "docs/concepts/thresholds.md": "Why thresholds",
        "docs/concepts/words.md": "What these words mean",
    },
    "Reference": {
        "reference/commands": "Commands",
        "reference/options": "Options",
        "api/hardneg_fast": "Python",
        "docs/SOURCES.md": "Sources",
        "docs/TARGETS.md": "Targets",
        "docs/CLICK_MODELS.md": "Click models",
    },
    "Inside": {
        "docs/ARCHITECTURE.md": "Architecture",
        "docs/PRIVACY.md": "Privacy",
        "docs/PROOFS.md": "Proofs",
        "benches/README.md": "Speed",
        "benches/quality/README.md": "Quality",
        "docs/RELIABILITY.md": "Reliability",
        "SECURITY.md": "Security",
        "docs/WHEELS.md": "Wheels",
    },
}
"""Heading → page → what links call it."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · hardneg_fast</title><style>{style}</style></head>
<body><nav><details><summary>Contents</summary>{links}</details><div class="side">{links}</div></nav>
<main>{body}</main></body></html>
"""


def main(site: Path) -> None:
    """Build the whole site anew."""
    shutil.rmtree(site, ignore_errors=True)
    targets = {name: _target(name) for pages in CONTENTS.values() for name in pages}
    # What is in no list is a page all the same, so that no link to it is lost.
    targets |= {n: _target(n) for p in sorted((ROOT / "docs").rglob("*.md")) if (n := _name(p)) not in targets}
    for name, target in targets.items():
        if name.startswith("api/"):
            continue
        body = {"reference/commands": _commands, "reference/options": _options}.get(name)
        text = body() if body else _markdown(ROOT / name, site, targets)
        up = "../" * (len(target.parts) - 1)
        page = PAGE.format(title=html.escape(_title(name)), style=STYLE, links=_links(up, targets, name), body=text)
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        (site / target).write_text(page, encoding="utf-8")
    # Types that only the stub has cannot be looked up in the binary; they are shown by name.
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
    pdoc.render.configure(docformat="google", search=False)
    pdoc.pdoc("hardneg_fast", output_directory=site / "api")
    sys.stdout.write(f"{len(targets)} pages and the API reference are in {site.name}/\n")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _target(name: str) -> Path:
    # The README is the front page; others keep their place, so that links between them hold.
    return Path("index.html") if name == "README.md" else Path(f"{name.removesuffix('.md')}.html")


def _title(name: str) -> str:
    return next((pages[name] for pages in CONTENTS.values() if name in pages), Path(name).stem)


def _links(up: str, targets: dict[str, Path], here: str) -> str:
    parts = []
    for heading, pages in CONTENTS.items():
        parts.append(f"<h4>{heading}</h4><ul>" if heading else "<ul>")
        for name, called in pages.items():
            mark = ' aria-current="page"' if name == here else ""
            parts.append(f'<li><a href="{up}{targets[name].as_posix()}"{mark}>{html.escape(called)}</a></li>')
        parts.append("</ul>")
    return "".join(parts)


def _markdown(source: Path, site: Path, targets: dict[str, Path]) -> str:
    """A page's text as HTML, its links led to pages, and to copies of files."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(source.read_text(encoding="utf-8"))
    up = "../" * (len(targets[_name(source)].parts) - 1)
    seen: dict[str, int] = {}
    for token, inline in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and inline is not None:
            token.attrSet("id", _anchor(inline, seen))
        for child in token.children or ():
            for attribute in ("href", "src"):
                path, mark, place = str(child.attrs.get(attribute, "")).partition("#")
                file = (source.parent / path).resolve()
                if not path or "://" in path or not file.is_relative_to(ROOT):
                    continue
                name = _name(file)
                if name not in targets and file.is_file():
                    (site / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, site / name)
                child.attrs[attribute] = f"{up}{targets[name].as_posix() if name in targets else name}{mark}{place}"
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _anchor(heading: Token, seen: dict[str, int]) -> str:
    """As code hosts make them: small letters, no signs, dashes for spaces, a number where it was there before."""
    words = "".join(child.content for child in heading.children or () if child.type in ("text", "code_inline"))
    anchor = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
    seen[anchor] = seen.get(anchor, -1) + 1
    return f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor


def _commands() -> str:
    """Every command with its help."""
    parts = ["<h1>Commands</h1><p>What <code>hardneg-fast COMMAND --help</code> prints.</p>"]
    for command in (*(c for c in cli.COMMANDS if c is not cli_config.CONFIG), cli_config.SHOW):
        name = f"config {command.name}" if command is cli_config.SHOW else command.name
        parser = Parser(prog=f"hardneg-fast {name}", formatter_class=Help, allow_abbrev=False)
        parser.needs = command.needs
        command.options(parser)
        head = f'<h2 id="{name.replace(" ", "-")}">{name}</h2><p>{html.escape(command.about)}</p>'
        examples = html.escape("\n".join(f"$ {example}" for example in command.examples))
        text = html.escape(parser.format_help())
        parts.append(
            f"{head}<pre><code>{examples}</code></pre><details><summary>All options</summary><pre><code>{text}"
            "</code></pre></details>"
        )
    return "".join(parts)


def _options() -> str:
    """Every option of the configuration: one tree for Python, TOML and the command line."""
    plain = [
        ("seed", "N", Config.seed, "Of all sampling."),
        ("threads", "N", Config.threads, "Worker threads; 0 takes every core."),
        ("memory", "SIZE", Config.memory, "Budget, such as 512MB; 0 takes a quarter of the memory."),
        ("spill_dir", "DIR", Config.spill_dir, "Where encrypted spill goes; the system's temporary folder otherwise."),
    ]
    parts = [
        "<h1>Options</h1><p>One tree: <code>hn.Config(select=hn.SelectConfig(alpha=.1))</code> in Python, "
        "<code>[select] alpha = 0.1</code> in a file for <code>--config</code>, and "
        "<code>--select.alpha 0.1</code>. <code>hardneg-fast config show</code> says what holds in a run.</p>"
    ]
    sections: dict[str, list[tuple[str, str, object, str]]] = {"": plain}
    for option in options.fields():
        sections.setdefault(option[0].partition(".")[0], []).append(option)
    for section, found in sections.items():
        parts.append(f'<h2 id="{section}">{section}</h2>' if section else "")
        parts.append("<dl>")
        for name, words, default, about in found:
            shown = html.escape(cli_config.toml(default) if default not in (None, "", {}, ()) else "none")
            text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(about))
            takes = html.escape(words).replace("|", "|<wbr>")
            parts.append(
                f"<dt><code>{name}</code> <span>{takes}; default <code>{shown}</code></span></dt><dd>{text}</dd>"
            )
        parts.append("</dl>")
    return "".join(parts)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "site")
