"""Several threads at once, forks, and the same work a hundred times in one process."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

import hardneg_fast as hn


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim") / "log"
    hn.simulate(folder, impressions=20_000, seed=3)
    return folder / "log.parquet"


def negatives(log: Path, out: Path | None = None) -> list[dict[str, object]]:
    found = hn.mine(log, out, privacy=hn.Privacy.k_users(2), config=hn.Config(threads=2)).negatives
    return found.sort_by([(name, "ascending") for name in ("query_id", "neg_id", "rule")]).to_pylist()


def test_several_threads_at_once(log: Path, tmp_path: Path) -> None:
    expected = negatives(log)
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(negatives, log, tmp_path / str(n) if n % 2 else None) for n in range(8)]
        queries = pa.array(["  \uff37ireless\tHEADPHONES ", "mail a@example.org"] * 500)
        texts = [pool.submit(hn.normalize, queries) for _ in range(8)]
        assert all(one.result() == expected for one in made)
        assert len({str(one.result().to_pylist()) for one in texts}) == 1


def test_one_result_asked_by_several_threads(log: Path) -> None:
    """What is read from the spill or worked out late is so for each of them."""
    counts = hn.count(log, config=hn.Config(threads=1))
    released = hn.release(counts, privacy=hn.Privacy.none())
    found: list[pa.Table] = []
    begin = threading.Barrier(4)

    def ask() -> None:
        begin.wait()
        found.append(pa.table(hn.evidence(released).table()))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 4
    assert all(table == found[0] for table in found)


FORKS = """
import os, sys, warnings
import pyarrow as pa
import hardneg_fast as hn
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads, which is what is tried
log = sys.argv[1]
def work():
    counts = hn.count(log, config=hn.Config(threads=2))
    return counts.rows, str(hn.normalize(pa.array(["A", "b@example.org"])))
expected = work()
codes = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if work() == expected else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert work() == expected
print(codes)
"""


def test_a_fork_of_an_idle_process_works_on(log: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKS, str(log)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[0, 0, 0, 0, 0]\n", done.stderr[-2000:]


ORPHANS = """
import os, sys, threading, warnings
import pyarrow as pa
import hardneg_fast as hn
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads, which is what is tried
log, folder, how = sys.argv[1:4]
key = hn.Key.ephemeral()
counts = hn.count(log)
out = os.path.join(folder, "out")
calls = {
    "mine": lambda: hn.mine(log, privacy=hn.Privacy.none()),
    "count": lambda: hn.count(log),
    "read": lambda: hn.read(log),
    "inspect": lambda: hn.inspect(log),
    "anonymize": lambda: hn.anonymize(log, out, key=key),
    "split": lambda: hn.split(log, 2, key=key),
    "normalize": lambda: hn.normalize(pa.array(["a"])),
    "scrub": lambda: hn.scrub(pa.array(["a"])),
    "pseudonymize": lambda: hn.pseudonymize(pa.array(["a"]), key=key, field="user_id"),
    "simulate": lambda: hn.simulate(out, impressions=10, seed=1),
    "related_queries": lambda: hn.related_queries(log),
    "click_log": lambda: hn.click_log(log),
    "fit_click_model": lambda: hn.fit_click_model(log),
    "estimate_propensities": lambda: hn.estimate_propensities(log),
    "release": lambda: hn.release(counts, privacy=hn.Privacy.none()),
    "merge": lambda: hn.merge(counts, counts),
    "save": lambda: counts.save(out),
    "load_counts": lambda: hn.load_counts(os.path.join(folder, "log.counts")),
    "table": lambda: counts.pairs,
    "mine and write": lambda: hn.mine(log, out, privacy=hn.Privacy.none()),
    "export": lambda: hn.export(os.path.join(folder, "dataset"), out, to="qrels"),
}
counts.save(os.path.join(folder, "log.counts"))
hn.mine(log, os.path.join(folder, "dataset"), privacy=hn.Privacy.none())
inside, go = threading.Event(), threading.Event()

def forked():
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = []
    for name, call in calls.items():
        try:
            call()
            wrong.append(f"{name}: done")
        except hn.UsageError as e:
            if "fork" not in str(e) or "spawn" not in str(e):
                wrong.append(f"{name}: {e}")
        except BaseException as e:
            wrong.append(f"{name}: {type(e).__name__} {e}")
    if wrong:
        print("\\n".join(wrong), file=sys.stderr, flush=True)
    os._exit(bool(wrong))

def find(texts):
    inside.set()
    if how == "within":
        codes.append(forked())
    else:
        go.wait()
    return [[] for _ in texts]

codes = []
scrub = hn.ScrubConfig(detector=hn.Detector(find, name="slow"))
if how == "within":
    hn.normalize(pa.array(["a"]), scrub=scrub)
else:
    busy = threading.Thread(target=lambda: hn.normalize(pa.array(["a"]), scrub=scrub))
    busy.start()
    inside.wait()
    codes.append(forked())
    go.set()
    busy.join()
calls["count"]()  # the parent goes on
if how == "beside":
    child = os.fork()
    if child == 0:
        calls["count"]()
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(codes)
"""


@pytest.mark.parametrize(("how", "codes"), [("beside", "[0, 0]\n"), ("within", "[0]\n")])
def test_a_fork_beside_work_is_refused_by_name(log: Path, tmp_path: Path, how: str, codes: str) -> None:
    """Whatever its child calls; the parent, and forks after the work has ended, go on."""
    given = [sys.executable, "-c", ORPHANS, str(log), str(tmp_path), how]
    done = subprocess.run(given, capture_output=True, text=True, timeout=120)
    assert done.stdout == codes, done.stderr[-3000:]
