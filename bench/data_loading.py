"""How fast does data come in, and how much memory does it take? MNIST, a large csv, a file larger than memory.

Three parts, each beside what one would do without the engine:

- ``mnist``: `en.data.load("mnist")`, scaled and checked, against gzip and `np.frombuffer` by hand on the same four
  files, which gives bytes;
- ``csv``: `engine.data.formats.delimited.read` against `pandas.read_csv` with its parser in C;
- ``npy-memory``: one epoch on a .npy file, standardised, with a random tenth held out; what counts is the memory that
  belongs to the process alone (RssAnon): pages of the file itself can be dropped at any time.

The two sides of a pair are timed alternately in one process, round by round; the ratio is of the medians. The files of
the last two are written to the folder for temporary files (the variable TMPDIR names another), and deleted.
"""

import argparse
import gzip
import importlib.metadata
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import engine as en

MNIST_LIMIT = 1.5  # the engine may take this many times as long as gzip and NumPy
CSV_LIMIT = 1.3  # and this many times as long as pandas
MEMORY_LIMIT = 1000.0  # megabytes, whatever the file's size
GIGABYTE = 10**9
FEATURES, BATCH = 1000, 1024  # of the .npy file
STATUS = Path("/proc/self/status")

IMAGES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")
LABELS = ("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def add_data_dir(parser: argparse.ArgumentParser, held: str) -> None:
    """Where the real data is."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("ENGINE_DATA"),
        metavar="DIR",
        help=f"holds {held} (default: the variable ENGINE_DATA)",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    add_data_dir(parser, "mnist/ with the official files")
    parser.add_argument("--csv-gigabytes", type=float, default=1.0, metavar="N", help="size of the csv (default: 1)")
    parser.add_argument("--npy-gigabytes", type=float, default=8.0, metavar="N", help="size of the .npy (default: 8)")


def measure(
    data_dir: str | Path | None = None, csv_gigabytes: float = 1.0, npy_gigabytes: float = 8.0, rounds: int = 5
) -> dict[str, Any]:
    """All three parts; one that cannot be measured here says why."""
    return {
        "mnist": mnist(data_dir, rounds=rounds),
        "csv": csv(csv_gigabytes, rounds=min(rounds, 3)),
        "npy-memory": npy_memory(npy_gigabytes),
    }


# -- speed ---------------------------------------------------------------------------------------------


def mnist(data_dir: str | Path | None, rounds: int = 5) -> dict[str, Any]:
    """The engine's loading of all four files against gzip and NumPy by hand."""
    folder = None if data_dir is None else Path(data_dir) / "mnist"
    if folder is None or not all((folder / name).is_file() for name in (*IMAGES, *LABELS)):
        return {"left_out": "the four files of MNIST are not there; name their folder's folder by --data-dir"}

    def by_hand() -> list[np.ndarray]:
        return [*(_idx(folder / name, 16) for name in IMAGES), *(_idx(folder / name, 8) for name in LABELS)]

    times = _alternately(rounds, engine=lambda: en.data.load("mnist", data_dir=data_dir), hand=by_hand)
    return {
        **{f"{name}_seconds": round(seconds, 4) for name, seconds in times.items()},
        "ratio": round(times["engine"] / times["hand"], 3),
        "limit": MNIST_LIMIT,
        "rounds": rounds,
    }


def _idx(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        values = np.frombuffer(file.read(), np.uint8, offset=header)
    return values.reshape(-1, 28, 28) if header == 16 else values


def csv(gigabytes: float, rounds: int = 3) -> dict[str, Any]:
    """The engine's reader of delimited text against pandas' parser in C, on numbers."""
    if importlib.util.find_spec("pandas") is None:
        return {"left_out": "pandas is not installed"}
    import pandas  # only to compare with

    from engine.data.formats import delimited

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        if not _fits(folder, gigabytes):
            return {"left_out": f"{folder} has no room for {gigabytes:g} GB"}
        rows, columns = write_csv(path, round(gigabytes * GIGABYTE))
        times = _alternately(
            rounds, engine=lambda: delimited.read(path), pandas=lambda: pandas.read_csv(path, engine="c")
        )
        size = path.stat().st_size
    return {
        "bytes": size,
        "rows": rows,
        "columns": columns,
        **{f"{name}_seconds": round(seconds, 4) for name, seconds in times.items()},
        "ratio": round(times["engine"] / times["pandas"], 3),
        "limit": CSV_LIMIT,
        "rounds": rounds,
        "pandas": pandas.__version__,
        "pyarrow": _version("pyarrow"),
    }


def write_csv(path: Path, size: int, columns: int = 20) -> tuple[int, int]:
    """A table of numbers with a header, of about this many bytes; (rows, columns)."""
    generator = np.random.default_rng(0)
    block = generator.standard_normal((min(5000, max(size // (9 * columns), 2)), columns))
    text = "".join(",".join(f"{value:.6g}" for value in row) + "\n" for row in block.tolist()).encode()
    repeats = max(round(size / len(text)), 1)
    with open(path, "wb") as file:
        file.write((",".join(f"column{number}" for number in range(columns)) + "\n").encode())
        for _ in range(repeats):
            file.write(text)
    return repeats * len(block), columns


def _alternately(rounds: int, **jobs: Callable[[], Any]) -> dict[str, float]:
    """The median seconds of each job; what a job returned is freed before the next one starts."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if number:  # the first round imports what is needed, and brings the files into memory
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


# -- memory --------------------------------------------------------------------------------------------


class PeakMemory:
    """The most memory of its own that this process had inside the ``with``, in megabytes; Linux alone tells."""

    def __enter__(self) -> "PeakMemory":
        self.before = self.peak = own_memory()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.peak = max(self.peak, own_memory())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def memory_is_told() -> bool:
    """Whether this system tells `own_memory`."""
    return STATUS.exists() and "RssAnon:" in STATUS.read_text()


def own_memory() -> float:
    """RssAnon, in megabytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024 / 1e6


def npy_memory(gigabytes: float) -> dict[str, Any]:
    """One epoch on a .npy file of this size, in a process of its own: its memory and its times."""
    if not memory_is_told():
        return {"left_out": "only Linux tells how much memory belongs to a process alone"}
    with tempfile.TemporaryDirectory() as folder:
        if not _fits(folder, gigabytes):
            return {"left_out": f"{folder} has no room for {gigabytes:g} GB"}
        x, y = Path(folder) / "x.npy", Path(folder) / "y.npy"
        samples = write_npy(x, y, round(gigabytes * GIGABYTE))
        code = "import sys, json; from bench import data_loading as d; print(json.dumps(d.train(*sys.argv[1:])))"
        run = subprocess.run(
            [sys.executable, "-c", code, str(x), str(y)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parent.parent,
        )
        return {"bytes": x.stat().st_size, "samples": samples, "features": FEATURES, **json.loads(run.stdout)}


def write_npy(x: Path, y: Path, size: int, features: int = FEATURES) -> int:
    """Features of about this many bytes, written block by block, and labels that they tell; how many samples."""
    generator = np.random.default_rng(0)
    samples = max(size // (4 * features), 2 * BATCH)
    block = generator.normal(5.0, 3.0, (16 * BATCH, features)).astype(np.float32)
    labels = (block[:, :8].sum(axis=1) > 40).astype(np.int64)
    with open(x, "wb") as file:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (samples, features)}
        np.lib.format.write_array_header_1_0(file, shape)
        for start in range(0, samples, len(block)):
            file.write(block[: samples - start].data)
    np.save(y, np.resize(labels, samples))
    return samples


def train(x: str, y: str) -> dict[str, Any]:
    """One epoch on the file, standardised, with a tenth held out; memory in megabytes, times in seconds."""
    with PeakMemory() as memory:
        times = [time.perf_counter()]
        data = en.data.Dataset(en.data.Rows(np.load(x, mmap_mode="r")), np.load(y), "npy")
        times.append(time.perf_counter())
        rest, held_out = en.data.split(data, 0.1, seed=0)
        standardize = en.data.Standardize.fit(rest.x)
        training, test = (part.prepared([standardize]) for part in (rest, held_out))
        times.append(time.perf_counter())
        first, last = en.Linear(data.features, 32, generator=0), en.Linear(32, data.classes, generator=1)
        model = en.Sequential(first, en.ReLU(), last)
        optimizer = en.Adam(model.parameters(), learning_rate=1e-3)
        trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device="cpu", metrics=["accuracy"])
        trainer.fit(training, epochs=1, batch_size=BATCH)
        times.append(time.perf_counter())
        accuracy = trainer.evaluate(test)["accuracy"]
        times.append(time.perf_counter())
    names = ("check", "split_and_standardize", "epoch", "evaluate")
    return {
        "batch": BATCH,
        "before_megabytes": round(memory.before, 1),
        "peak_megabytes": round(memory.peak, 1),
        "limit": MEMORY_LIMIT,
        "test_accuracy": round(accuracy, 4),
        **{f"{name}_seconds": round(times[at + 1] - times[at], 2) for at, name in enumerate(names)},
    }


def _fits(folder: str, gigabytes: float) -> bool:
    return shutil.disk_usage(folder).free > gigabytes * 1.1 * GIGABYTE


def _version(package: str) -> str | None:
    return None if importlib.util.find_spec(package) is None else importlib.metadata.version(package)


# -- the table -----------------------------------------------------------------------------------------


def report(result: dict[str, Any]) -> str:
    """The result as a table to print."""
    lines = []
    for name, title, other in (
        ("mnist", "MNIST, four .gz files", "gzip and np.frombuffer by hand"),
        ("csv", "a csv of numbers", "pandas.read_csv, the parser in C"),
    ):
        part = result[name]
        if "left_out" in part:
            lines += [f"{title}: left out: {part['left_out']}.", ""]
            continue
        size = f", {part['bytes'] / GIGABYTE:.2f} GB" if "bytes" in part else ""
        hand = "pandas" if name == "csv" else "hand"
        lines += [
            f"{title}{size}",
            f"  {'the engine':34} {part['engine_seconds']:8.3f} s",
            f"  {other:34} {part[f'{hand}_seconds']:8.3f} s",
            f"  {'ratio':34} {part['ratio']:8.2f}    at most {part['limit']:.1f} is allowed",
            "",
        ]
    part = result["npy-memory"]
    if "left_out" in part:
        return "\n".join([*lines, f"an epoch on a .npy: left out: {part['left_out']}."])
    return "\n".join(
        [
            *lines,
            f"an epoch on a .npy, {part['bytes'] / GIGABYTE:.2f} GB: {part['samples']} x {part['features']}, batches "
            f"of {part['batch']}",
            f"  {'memory of its own':34} {part['peak_megabytes']:8.0f} MB   at most {part['limit']:.0f} is allowed",
            f"  {'the epoch':34} {part['epoch_seconds']:8.1f} s",
        ]
    )
