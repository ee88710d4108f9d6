"""What does a step or an epoch of the engine cost at one size? Its time, and the memory that it takes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import engine as en
from bench.data_loading import PeakMemory, memory_is_told
from bench.peers.engine_step import Captured, prepare as prepare
from bench.peers.step import Cell, make_arrays
from bench.peers.worker import microseconds

CLASSES = 10
MEMORY_STEPS = 5  # a step is laid out, recorded and replayed in these


class Point:
    """One size: a captured step, or epochs of a Trainer on many rows."""

    def __init__(self, device: str) -> None:
        self.device = device

    # -- a step ----------------------------------------------------------------------------------------

    def build_step(self, sizes: Sequence[int], batch: int, optimizer: str) -> dict[str, Any]:
        """Make it; how many megabytes it takes, its weights included."""
        cell = Cell("scaling", tuple(sizes), batch, optimizer)
        arrays = make_arrays(cell)
        with _watched() as memory:
            watched = Captured(cell, arrays, self.device)
            watched.first = ()  # the copies that a reset takes are no part of a step
            for _ in range(MEMORY_STEPS):
                watched.step()
        self.contestant = Captured(cell, arrays, self.device)
        self.batch = batch
        return {"megabytes": memory.grown, "note": watched.note()}

    def time_step(self, seconds: float) -> dict[str, Any]:
        """Microseconds of a step, and of a sample in it."""
        once = microseconds(self.contestant, 2)
        value = microseconds(self.contestant, max(round(seconds * 1e6 / once), 2))
        return {"step": value, "sample": value / self.batch}

    # -- epochs ----------------------------------------------------------------------------------------

    def build_rows(self, rows: int, features: int, batch: int) -> dict[str, Any]:
        """Rows in memory, and a first epoch on them."""
        generator = np.random.default_rng(0)
        block = generator.standard_normal((min(rows, 100_000), features), np.float32)
        x = np.empty((rows, features), np.float32)
        for start in range(0, rows, len(block)):
            x[start : start + len(block)] = block[: rows - start]
        labels = np.resize(generator.integers(CLASSES, size=len(block)), rows)
        return self._first_epoch(en.data.Dataset(x, labels, "rows"), batch)

    def build_file(self, folder: str, batch: int, mapped: bool) -> dict[str, Any]:
        """Rows of a .npy, mapped or read into memory, and a first epoch on them."""
        path, labels = Path(folder, "x.npy"), np.load(Path(folder, "y.npy"))
        x = en.data.Rows(np.load(path, mmap_mode="r")) if mapped else np.load(path)
        return self._first_epoch(en.data.Dataset(x, labels, "rows"), batch)

    def _first_epoch(self, data: en.data.Dataset, batch: int) -> dict[str, Any]:
        first = en.Linear(data.features, 64, initializer="he_normal", generator=0)
        model = en.Sequential(first, en.ReLU(), en.Linear(64, data.classes, generator=1))
        optimizer = en.Adam(model.parameters(), learning_rate=1e-4)
        self.trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device=self.device)
        self.data, self.batch = data, batch
        with _watched() as memory:
            history = self.trainer.fit(data, epochs=1, batch_size=batch)
        return {"megabytes": memory.grown, "peak_megabytes": memory.peak, "loss": history["loss"][-1]}

    def time_rows(self, seconds: float) -> dict[str, Any]:
        """Microseconds of a sample, over as many epochs as fill the seconds; one at least."""
        once = self.trainer.history["seconds"][-1]
        epochs = max(round(seconds / once), 1)
        start = time.perf_counter()
        self.trainer.fit(self.data, epochs=epochs, batch_size=self.batch)
        return {"sample": (time.perf_counter() - start) / (epochs * len(self.data)) * 1e6}


class _watched:  # noqa: N801  # a context manager, as those of contextlib
    """Memory of the process's own in the ``with``: its peak, and how far that is above what was before; or None."""

    def __enter__(self) -> "_watched":
        self.grown: float | None = None
        self.peak: float | None = None
        self._memory = PeakMemory() if memory_is_told() else None
        if self._memory is not None:
            self._memory.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._memory is not None:
            self._memory.__exit__(*error)
            self.peak = round(self._memory.peak, 2)
            self.grown = round(max(self._memory.peak - self._memory.before, 0.0), 2)
