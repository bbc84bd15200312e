"""One run of one engine on one workload, in a process of its own; prints what it took as JSON."""

import importlib
import json
import os
import sys
import time
from pathlib import Path


def peak_rss_bytes() -> int:
    """The high-water mark of this process. (ru_maxrss would carry over the parent's.)"""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def main() -> None:
    engine, workload, log, out, threads = sys.argv[1:]
    os.environ["POLARS_MAX_THREADS"] = threads
    # Imports are not measured: what follows them is.
    if engine == "ours":
        run = importlib.import_module("ours").OURS[workload]
    else:
        library, workloads = importlib.import_module("peers").PEERS[engine]
        importlib.import_module(library)
        run = workloads[workload]
    # CPU seconds, user and system, of all threads of this process; an engine that forks would be missed, none does.
    cpu, wall = time.process_time(), time.perf_counter()
    run(log, out, int(threads))
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "rss": peak_rss_bytes()}
    print(json.dumps(spent))


if __name__ == "__main__":
    main()
