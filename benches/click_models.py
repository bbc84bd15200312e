"""Click models by CPU time, beside CLAX to its own final likelihood: `click_models.py --sessions 100000`.

CLAX runs from its own environment (requirements/clax.txt): `--clax VENV/bin/python`, once for each of the batch sizes
`--batch`; of those whose likelihood is within .0005 of the best of them, the one with the least CPU time is compared.
Both read the same Parquet file, fit the first three quarters of its sessions and are judged by the last: mean
log-likelihood of a result. `--truths` measures what is found again of known worlds instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "benches"
TESTS = Path(__file__).parents[1] / "tests"
CHILD = """
import json, sys, time
import jax, numpy as np, optax, pyarrow.parquet as pq
from clax import Trainer, PositionBasedModel, UserBrowsingModel
from clax.metrics import LogLikelihood
from flax import nnx
train_path, test_path, name, size, rate = sys.argv[1:]
size = int(size)

class Loader:
    def __init__(self, arrays, shuffle):
        self.arrays, self.shuffle, self.draw = arrays, shuffle, np.random.default_rng(0)
    def __len__(self):
        return -(-len(self.arrays["clicks"]) // size)
    def __iter__(self):
        n = len(self.arrays["clicks"])
        order = self.draw.permutation(n) if self.shuffle else np.arange(n)
        for at in range(0, n, size):
            yield {k: v[order[at:at + size]] for k, v in self.arrays.items()}

def arrays(path):
    table = pq.read_table(path, columns=["query", "doc_id", "position", "clicked"])
    of = lambda name: table[name].to_numpy().reshape(-1, 10)
    return {"query_doc_ids": of("doc_id").astype(np.int64), "positions": of("position").astype(np.int64),
            "clicks": of("clicked").astype(np.float32), "mask": np.ones(of("clicked").shape, bool)}

model_class = {"pbm": PositionBasedModel, "ubm": UserBrowsingModel}[name]
cpu = time.process_time()
train = arrays(train_path)
cut = len(train["clicks"]) * 9 // 10
fit = {k: v[:cut] for k, v in train.items()}
held = {k: v[cut:] for k, v in train.items()}
model = model_class(positions=10, query_doc_pairs=int(train["query_doc_ids"].max()) + 1, rngs=nnx.Rngs(42))
trainer = Trainer(optimizer=optax.adamw(float(rate)), epochs=50)
log = trainer.train(model, Loader(fit, True), Loader(held, False), click_metrics={"ll": LogLikelihood()})
cpu = time.process_time() - cpu
result = trainer.test_clicks(model, Loader(arrays(test_path), False), click_metrics={"ll": LogLikelihood()})
print()
print(json.dumps({"cpu": cpu, "ll": float(result["test_ll"].iloc[-1]), "epochs": len(log)}))
"""


def logs(sessions: int, world: str) -> tuple[Path, Path]:
    """Simulated sessions of ten results, as two files."""
    paths = tuple(CACHE / f"clicks_{world}_{sessions}_{part}.parquet" for part in ("train", "test"))
    if not all(path.exists() for path in paths):
        import numpy as np
        import pyarrow.parquet as pq

        sys.path.insert(0, str(TESTS))
        import click_worlds

        CACHE.mkdir(parents=True, exist_ok=True)
        made = getattr(click_worlds, world)(np.random.default_rng(1), sessions, queries=max(300, sessions // 100))
        cut = sessions * 3 // 4 * 10
        pq.write_table(made.table[:cut], paths[0], row_group_size=1_000_000)
        pq.write_table(made.table[cut:], paths[1], row_group_size=1_000_000)
    return paths


def taken(work) -> tuple[float, object]:  # any callable
    """CPU seconds of the process, and what came out."""
    begun = time.process_time()
    made = work()
    return time.process_time() - begun, made


def clax(python: str, train: Path, test: Path, name: str, batch: int, rate: float) -> dict[str, float] | None:
    """CPU seconds, likelihood and epochs of CLAX; None where it fails."""
    command = [python, "-c", CHILD, str(train), str(test), name, str(batch), str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"| {name}, CLAX, batches of {batch:,} | failed | {done.stderr.splitlines()[-1][:150]} |", flush=True)
        return None
    made = json.loads(done.stdout.splitlines()[-1])
    print(
        f"| {name}, CLAX, batches of {batch:,} | {made['cpu']:.2f} | {made['ll']:.6f}, {made['epochs']} epochs |",
        flush=True,
    )
    return made


def redrawn(sessions: int, seed: int):
    """Pages of the shared log synth_pbm_10k drawn again, with clicks anew from its truth: examination 1 / position."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(os.environ["HARDNEG_DATA"]) / "click_model_oracles"
    truth = np.load(folder / "synth_pbm_10k_truth.npz")
    log = pq.read_table(folder / "synth_pbm_10k.parquet", columns=["query_id", "doc_id"])
    queries, docs = (log[name].to_numpy().reshape(-1, 10) for name in ("query_id", "doc_id"))
    draw = np.random.default_rng(seed)
    pick = draw.integers(0, len(docs), sessions)
    clicked = draw.random((sessions, 10)) < truth["alpha"].ravel()[docs[pick]] * truth["exam"]
    names = ("search_id", "query", "doc_id", "position", "clicked")
    position = np.tile(np.arange(1, 11), sessions)
    columns = (np.repeat(np.arange(sessions), 10), queries[pick].ravel(), docs[pick].ravel(), position, clicked.ravel())
    return pa.table(dict(zip(names, columns, strict=True)))


def truths(sessions: int) -> None:
    """What is found again of simulated worlds: gamma .9 of DBN, examination 1 / position by all pairs and by PBM."""
    import pyarrow as pa

    import hardneg_fast as hn

    sys.path.insert(0, str(TESTS))
    import numpy as np

    import click_worlds

    print(f"{sessions:,} sessions of ten results\n\n| what | seed | found | wanted |\n|---|---|---|---|")
    for seed in range(1, 4):
        world = click_worlds.dbn(np.random.default_rng(seed), sessions)
        print(f"| gamma of DBN | {seed} | {hn.fit_click_model(world.table, model='dbn').gamma:.4f} | .9 |", flush=True)
        world = click_worlds.pbm(np.random.default_rng(seed), sessions, queries=max(300, sessions // 100))
        log = hn.click_log(world.table)
        for definition in ("standard", "agarwal"):
            rows = hn.estimate_propensities(log, definition=definition).table.to_pylist()
            worst = max(abs(r["propensity"] * r["position"] - 1) for r in rows)
            held = sum(r["lower"] <= 1 / r["position"] <= r["upper"] for r in rows)
            found = f"{worst:.2%}, {held} of 10 intervals hold"
            print(f"| all pairs, {definition}, largest relative error | {seed} | {found} | 0 |")
        rows = pa.table(hn.fit_click_model(log, model="pbm").examination).to_pylist()
        worst = max(abs(r["examination"] * r["position"] - 1) for r in rows)
        print(f"| examination of PBM, likewise | {seed} | {worst:.2%} | 0 |", flush=True)
        if "HARDNEG_DATA" in os.environ:
            again = hn.click_log(redrawn(sessions, seed))
            for definition in ("standard", "agarwal"):
                rows = hn.estimate_propensities(again, definition=definition, bootstrap=0).table.to_pylist()
                worst = max(abs(r["propensity"] * r["position"] - 1) for r in rows)
                what = f"all pairs, {definition}, pages of synth_pbm_10k drawn again"
                print(f"| {what} | {seed} | {worst:.2%} | 0 |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--clax", help="interpreter of CLAX's environment")
    parser.add_argument("--batch", default="512,2048,8192,32768", help="CLAX's batch sizes")
    parser.add_argument("--rate", type=float, default=0.03, help="and learning rate")
    parser.add_argument("--truths", action="store_true", help="measure what is found again, and nothing else")
    args = parser.parse_args()
    if args.truths:
        truths(args.sessions)
        return
    import hardneg_fast as hn

    one = hn.Config(threads=1)
    train, test = logs(args.sessions, "pbm")
    judge = hn.click_log(test, config=one)
    cpu, log = taken(lambda: hn.click_log(train, config=one))
    n = args.sessions * 3 // 4
    print(f"one thread, {n:,} sessions of ten results\n\n| what | CPU s | |\n|---|---|---|")
    print(f"| reading and grouping | {cpu:.3f} | {n / cpu / 1e6:.2f}M sessions/s |")
    for name in ("dctr", "cm", "dcm", "sdbn"):
        # Fitted twice: without the fold held out, and with it.
        hn.fit_click_model(log, model=name, config=one)
        spent, _ = taken(lambda name=name: hn.fit_click_model(log, model=name, config=one))
        print(f"| {name} | {spent:.4f} | {n / spent / 1e6:.1f}M sessions/s |")
    dbn = hn.click_log(logs(args.sessions, "dbn")[0], config=one)
    spent, model = taken(lambda: hn.fit_click_model(dbn, model="dbn", config=one))
    passes = len(model.history) + model.iterations
    print(f"| dbn, {passes} passes | {spent:.3f} | {n * passes / spent / 1e6:.2f}M session-iterations/s |")
    for name in ("pbm", "ubm"):
        theirs = []
        for batch in map(int, args.batch.split(",")) if args.clax else ():
            made = clax(args.clax, train, test, name, batch, args.rate)
            theirs += [made] if made else []
        best = max((made["ll"] for made in theirs), default=0.0)
        chosen = min((made for made in theirs if made["ll"] >= best - 0.0005), key=lambda m: m["cpu"], default=None)
        for passes in (1, 2, 200):
            options = hn.Config(threads=1, click_model=hn.ClickModelConfig(max_iterations=passes))
            spent, model = taken(lambda name=name, o=options: hn.fit_click_model(train, model=name, config=o))
            ll = model.metrics(judge)["log_likelihood"]
            said = f"test log-likelihood {ll:.6f}, {model.iterations} passes"
            if chosen:
                enough = "reached" if ll >= chosen["ll"] - 0.001 else "NOT reached"
                said += (
                    f"; CLAX's {chosen['ll']:.6f} minus .001 {enough}, with {chosen['cpu'] / spent:.0f} times less CPU"
                )
            print(f"| {name} from Parquet, passes at most {passes} | {spent:.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
