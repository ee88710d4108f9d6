"""How fast can a library multiply and copy on this device? What no step of a net can be faster than."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers.step import Events

ROUNDS = 5


class Limits:
    """One library's rates, asked for by the worker's tasks; a subclass says how it multiplies and copies.

    The numbers are normal ones: a GPU multiplies ones and zeros faster, as they take less power.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def operands(self, precision: str, size: int) -> Callable[[], Any]:
        """A call that multiplies two square matrices into a third; `MissingError` where there is no such product."""
        raise NotImplementedError

    def copying(self, count: int) -> Callable[[], Any]:
        """A call that copies so many float32 numbers within the device's memory."""
        raise NotImplementedError

    def events(self) -> Events | None:
        """New marks for the GPU's own clock."""
        raise NotImplementedError

    def wait(self) -> None:
        """Until the device has done everything."""
        raise NotImplementedError

    def product(self, precision: str, size: int, seconds: float) -> dict[str, float]:
        """Operations a second of a square product, a multiplication and an addition being two."""
        return {"rate": 2 * size**3 / self.fastest(self.operands(precision, size), seconds)}

    def copy(self, megabytes: int, seconds: float) -> dict[str, float]:
        """Bytes a second of a copy, what is read and what is written both counted."""
        count = megabytes * 2**18
        return {"rate": 8 * count / self.fastest(self.copying(count), seconds)}

    def fastest(self, call: Callable[[], Any], seconds: float) -> float:
        """Seconds of one call: the shortest of some rounds, each of about so many seconds."""

        def several(count: int) -> float:
            self.wait()
            events = self.events()
            start = time.perf_counter()
            if events is not None:
                events.begin.record()
            for _ in range(count):
                call()
            if events is not None:
                events.end.record()
            self.wait()
            wall = time.perf_counter() - start
            return (wall if events is None else events.milliseconds(events.begin, events.end) / 1e3) / count

        several(2)
        count = max(1, round(seconds / max(several(2), 1e-7)))
        return min(several(count) for _ in range(ROUNDS))


def matrices(size: int) -> list[np.ndarray]:
    """Two square ones of normal numbers."""
    generator = np.random.default_rng(0)
    return [generator.standard_normal((size, size), np.float32) for _ in range(2)]
