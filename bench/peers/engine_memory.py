"""What does the engine allocate while it trains? NumPy's arrays, counted by tracemalloc, step by step."""

import contextlib
import ctypes
import gc
import itertools
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import engine as en
from bench.peers.engine_step import Captured, prepare as prepare
from bench.peers.step import Cell, MissingError, make_arrays

SETTLED = 20  # from this step on, whatever is laid out, recorded and replayed for the first time has been


class _Allocator(ctypes.Structure):
    """PyMemAllocatorEx of CPython's C interface."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free"))


@contextlib.contextmanager
def arrays_traced() -> Iterator[None]:
    """Let tracemalloc count NumPy's arrays and nothing else, so that its current and peak size are those of arrays.

    NumPy reports its arrays to tracemalloc by itself, in a domain of their own; Python's objects are counted because
    tracemalloc stands in for Python's allocators while it is on. Here they are put back.
    """
    if not hasattr(ctypes, "pythonapi"):
        raise MissingError("this Python has no C interface through which arrays alone could be counted")
    domains = range(3)  # raw, mem, object
    held = [_Allocator() for _ in domains]
    for domain, allocator in zip(domains, held, strict=True):
        ctypes.pythonapi.PyMem_GetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
    tracemalloc.start()
    try:
        for domain, allocator in zip(domains, held, strict=True):
            ctypes.pythonapi.PyMem_SetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
        yield
    finally:
        tracemalloc.stop()


class Watch:
    """Told after each step; knows how the arrays' size and peak changed from step 2 on, and from step SETTLED on."""

    def __init__(self) -> None:
        self.steps = 0
        self.sizes: dict[int, int] = {}  # after the step before
        self.peaks: dict[int, int] = {}  # up to the next of these steps, or the last

    def stepped(self) -> None:
        self.steps += 1
        size, peak = tracemalloc.get_traced_memory()
        if self.steps + 1 in (2, SETTLED):
            if self.sizes:
                self.peaks[2] = peak
            self.sizes[self.steps + 1] = size
            tracemalloc.reset_peak()
        self.last = size, peak

    def told(self) -> dict[str, Any]:
        """Bytes: growth and peak from each of these steps on."""
        size, peak = self.last
        told = {}
        for first, before in self.sizes.items():
            highest = peak if first == SETTLED else max(peak, self.peaks[2])
            told[str(first)] = {"growth": size - before, "peak": max(highest - before, 0)}
        return {"steps": self.steps, "from": told}


class Steps:
    """Steps captured by hand, and those of a Trainer."""

    def __init__(self, device: str) -> None:
        self.device = device

    def captured(self, sizes: Sequence[int], batch: int, optimizer: str, steps: int) -> dict[str, Any]:
        """A captured step, again and again on the same batch; the loss is held until the next step."""
        cell = Cell("memory", tuple(sizes), batch, optimizer)
        contestant = Captured(cell, make_arrays(cell), self.device)
        watch, loss = Watch(), None
        gc.collect()
        with arrays_traced():
            for _ in range(steps):
                loss = contestant.step()
                watch.stepped()
        return watch.told() | {"loss": contestant.value(loss), "note": contestant.note()}

    def trainer(self, sizes: Sequence[int], batch: int, optimizer: str, steps: int) -> dict[str, Any]:
        """One epoch of a Trainer of so many steps, with dropout and accuracy, as a callback sees it."""
        layers: list[Any] = []
        for inputs, outputs in itertools.pairwise(sizes[:-1]):
            layers += [en.Linear(inputs, outputs, generator=0), en.ReLU(), en.Dropout(0.2, generator=0)]
        model = en.Sequential(*layers, en.Linear(sizes[-2], sizes[-1], generator=0))
        kind = en.SGD if optimizer == "sgd" else en.Adam
        watch = Watch()

        class Told(en.Callback):
            def batch_end(self, trainer: en.Trainer, batch: int, loss: en.Tensor) -> None:
                watch.stepped()

        trainer = en.Trainer(
            model,
            loss=en.CrossEntropy(),
            optimizer=kind(model.parameters(), learning_rate=1e-4),
            device=self.device,
            metrics=["accuracy"],
            callbacks=[Told()],
        )
        generator = np.random.default_rng(0)
        x = generator.standard_normal((steps * batch, sizes[0]), np.float32)
        data = en.data.Dataset(x, generator.permutation(np.arange(len(x)) % sizes[-1]), "memory")
        gc.collect()
        with arrays_traced():
            history = trainer.fit(data, epochs=1, batch_size=batch)
        return watch.told() | {"loss": history["loss"][-1], "note": None}
