"""What all tests share: shared logs, hypothesis profiles, and the list of skips that CI accepts."""

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

# One answer on every machine by default; HYPOTHESIS_PROFILE=explore looks for new examples.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.register_profile("unshrunk", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of shared logs, which are not part of the repository."""
    if not (folder := os.environ.get("HARDNEG_DATA")):
        pytest.skip("HARDNEG_DATA is not set")
    return Path(folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--check-skips", action="store_true", help="fail where a skip is not in tests/allowed_skips.txt")


def _skips(config: pytest.Config) -> list[tuple[str, str, bool]]:
    """Test, reason and whether allowed, of every test that was skipped or failed as expected."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    allowed = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    found = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        found.append((report.nodeid, reason, reason in allowed))
    for report in reporter.stats.get("xfailed", []):
        reason = report.wasxfail.removeprefix("reason: ")
        found.append((report.nodeid, reason, reason in allowed))
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workerinput"):
        return  # one of several processes: the one that started them looks at all reports
    if session.config.option.check_skips and exitstatus == 0 and not all(ok for *_, ok in _skips(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.option.check_skips:
        return
    terminalreporter.section("skips")
    for nodeid, reason, ok in _skips(config):
        verdict = "allowed" if ok else "NOT ALLOWED: its reason is not in tests/allowed_skips.txt"
        terminalreporter.write_line(f"{nodeid}: {reason} ({verdict})")
