"""Shown code is run, and prints what the README says it prints."""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", README, re.DOTALL)


@pytest.fixture
def elsewhere(tmp_path: Path):
    """A folder to run in, with no cache of Hugging Face outside it."""
    with contextlib.chdir(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path / "hf"))
        patch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
        yield


@pytest.mark.usefixtures("elsewhere")
def test_snippets():
    assert len(SNIPPETS) >= 3
    for code, printed in SNIPPETS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "README.md", "exec"), {})  # noqa: S102  # our own README
        if printed:
            assert out.getvalue() == printed
