"""How does a GPU run a program? Kernel calls beside each other become one launch, once it has shown that it does so.

What a launch computes is compared with what its calls compute, from the same state, before it serves (`Launch`).
"""

import functools
import warnings
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from backends.backend import Backend
from backends.devices import _backends
from backends.kernels.pair import Array
from backends.kernels.shape import Gather
from engine.data.batches import Gatherer
from engine.metrics.accumulators import Metric
from engine.recording.binding import _ADVANCE, _GATHER, _SET_SCALARS, FINITE
from engine.recording.hooks import count_step
from engine.recording.joining import Call
from engine.recording.kept import Kept, once, spoil
from engine.recording.memory import Memory, arrays_in, overlap
from engine.tensor import Tensor

WARM = 1
"""How often a program runs call by call before its launches are made: by then its kernels are compiled and chosen."""

PROOFS = 2
"""How often a launch is compared with its calls before it serves: of other batches, from other weights."""

MUCH = 1 << 28
"""Bytes of copies that are not left to the device's allocator once a launch was compared."""

Guard = tuple[Any, str, Any]
Begins = dict[int, list[Array]]  # by a call's identity, the buffers that hold nothing before it


def graphing() -> list[Backend]:
    """The devices in use that can keep many launches as one."""
    return [backend for backend in {id(one): one for one in _backends.values()}.values() if backend.graphs]


def launched(calls: Sequence[Call], buffers: Memory) -> tuple[list[Call], list[Guard]]:
    """The calls of a program that has run, those of kernels beside each other as one call that launches all of them.

    What does more than kernels on one device's arrays (a copy from the host, a check of values, an operation of a
    user's) stays what it is, and so does a kernel that the device cannot keep. What only counts in Python makes way.
    Also what the launches work on besides the program's arrays: (object, attribute, value).
    """
    kept, guards = list(calls), list[Guard]()
    for backend in graphing():
        kept = apart([gathered(call, backend, guards) for call in kept], backend)
        begins = beginnings(kept, buffers)
        kept = [
            one
            for ours, run in groupby(kept, functools.partial(is_of, backend))
            for one in (_together(list(run), backend, begins) if ours else run)
        ]
    return kept, guards


def is_of(backend: Backend, call: Call) -> bool:
    """Whether it is a kernel's call on arrays of this device alone."""
    if not call.inputs or call.inputs[0] is not backend.xp:
        return False
    return all(backend.owns(array) for array in arrays_in([call.inputs[1:], call.options]))


def _together(calls: list[Call], backend: Backend, begins: Begins) -> Iterable[Call]:
    """All of them as one launch; where one cannot be kept, those between such."""
    whole = launch_of(calls, backend, begins)
    if whole is not None:
        return [Call(calls[0].number, whole, (), {})]
    if len(calls) == 1:
        return calls
    parts = groupby(calls, lambda call: launch_of([call], backend, begins) is not None)
    return [one for able, run in parts for one in (_together(list(run), backend, begins) if able else run)]


def launch_of(calls: Sequence[Call], backend: Backend, begins: Begins) -> "Launch | None":
    """The calls as one launch; None where the device cannot keep them so."""
    launch = backend.graph(functools.partial(run_all, calls))
    return None if launch is None else Launch(calls, backend, launch, begins)


def run_all(calls: Sequence[Call]) -> None:
    """Make the calls, one by one."""
    for call in calls:
        call.function(*call.inputs, **call.options)


# -- what each call does ---------------------------------------------------------------------------------


def gathered(call: Call, backend: Backend, guards: list[Guard]) -> Call:
    """The gathering of rows as the kernel that it is, where they lie on this device; for as long as these data do."""
    owner = getattr(call.function, "__self__", None)
    if getattr(call.function, "__func__", None) is not _GATHER or not isinstance(owner, Gatherer):
        return call
    number, rows, part = call.inputs
    batches = owner.given()
    if batches.backend is not backend or not backend.owns(batches.arrays[number]):
        return call
    guards.append((owner, "batches", batches))
    inputs = (backend.xp, batches.arrays[number], rows)
    return Call(call.number, backend.kernel(Gather.forward), inputs, {"y": part})


def written(call: Call) -> list[Array]:
    """What a kernel may write: its outputs; where it is no pair's forward or backward, everything."""
    pair = getattr(call.kernel, "__name__", "") in ("forward", "backward")
    return [one for one in arrays_in(call.options if pair else (call.inputs, call.options)) if one.size]


def beginnings(calls: Sequence[Call], buffers: Memory) -> Begins:
    """For each call the buffers that it is the first to touch, and writes without reading: they hold nothing before."""
    seen: set[int] = set()
    begins: Begins = {}
    for call in calls:
        found = {holder[0] for place in call.extents if (holder := buffers.holder(*place)) is not None} - seen
        seen |= found
        new = [buffers.arrays[number] for number in sorted(found)]
        inputs, outputs = list(arrays_in(call.inputs)), written(call)
        begins[id(call)] = [
            one
            for one in new
            if any(overlap(one, other) for other in outputs) and not any(overlap(one, other) for other in inputs)
        ]
    return begins


def counts_only(call: Call) -> bool:
    """Whether it counts in Python what kernels have done, and may do so after others of them."""
    method, owner = getattr(call.function, "__func__", None), getattr(call.function, "__self__", None)
    return (
        call.function is count_step
        or method is _ADVANCE
        or method is Tensor.touched
        or (isinstance(owner, Metric) and getattr(call.function, "__name__", "") == "update")
    )


def apart(calls: Sequence[Call], backend: Backend) -> list[Call]:
    """The calls in an order that keeps kernels together: a step's numbers are set before, what counts comes after."""
    kept: list[Call] = []
    waiting: list[Call] = []
    for call in calls:
        if counts_only(call):
            waiting.append(call)
        elif is_of(backend, call):
            changed = written(call)
            if any(overlap(one, other) for late in waiting for one in late.arrays for other in changed):
                kept, waiting = kept + waiting, []
            kept.append(call)
        elif getattr(call.function, "__func__", None) is _SET_SCALARS and not waiting_to_count(waiting):
            kept.insert(_earliest(call, kept, backend), call)
        else:
            kept, waiting = [*kept, *waiting, call], []
    return kept + waiting


def waiting_to_count(waiting: Sequence[Call]) -> bool:
    """Whether a step of an optimizer is among what waits, by which the next one's numbers go."""
    return any(one.function is count_step or getattr(one.function, "__func__", None) is _ADVANCE for one in waiting)


def _earliest(setting: Call, calls: Sequence[Call], backend: Backend) -> int:
    """The earliest place of a call that sets a step's numbers: before kernels that read none, and checks of values."""
    numbers = list(setting.inputs[0].scalars.values())
    place = len(calls)
    while place:
        before = calls[place - 1]
        check = getattr(before.function, "__func__", None) is FINITE
        counts = counts_only(before) and not waiting_to_count([before])
        kernel = is_of(backend, before) and not any(before.touches(one) for one in numbers)
        if not (check or counts or kernel):
            break
        place -= 1
    return place


# -- proof -----------------------------------------------------------------------------------------------


class Launch:
    """Kernel calls that a device keeps as one launch: it serves once it has computed what they do.

    The first times both run, from the same state; what both leave must be the same bits in every array that the calls
    write. The first time they do so from an altered state before, in which each single number (a learning rate) is
    another: what a launch took as it was when it was made shows. What does not agree is computed call by call for good,
    and a RuntimeWarning says which operation's array differed; so it is where there is no room for copies.

    Attributes:
        problem: why the calls serve; None where the launch does, or may.
        proofs: how often it was compared.
    """

    def __init__(self, calls: Sequence[Call], backend: Backend, launch: Any, begins: Begins) -> None:
        self.calls, self.backend, self._launch = list(calls), backend, launch
        self.problem: str | None = None
        self.proofs = 0
        fresh = once(one for call in calls for one in begins[id(call)])
        self._fresh = fresh
        self._written = once(one for call in calls for one in written(call))
        self._single = [
            one
            for one in once(one for call in calls for one in call.arrays if one.size == 1 and one.dtype.kind == "f")
            if not _within(one, fresh)
        ]

    @property
    def proved(self) -> bool:
        """Whether the launch serves."""
        return self.proofs >= PROOFS and self.problem is None

    def lasting(self) -> list[Array]:
        """What it writes besides temporary arrays."""
        return [one for one in self._written if not _within(one, self._fresh)]

    def __call__(self) -> None:
        if self.problem is not None:
            run_all(self.calls)
        elif self.proofs < PROOFS:
            self._prove()
        else:
            self._launch()

    def _prove(self) -> None:
        try:
            before = Kept(self.backend, [*self.lasting(), *self._single])
            after = Kept(self.backend, self._written)
            before.take()
        except Exception as error:
            facts = self.backend.shortage(error)
            why = error if facts is None else f"for want of memory: {facts}"
            self._give_up(f"could not be compared with its kernels one by one, {why}")
            run_all(self.calls)
            return
        try:
            if self.proofs == 0:
                self._compare(before, after, altered=True)
                before.put_back()
                if self.problem is not None:
                    run_all(self.calls)
                    return
            self._compare(before, after, altered=False)
        except BaseException:
            before.put_back()  # as if none of it had been asked
            raise
        self.proofs += 1
        if self.problem is not None:
            after.put_back()
        if sum(int(one.nbytes) for one in self._written) > MUCH:
            del before, after
            self.backend.give_back()

    def _compare(self, before: Kept, after: Kept, altered: bool) -> None:
        """Run the calls, then the launch from where they began; note what differs."""
        self._begin(altered)
        run_all(self.calls)
        after.take()
        before.put_back()
        self._begin(altered)
        try:
            self._launch()
            found = after.differing()
        except Exception as error:
            self._give_up(f"could not be launched: {error}")
            return
        if found:
            self._give_up(f"did not compute what its kernels do one by one: {self._writers(found)} differs")

    def _begin(self, altered: bool) -> None:
        spoil(self._fresh)
        if altered:
            xp = self.backend.xp
            for one in self._single:
                xp.multiply(one, 1.5, out=one)
                xp.add(one, 0.5, out=one)

    def _writers(self, arrays: Sequence[Array]) -> str:
        """Which operations wrote these."""
        names = []
        for array in arrays:
            writers = [call for call in self.calls if any(overlap(array, one) for one in written(call))]
            names.append(f"what {getattr(writers[-1].kernel, '__qualname__', 'a kernel')} wrote")
        return ", ".join(dict.fromkeys(names))

    def _give_up(self, problem: str) -> None:
        self.problem = problem
        warnings.warn(
            f"a CUDA graph on {self.backend.device} {problem.rstrip('.')}. Its kernels are launched one by one from "
            "now on; ENGINE_CUDA_GRAPHS=0 does so from the start.",
            RuntimeWarning,
            stacklevel=2,
        )


def _within(array: Array, others: Sequence[Array]) -> bool:
    return any(overlap(array, one) for one in others)
