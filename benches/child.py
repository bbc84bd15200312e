"""One run of one engine on one workload, in a process of its own; prints what it took as JSON."""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

from peers import PEERS
from setting import Setting


def field(path: str, name: str) -> int:
    """A number out of /proc."""
    for line in Path(path).read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"no {name} in {path}")


def main() -> None:
    engine, workload, setting_json = sys.argv[1:]
    asked = json.loads(setting_json)
    setting = Setting(**asked | {"out": Path(asked["out"]), "spill": Path(asked["spill"])})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Read by polars when it is imported.
    os.environ["POLARS_MAX_THREADS"] = str(setting.threads)
    os.environ["POLARS_OOC_SPILL_DIR"] = str(setting.spill)
    if setting.memory:
        os.environ["POLARS_OOC_MEMORY_BUDGET_MB"] = str(setting.memory // 1_000_000)
    # Imports are not measured: what follows them is.
    if engine == "ours":
        run = importlib.import_module("ours").OURS[workload]
    else:
        run = importlib.import_module(PEERS[engine].module).RUNS[engine][workload]
    # CPU seconds, user and system, of all threads of this process; an engine that forks would be missed, none does.
    cpu, wall = time.process_time(), time.perf_counter()
    run(setting)
    spent = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        # The high-water mark of this process. (ru_maxrss would carry over the parent's.)
        "rss": field("/proc/self/status", "VmHWM") * 1024,
        "written": field("/proc/self/io", "write_bytes"),
    }
    print("\n" + json.dumps(spent))


if __name__ == "__main__":
    main()
