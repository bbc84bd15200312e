"""Write site/: the README and guides as pages, and the API reference from the docstrings and the stub."""

import html
import shutil
import sys
import warnings
from pathlib import Path

import pdoc
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "site"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f5f5f5; padding: .7rem; overflow-x: auto }}
code {{ font-size: .9em }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
td, th {{ border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top }}
</style></head><body>
<nav>{links}</nav>
{body}
</body></html>
"""


def main() -> None:
    """Build the whole site anew."""
    shutil.rmtree(SITE, ignore_errors=True)
    (SITE / "docs").mkdir(parents=True)
    sources = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # The README is the front page; guides keep their place under docs/, so that links between them hold.
    targets = {source: source.relative_to(ROOT).with_suffix(".html") for source in sources}
    if ROOT / "README.md" in targets:
        targets[ROOT / "README.md"] = Path("index.html")
    for source, target in targets.items():
        up = "../" * (len(target.parts) - 1)
        links = " · ".join(
            f'<a href="{up}{other.as_posix()}">{html.escape(other.stem)}</a>' for other in targets.values()
        )
        links += f' · <a href="{up}api/hardneg_fast.html">API</a>'
        tokens = markdown.parse(source.read_text(encoding="utf-8"))
        for token in tokens:
            for child in token.children or ():
                address = str(child.attrs.get("href", ""))
                path, mark, anchor = address.partition("#")
                if path.endswith(".md") and "://" not in path:
                    found = targets.get((source.parent / path).resolve())
                    child.attrs["href"] = f"{up}{found.as_posix()}{mark}{anchor}" if found else address
        body = markdown.renderer.render(tokens, markdown.options, {})
        (SITE / target).parent.mkdir(exist_ok=True)
        (SITE / target).write_text(
            PAGE.format(title=html.escape(source.stem), links=links, body=body), encoding="utf-8"
        )
    for picture in (ROOT / "docs").rglob("*.svg"):
        shutil.copyfile(picture, SITE / picture.relative_to(ROOT))
    # Types that only the stub has cannot be looked up in the binary; they are shown by name.
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
    pdoc.render.configure(docformat="google", search=False)
    pdoc.pdoc("hardneg_fast", output_directory=SITE / "api")
    sys.stdout.write(f"{len(targets)} pages and the API reference are in {SITE.relative_to(ROOT)}/\n")


if __name__ == "__main__":
    main()
