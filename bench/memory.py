"""What does training allocate, and how much memory does it have at most? Of arrays step by step; of a run in all.

- ``steps``: the arrays that are allocated while 1000 steps are trained, by NumPy's own reports to tracemalloc: by how
  much they grow, and their peak above what was there, from step 2 on and from step 20 on. A step captured by hand, and
  the steps of a Trainer with dropout and accuracy, which a callback counts.
- ``run``: the peak of resident memory of one MNIST epoch of the suite `epochs` (784-256-128-10, dropout 0.2, Adam,
  batch 128), beside PyTorch's: each in a process of its own, which reads the same .npy files, trains on a few batches,
  then the epoch, and predicts the test part. Libraries are included; what they took before stands beside.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import epochs, options
from bench.contest import Contest, FailureError, rounded
from bench.data_loading import add_data_dir
from bench.peers import Contestant

ALLOCATING = Contestant("engine", None, "engine_memory", "Steps")
NETS: dict[str, tuple[tuple[int, ...], int, str]] = {
    "2-8-2@1/sgd": ((2, 8, 2), 1, "sgd"),
    "64-64-10@32/adam": ((64, 64, 10), 32, "adam"),
    "784-256-128-10@128/adam": ((784, 256, 128, 10), 128, "adam"),
}
STEPS = 1000
PEAK_BOUND = 4096  # bytes, from step 2 on; and they may not grow
PEERS = ("torch",)
RUN = "mnist-dropout"
LIMIT = 600.0  # seconds for one answer; tracing makes steps slow


def _at_least_thirty(text: str) -> int:
    if not text.isdigit() or int(text) < 30:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of at least 30")
    return int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser, PEERS)
    add_data_dir(parser, "mnist/ with the official files; synthetic data of that shape without it")
    parser.add_argument(
        "--samples", type=options.at_least_one, metavar="N", help="train the run on the first N only (default: all)"
    )
    parser.add_argument(
        "--steps",
        type=_at_least_thirty,
        default=STEPS,
        metavar="N",
        help=f"of which arrays are counted (default: {STEPS})",
    )
    options.add_threads(parser)


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    data_dir: str | Path | None = None,
    samples: int | None = None,
    steps: int = STEPS,
    threads: int = 1,
    nets: Sequence[str] = tuple(NETS),
) -> dict[str, Any]:
    """Both parts; who could not be measured is in ``missing``, with the reason."""
    names = [name for name, one in epochs.CONTESTANTS.items() if one.peer is None or one.peer in peers]
    return {
        "threads": threads,
        "steps": _allocated(nets, steps, threads),
        "run": _run(
            [name for name in names if name in ("engine", *PEERS)], dict(peer_python), data_dir, samples, threads
        ),
    }


def _allocated(nets: Sequence[str], steps: int, threads: int) -> dict[str, Any]:
    """Growth and peak of arrays; each net and each way in a process of its own."""
    rows = {}
    for net in nets:
        sizes, batch, optimizer = NETS[net]
        for way in ("captured", "trainer"):
            with Contest(["engine"], {}, "cpu", threads, {"engine": ALLOCATING}) as contest:
                try:
                    rows[f"{net} {way}"] = contest.ask(
                        "engine", way, LIMIT, sizes=sizes, batch=batch, optimizer=optimizer, steps=steps
                    )
                except FailureError as error:
                    rows[f"{net} {way}"] = {"left_out": str(error)}
    return {"bound": PEAK_BOUND, "rows": rows}


def _run(
    names: Sequence[str], pythons: dict[str, str], data_dir: str | Path | None, samples: int | None, threads: int
) -> dict[str, Any]:
    """Peaks of resident memory of everyone's run, one after the other."""
    run = epochs.RUNS[RUN]
    measured: dict[str, Any] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = epochs.write(run.data, Path(folder), data_dir, samples)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        for name in names:
            with Contest([name], pythons, "cpu", threads, epochs.CONTESTANTS) as contest:
                try:
                    before = contest.ask(name, "memory")["megabytes"]
                    contest.ask(name, "start", LIMIT, folder=folder, run=run)
                    told = contest.ask(name, "train", LIMIT)
                    peak = contest.ask(name, "memory")["megabytes"]
                except FailureError as error:
                    missing[epochs.CONTESTANTS[name].label] = str(error)
                    continue
                measured[name] = {
                    "label": epochs.CONTESTANTS[name].label,
                    **contest.facts[name],
                    "before_megabytes": round(before, 1),
                    "peak_megabytes": round(peak, 1),
                    "accuracy": rounded(told["accuracy"]),
                }
    ratio = None
    if {"engine", "torch"} <= set(measured):
        ratio = rounded(measured["torch"]["peak_megabytes"] / measured["engine"]["peak_megabytes"])
    return {
        **run._asdict(),
        "data": data,
        "data_megabytes": round(size, 1),
        "measured": measured,
        "missing": missing,
        "ratio": ratio,
    }


def report(result: dict[str, Any]) -> str:
    """The result as tables to print."""
    steps, run = result["steps"], result["run"]
    lines = [
        "Arrays allocated in a training: bytes by which they grow, and their peak above what was there before",
        f"  {'':<36}{'steps':>7}{'from step 2: growth':>22}{'peak':>12}{'from step 20: growth':>22}{'peak':>12}",
    ]
    for name, row in steps["rows"].items():
        if "left_out" in row:
            lines.append(f"  {name:<36}left out: {row['left_out']}")
            continue
        numbers = [row["from"][first][key] for first in ("2", "20") for key in ("growth", "peak")]
        shown = "".join(f"{number:>{width}}" for number, width in zip(numbers, (22, 12) * 2, strict=True))
        within = numbers[0] <= 0 and numbers[1] < steps["bound"]
        note = f"  {row['note']}" if row["note"] else ""
        lines.append(f"  {name:<36}{row['steps']:>7}{shown}  {'within' if within else 'above'} the bound{note}")
    dropout = f", dropout {run['dropout']:g}" if run["dropout"] else ""
    lines += [
        f"  the bound: no growth from step 2 on, and a peak below {steps['bound']} bytes",
        "",
        f"Resident memory of one epoch of {'-'.join(map(str, run['sizes']))}{dropout}, {run['optimizer']}, batch "
        f"{run['batch']}; {run['data']['source']}, {run['data_megabytes']:.0f} MB of arrays; {result['threads']} "
        "threads",
        f"  {'':<16}{'before the data':>18}{'peak':>12}{'accuracy':>12}",
    ]
    for one in run["measured"].values():
        lines.append(
            f"  {one['label']:<16}{one['before_megabytes']:>15.1f} MB{one['peak_megabytes']:>9.1f} MB"
            f"{one['accuracy']:>12.4f}   {one['version']}"
        )
    if run["ratio"] is not None:
        lines.append(f"  {'PyTorch / engine':<16}{run['ratio']:>27.2f}    above 1 is wanted")
    return "\n".join([*lines, *(f"missing: {label}: {reason}" for label, reason in run["missing"].items())])
