"""Where is noted what a step does? Cells of time, calls and work: by operation, by whom it is for, and by direction."""

import time
from collections.abc import Callable
from typing import Any

from engine.profiling.work import Kind, precision_of

clock = time.perf_counter_ns

FORWARD, BACKWARD = "forward", "backward"
OTHER = "other operations"
OUTSIDE = ("loss", "penalty", "optimizer", "batch", "metrics", "weight average", OTHER)
"""Who computes beside the layers."""

Owner = int | str
"""The id of a layer, or one of `OUTSIDE`."""
Key = tuple[str, Owner, str]
"""The name of an operation, for whom, and in which direction."""


class Cell:
    """What one operation did for one owner in one run of the step."""

    __slots__ = ("bytes", "calls", "flops", "is_product", "nanoseconds", "precisions")

    def __init__(self, is_product: bool) -> None:
        self.calls = self.nanoseconds = self.bytes = 0
        self.flops: int | None = 0
        self.is_product = is_product
        self.precisions: dict[str, None] = {}


class Ledger:
    """What one run of a step did.

    Args:
        hears: whether what happens now is to be noted.
        cost: nanoseconds that it takes to read the clock.

    Attributes:
        cells: by operation, owner and direction.
        calls: of each layer, by its id.
        places: for whom it computes now, the innermost last.
        allocated, arrays: bytes and arrays that were made.
    """

    def __init__(self, hears: Callable[[], bool], cost: int) -> None:
        self._hears, self._cost = hears, cost
        self._busy = False
        self.cells: dict[Key, Cell] = {}
        self.calls: dict[int, int] = {}
        self.places: list[tuple[Owner, str]] = [(OTHER, FORWARD)]
        self.allocated = self.arrays = 0

    def timed(
        self, kind: Kind, wait: Any, function: Callable[..., Any], inputs: Any, options: Any, moved: Any = None
    ) -> Any:
        """Call a function and note its time; what it calls itself counts as a part of it.

        ``moved(result)`` gives the bytes where they are not those of the inputs.
        """
        if self._busy or not self._hears():
            return function(*inputs, **options)
        self._busy = True
        try:
            if wait is not None:
                wait()
            start = clock()
            result = function(*inputs, **options)
            if wait is not None:
                wait()
            passed = clock() - start - self._cost
        finally:
            self._busy = False
        key = (kind.name, *self.places[-1])
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(kind.is_product)
        cell.calls += 1
        cell.nanoseconds += max(passed, 0)
        cell.bytes += kind.bytes(inputs, options) if moved is None else moved(result)
        cell.precisions[precision_of(inputs, options)] = None
        flops = kind.flops(inputs, options)
        cell.flops = None if flops is None or cell.flops is None else cell.flops + flops
        return result

    def called_for(self, owner: Owner, direction: str, original: Any, inputs: Any, options: Any) -> Any:
        """Call a function; kernels that it calls are for this owner."""
        self.places.append((owner, direction))
        try:
            return original(*inputs, **options)
        finally:
            self.places.pop()
