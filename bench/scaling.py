"""What do time and memory follow? Of a sample, against batch, width, depth and rows; and of a file that is mapped.

- ``batch``, ``width``, ``depth``: a captured training step with Adam: microseconds a sample, and the memory of the
  process's own (RssAnon) that model, optimizer and step take at most.
- ``rows``: epochs of a Trainer on rows of 64 features in memory: microseconds a sample, and the memory that the first
  fit takes beside the data.
- ``mapped``: epochs on a .npy that is mapped, beside the same file read into memory, from a warm page cache: the rate,
  and the peak of memory of the process's own, of which a mapped file is no part.

Each point is a process of its own; those of one part take turns, round by round. Memory is watched in a pass that is
not timed. The file goes to the folder for temporary files (the variable TMPDIR names another), and is deleted.
"""

import argparse
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import options, scaling_report
from bench.contest import Contest, FailureError, rounded, spread, take_turns
from bench.data_loading import GIGABYTE, write_npy
from bench.peers import Contestant

PARTS = ("batch", "width", "depth", "rows", "mapped")
FEATURES = 64  # of a row
ROW_BATCH = 256
MAPPED_GIGABYTES = 2.0
ROWS_BOUND = 1.25  # of the slowest sample to the fastest
RATE_BOUND, MEMORY_BOUND = 0.8, 0.25  # of the rate in memory; of the file's size
SECONDS = 0.1  # of one block
EPOCH_BLOCKS = 5  # epochs are timed for as many blocks: a fit has checks of its data and a recording before it
LIMIT = 900.0  # seconds for one answer
MEMORY = Path("/proc/meminfo")

WHOLE: dict[str, tuple[int, ...]] = {
    "batch": (1, 8, 32, 128, 512, 2048, 8192),
    "width": (32, 64, 128, 256, 512, 1024, 2048),
    "depth": (1, 2, 4, 8, 16, 32),
    "rows": (100_000, 1_000_000, 10_000_000),
}
QUICK: dict[str, tuple[int, ...]] = {
    "batch": (1, 32, 512),
    "width": (32, 128, 512),
    "depth": (1, 4, 16),
    "rows": (10_000, 100_000),
}
QUICK_GIGABYTES = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    parser.add_argument(
        "--parts",
        type=options.names_of(PARTS),
        default=list(PARTS),
        metavar="NAMES",
        help=f"of {','.join(PARTS)} (default: all)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points")
    parser.add_argument(
        "--mapped-gigabytes",
        type=options.above_zero,
        metavar="N",
        help=f"size of the mapped file (default: {MAPPED_GIGABYTES:g}; with --quick {QUICK_GIGABYTES:g})",
    )
    options.add_rounds(parser, 5, "of each point")
    options.add_threads(parser)
    options.add_plot(parser, "the curves")


def measure(
    parts: Sequence[str] = PARTS,
    quick: bool = False,
    mapped_gigabytes: float | None = None,
    rounds: int = 5,
    threads: int = 1,
    plot: Path | None = None,
    points: Mapping[str, Sequence[int]] | None = None,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """All parts; a point that cannot be measured here says why."""
    options.check_plot(plot)
    points = points or (QUICK if quick else WHOLE)
    gigabytes = mapped_gigabytes or (QUICK_GIGABYTES if quick else MAPPED_GIGABYTES)
    measured: dict[str, Any] = {}
    for part in parts:
        if part == "mapped":
            measured[part] = mapped(gigabytes, rounds, threads, seconds)
        elif part == "rows":
            measured[part] = rows(points[part], rounds, threads, seconds)
        else:
            measured[part] = steps(part, points[part], rounds, threads, seconds)
    result = {"threads": threads, "rounds": rounds, "dtype": "float32", "parts": measured}
    if plot is not None:
        scaling_report.draw(result, plot)
    return result


def report(result: dict[str, Any]) -> str:
    """The result as tables to print."""
    return scaling_report.table(result)


# -- the parts -----------------------------------------------------------------------------------------


def _net(part: str, value: int) -> tuple[tuple[int, ...], int]:
    """Widths and batch of a point."""
    if part == "batch":
        return (784, 256, 128, 10), value
    if part == "width":
        return (value, value, value, 10), 128
    return (256,) * (value + 1) + (10,), 128


def steps(part: str, values: Sequence[int], rounds: int, threads: int, seconds: float) -> dict[str, Any]:
    """Captured steps of one part."""
    asked: dict[str, dict[str, Any]] = {}
    for value in values:
        sizes, batch = _net(part, value)
        asked[str(value)] = {"task": "build_step", "sizes": sizes, "batch": batch, "optimizer": "adam"}
    told = _measure(asked, "time_step", rounds, threads, seconds)
    for value, one in told["points"].items():
        sizes, batch = asked[value]["sizes"], asked[value]["batch"]
        one["weights"] = sum(a * b + b for a, b in itertools.pairwise(sizes))
        one["batch"] = batch
        if one["megabytes"] is not None:
            one["bytes_a_sample"] = round(one["megabytes"] * 1e6 / batch)
    fixed = {
        "batch": "784-256-128-10",
        "width": "two hidden layers of as many units as inputs, batch 128",
        "depth": "hidden layers of 256 units, batch 128",
    }
    return {"net": fixed[part], **told}


def rows(values: Sequence[int], rounds: int, threads: int, seconds: float) -> dict[str, Any]:
    """Epochs on rows in memory."""
    asked: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    wanted = 0.0
    for value in values:
        wanted += value * (4 * FEATURES + 64) / GIGABYTE  # they are all there at once; labels, and orders of them
        reason = _no_memory(wanted)
        if reason is None:
            asked[str(value)] = {"task": "build_rows", "rows": value, "features": FEATURES, "batch": ROW_BATCH}
        else:
            left_out[str(value)] = reason
    told = _measure(asked, "time_rows", rounds, threads, EPOCH_BLOCKS * seconds)
    for value, one in told["points"].items():
        if one["megabytes"] is not None:
            one["bytes_a_sample"] = round(one["megabytes"] * 1e6 / int(value), 1)
    medians = [one["sample"]["median"] for one in told["points"].values()]
    return {
        "net": f"{FEATURES}-64-10, batch {ROW_BATCH}",
        "points": told["points"],
        "left_out": left_out | told["left_out"],
        "ratio": rounded(max(medians) / min(medians)) if medians else None,
        "bound": ROWS_BOUND,
    }


def mapped(gigabytes: float, rounds: int, threads: int, seconds: float) -> dict[str, Any]:
    """Epochs on a mapped file beside the same in memory."""
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free / GIGABYTE
        if free < 1.1 * gigabytes:
            return {"left_out": {"all": f"{folder} has {free:.1f} GB free; the file takes {gigabytes:g}"}}
        # Once in the page cache, once in memory; and read into memory it is copied nowhere.
        reason = _no_memory(2.2 * gigabytes)
        if reason is not None:
            return {"left_out": {"all": reason}}
        x = Path(folder, "x.npy")
        samples = write_npy(x, Path(folder, "y.npy"), round(gigabytes * GIGABYTE), FEATURES)
        asked = {
            name: {"task": "build_file", "folder": folder, "batch": ROW_BATCH, "mapped": name == "mapped"}
            for name in ("mapped", "in memory")
        }
        told = _measure(asked, "time_rows", rounds, threads, EPOCH_BLOCKS * seconds)
        size = x.stat().st_size
    points = told["points"]
    both = len(points) == len(asked)
    peak = points["mapped"]["peak_megabytes"] if "mapped" in points else None
    return {
        "net": f"{FEATURES}-64-2, batch {ROW_BATCH}",
        "bytes": size,
        "samples": samples,
        **told,
        "rate": rounded(points["in memory"]["sample"]["median"] / points["mapped"]["sample"]["median"])
        if both
        else None,
        "rate_bound": RATE_BOUND,
        "memory_share": None if peak is None else rounded(peak * 1e6 / size),
        "memory_bound": MEMORY_BOUND,
    }


def _measure(
    asked: Mapping[str, dict[str, Any]], timed: str, rounds: int, threads: int, seconds: float
) -> dict[str, Any]:
    """Points by name: what each says when it is built, and its times."""
    told: dict[str, dict[str, Any]] = {}
    one = Contestant("engine", None, "engine_scaling", "Point")
    with Contest(list(asked), {}, "cpu", threads, dict.fromkeys(asked, one)) as contest:
        left_out = dict(contest.missing)
        for name in list(contest.workers):
            try:
                told[name] = contest.ask(name, limit=LIMIT, **asked[name])
            except FailureError as error:
                left_out[name] = str(error)
        turns, failed = take_turns(list(told), rounds, lambda name: contest.ask(name, timed, LIMIT, seconds=seconds))
    points = {
        name: told[name] | {key: spread([turn[key] for turn in given]) for key in given[0]}
        for name, given in turns.items()
    }
    return {"points": points, "left_out": left_out | failed}


def _no_memory(gigabytes: float) -> str | None:
    """Why there is too little memory for so much; None where there is enough, or nobody tells."""
    if not MEMORY.exists():
        return None
    available = next(line for line in MEMORY.read_text().splitlines() if line.startswith("MemAvailable:"))
    free = int(available.split()[1]) * 1024 / GIGABYTE
    return None if free > gigabytes + 0.5 else f"it takes {gigabytes + 0.5:.1f} GB of memory; {free:.1f} are available"
