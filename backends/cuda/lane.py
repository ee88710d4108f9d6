"""How is a batch copied to a GPU while that computes? From pinned memory, by a stream of its own, events between both.

Memory that CuPy gives out may still be used by work of the stream that it is given out on: the copy waits for what
that stream had to do when the array was made. And what uses the array waits for the copy. So one of two pinned pieces
and one of two arrays is written while the others are read.

The variable ENGINE_CUDA_LANE=0 switches it off: then each batch is copied before its step. None of this has been timed
on a GPU.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backends.kernels.pair import Array
from backends.lane import Lane


def problem() -> str | None:
    """Why batches are copied before their steps; None where it is beside them."""
    return "switched off by ENGINE_CUDA_LANE=0" if os.environ.get("ENGINE_CUDA_LANE") == "0" else None


class CudaLane(Lane):
    """Copies to one GPU.

    Args:
        cupy: the array namespace.
        activate: makes it the GPU of the thread that calls.
        empty: makes an array of that GPU.
    """

    def __init__(self, cupy: Any, activate: Callable[[], None], empty: Callable[[Sequence[int], Any], Array]) -> None:
        self._cuda, self._activate, self._empty = cupy.cuda, activate, empty
        activate()
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def staging(self, size: int) -> "np.ndarray[Any, Any]":
        self._activate()
        try:
            memory = self._cuda.alloc_pinned_memory(size)
        except (
            self._cuda.runtime.CUDARuntimeError
        ):  # no more can be pinned: the driver then copies it by way of its own
            return np.empty(size, np.uint8)
        return np.frombuffer(memory, np.uint8, size)

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return self._empty(shape, dtype)

    def mark(self) -> Any:
        self._activate()
        return self._marked(self._cuda.get_current_stream())

    def send(self, hosts: "Sequence[np.ndarray[Any, Any]]", arrays: Sequence[Array], after: Any) -> Any:
        self._activate()
        self._stream.wait_event(after)
        for host, array in zip(hosts, arrays, strict=True):
            array.data.copy_from_host_async(host.ctypes.data, host.nbytes, self._stream)
        return self._marked(self._stream)

    def follow(self, mark: Any) -> None:
        self._activate()
        self._cuda.get_current_stream().wait_event(mark)

    def wait(self, mark: Any) -> None:
        self._activate()
        mark.synchronize()

    def _marked(self, stream: Any) -> Any:
        event = self._cuda.Event(block=True, disable_timing=True)  # who waits for it leaves the processor to others
        event.record(stream)
        return event
