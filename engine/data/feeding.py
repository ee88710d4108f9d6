"""How do batches come to a device that does not hold the data? Each is copied while the one before it is used.

    host      gather 1 | gather 2 | gather 3 ...
    lane               | copy 1   | copy 2   | copy 3 ...
    device                        | step 1   | step 2 ...

There are two pieces of staging memory, and two batches on the device. A pass that ends early, by whatever, waits for
the copies under way and leaves no thread behind.
"""

import itertools
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from backends.lane import Lane, Mark
from engine.data.rows import Rows

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

THREADS = min(4, os.cpu_count() or 1)
LEAST = 1 << 20
"""Bytes that a thread gathers at the least: fewer are soon gathered, and threads take a while to begin."""

HostArray = np.ndarray[Any, Any]


class Part:
    """Rows of an array of the host, to be copied to a device as numbers of a type.

    Args:
        array: whose rows.
        rows: by their numbers, or a slice of neighbours.
        dtype: of the copy.
    """

    def __init__(self, array: "HostArray | Rows", rows: "HostArray | slice", dtype: "np.dtype[Any]") -> None:
        self.array, self.rows, self.dtype = array, rows, dtype
        count = len(range(*rows.indices(len(array)))) if isinstance(rows, slice) else len(rows)
        self.shape = (count, *array.shape[1:])
        self.nbytes = int(np.prod(self.shape)) * dtype.itemsize

    def pieces(self, staged: HostArray) -> "Iterator[tuple[Part, HostArray]]":
        """The part with its place in staging memory, in pieces for several threads where it is large."""
        out = staged[: self.nbytes].view(self.dtype).reshape(self.shape)
        count = max(1, min(THREADS, self.nbytes // LEAST))
        if count == 1 or isinstance(self.rows, slice) or isinstance(self.array, Rows):
            yield self, out
            return
        edges = [number * len(out) // count for number in range(count + 1)]
        for first, last in itertools.pairwise(edges):
            yield Part(self.array, self.rows[first:last], self.dtype), out[first:last]

    def gather(self, out: HostArray) -> None:
        """Fill this array."""
        if isinstance(self.rows, slice) or isinstance(self.array, Rows) or self.array.dtype != self.dtype:
            np.copyto(out, self.array[self.rows], casting="unsafe")  # as astype rounds
        else:
            np.take(self.array, self.rows, axis=0, out=out, mode="clip")  # else NumPy gathers elsewhere first


class _Slot:
    """Staging memory of one batch, and the end of the copies that were sent from it last."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.staged: list[HostArray] = []
        self.sent: Mark = None

    def free(self) -> None:
        """Wait until nothing reads it any more."""
        if self.sent is not None:
            self.lane.wait(self.sent)

    def take(self, parts: Sequence[Part]) -> "list[tuple[Part, HostArray]]":
        """Pieces of these parts, with memory for them."""
        sizes = [one.nbytes for one in parts]
        if [min(pair) for pair in zip(sizes, (one.nbytes for one in self.staged), strict=False)] != sizes:
            self.free()
            self.staged = [self.lane.staging(size) for size in sizes]
        return [piece for part, staged in zip(parts, self.staged, strict=True) for piece in part.pieces(staged)]


class _Batch:
    """A batch on its way."""

    def __init__(self, slot: _Slot, parts: Sequence[Part], workers: "ThreadPoolExecutor") -> None:
        self.slot, self.parts = slot, parts
        lane = slot.lane
        self.arrays = [lane.empty(one.shape, one.dtype) for one in parts]
        self._after = lane.mark()
        pieces = slot.take(parts)
        self._left = itertools.count(len(pieces) - 1, -1)  # `next` is one step that no thread can come between
        self._gathered: list[Future[None]] = [workers.submit(self._gather, *one) for one in pieces]

    def _gather(self, part: Part, out: HostArray) -> None:
        """A thread's work: one piece; who has the last one sends all."""
        self.slot.free()
        part.gather(out)
        if next(self._left) == 0:
            hosts = [
                staged[: one.nbytes].view(one.dtype) for one, staged in zip(self.parts, self.slot.staged, strict=True)
            ]
            self.slot.sent = self.slot.lane.send(hosts, self.arrays, self._after)

    def arrive(self) -> list[Array]:
        """Its arrays, which may be used from now on."""
        for one in self._gathered:
            one.result()
        self.slot.lane.follow(self.slot.sent)
        return self.arrays


def fed(backend: Backend, lane: Lane, batches: Iterable[Sequence[Part]]) -> Generator[list[Array], None, None]:
    """Each batch as arrays of the device, in order; the next one is on its way while one is used.

    Where the device has no room for two, one is brought after the other.
    """
    from concurrent.futures import ThreadPoolExecutor  # which loads a good deal, for those who need it

    slots = [_Slot(lane), _Slot(lane)]
    turns = itertools.cycle(slots)
    begun: list[_Batch] = []
    workers = ThreadPoolExecutor(THREADS, thread_name_prefix="batches")
    try:
        for parts in batches:
            slot, full = next(turns), False
            try:
                begun.append(_Batch(slot, parts, workers))
            except Exception as error:
                if not begun or backend.shortage(error) is None:
                    raise
                full = True
            if full:
                yield begun.pop().arrive()
                begun.append(_Batch(slot, parts, workers))
            elif len(begun) == 2:
                yield begun.pop(0).arrive()
        if begun:
            yield begun.pop().arrive()
    finally:
        workers.shutdown(wait=True, cancel_futures=True)
        for slot in slots:
            slot.free()
