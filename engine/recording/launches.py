"""How does a GPU run a program? Kernel calls beside each other become one launch, where the device can keep it."""

import functools
from collections.abc import Iterable, Sequence
from itertools import groupby

from backends.backend import Backend
from backends.devices import _backends
from engine.recording.joining import Call
from engine.recording.memory import arrays_in

WARM = 1
"""How often a program runs call by call before its launches are made: by then its kernels are compiled and chosen."""


def graphing() -> list[Backend]:
    """The devices in use that can keep many launches as one."""
    return [backend for backend in {id(one): one for one in _backends.values()}.values() if backend.graphs]


def launched(calls: Sequence[Call]) -> list[Call]:
    """The calls of a program that has run, those of kernels beside each other as one call that launches all of them.

    What does more than kernels on one device's arrays (a copy from the host, a count of Python's, an operation of a
    user's) stays what it is, in its place, and so does a kernel that the device cannot keep.
    """
    kept = list(calls)
    for backend in graphing():
        kept = [
            one
            for ours, run in groupby(kept, functools.partial(_is_of, backend))
            for one in (_together(list(run), backend) if ours else run)
        ]
    return kept


def _is_of(backend: Backend, call: Call) -> bool:
    """Whether it is a kernel's call on arrays of this device alone."""
    if not call.inputs or call.inputs[0] is not backend.xp:
        return False
    return all(backend.owns(array) for array in arrays_in([call.inputs[1:], call.options]))


def _together(calls: list[Call], backend: Backend) -> Iterable[Call]:
    """All of them as one launch; where one cannot be kept, those between such."""
    whole = _launch(calls, backend)
    if whole is not None:
        return [whole]
    if len(calls) == 1:
        return calls
    parts = groupby(calls, lambda call: _launch([call], backend) is not None)
    return [one for able, run in parts for one in (_together(list(run), backend) if able else run)]


def _launch(calls: list[Call], backend: Backend) -> Call | None:
    launch = backend.graph(functools.partial(_run, calls))
    return None if launch is None else Call(calls[0].number, launch, (), {})


def _run(calls: list[Call]) -> None:
    for call in calls:
        call.function(*call.inputs, **call.options)
