"""How are many steps of a GPU's program one launch? Each on rows and numbers of its own; nobody waits in between.

A `Plan` says what a step of a program is: kernels, what they read that differs from step to step, what is to be looked
at afterwards. A `Block` is some such steps as one launch. `Blocks` takes steps by blocks, of the size that is best.
"""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from backends.kernels.shape import Copy
from engine.divergence import Undo
from engine.metrics.accumulators import FunctionMetric, Metric
from engine.metrics.forms import arrays as forms
from engine.recording.arguments import Input
from engine.recording.binding import _ADVANCE, _SET_SCALARS, FINITE
from engine.recording.hooks import count_step
from engine.recording.joining import Call
from engine.recording.kept import Kept, once
from engine.recording.launches import Guard, beginnings, gathered, graphing, is_of, launch_of
from engine.recording.memory import PLAIN, extent, is_array, overlap
from engine.tensor import Tensor
from engine.value import note_changes

SIZES = (1, 4, 16, 64)
"""How many steps a launch may have."""

TIMED, SAMPLES, GAIN = 32, 2, 0.97
"""Steps of a timing, at the least; how many timings of a size, of which the best counts; and what part of the time of a
step a larger size may need at the most."""

LARGEST = 1 << 26
"""Bytes that a step may change and still be one of many: of more, the launches between steps are the least."""


class Tally:
    """A metric whose sums stay where they are, so that a launch adds to them."""

    def __init__(self, metric: Metric, backend: Backend, output: Array, target: Array) -> None:
        self.metric = metric
        self.numbers = self._of(output, target)  # of one batch
        self.sums = [  # None for a number of Python's
            backend.zeros(one.shape, one.dtype) if is_array(one) else None for one in self.numbers
        ]

    def _of(self, output: Array, target: Array) -> list[Any]:
        return list(self.metric._of_batch(*forms(self.metric.name, output, target)))

    def forward(self, xp: Any, output: Array, target: Array, *, sums: Sequence[Array]) -> None:
        """Count one batch in; as a kernel, which writes its outputs alone."""
        self.numbers = self._of(output, target)
        for total, one in zip(self.sums, self.numbers, strict=True):
            if total is not None:
                xp.add(total, one, out=total)

    def begin(self) -> None:
        """Go on from what the metric has gathered."""
        for place, total in enumerate(self.sums):
            if total is not None and self.metric._sums is None:
                total.fill(0)
            elif total is not None and self.metric._sums is not None:
                total[...] = self.metric._sums[place]

    def end(self, steps: int) -> None:
        """Give the metric what so many steps have added."""
        before = self.metric._sums or (0,) * len(self.sums)
        both = zip(self.sums, before, self.numbers, strict=True)
        self.metric._sums = tuple(
            number + steps * each if total is None else total.copy() for total, number, each in both
        )


class Plan:
    """A step of a program, by what it does.

    Attributes:
        kernels: its calls, in order.
        first, last: calls of Python's that are made once before many steps, and once after them.
        results: the arrays to be looked at after each step; the output is the first.
        checks: the others of these, which must be finite.
        settings: (optimizer, stretch, group): whose numbers are those of a step.
        advances: (optimizer, parameters that take a step).
        counted: the optimizers whose steps are counted.
        guards: (object, attribute, value): what it works on besides the program's arrays.
    """

    def __init__(self, program: Any, backend: Backend) -> None:
        self.program, self.backend = program, backend
        self.kernels: list[Call] = []
        self.first: list[Call] = []
        self.last: list[Call] = []
        self.checks: list[Array] = []
        self.settings: list[tuple[Any, Any, Any]] = []
        self.advances: list[tuple[Any, Any]] = []
        self.counted: list[Any] = []
        self.tallies: list[Tally] = []
        self.guards: list[Guard] = []
        self.whole = self._fits() and all(self._take(call) for call in program.calls)
        self.results = [program.output.value, *self.checks] if self.whole else []
        given = [one.buffer for one in program.inputs]
        self.whole = self.whole and not any(overlap(one, other) for one in self.results for other in given)

    def _fits(self) -> bool:
        """Whether its arguments and its answer are tensors of this device, of values alone."""
        output = self.program.output
        plain = output.kind == "copy" and output.backend is self.backend
        return plain and all(_is_plain(one, self.backend) for one in self.program.inputs)

    def _take(self, call: Call) -> bool:
        """Find a call's place; False where it has none, so that steps are taken one by one."""
        call = gathered(call, self.backend, self.guards)
        owner, method = getattr(call.function, "__self__", None), getattr(call.function, "__func__", None)
        if is_of(self.backend, call):
            self.kernels.append(call)
        elif method is FINITE:
            losses, squares, *_ = call.inputs
            self.checks += [*losses, *squares]
        elif method is _SET_SCALARS:
            return self._set(owner, *call.inputs)
        elif method is _ADVANCE:
            self.advances.append((owner, *call.inputs))
        elif call.function is count_step:
            self.counted.append(*call.inputs)
        elif method is Undo.remember:
            self.first.append(call)
        elif method is Tensor.touched:
            self.last.append(call)
        elif isinstance(owner, Metric) and method is type(owner).update:
            return self._tally(call, owner)
        else:
            return getattr(call.function, "__name__", "") == "_activate"  # which a launch does itself
        return True

    def _set(self, optimizer: Any, stretch: Any, group: Any) -> bool:
        """Numbers that a step's kernels read: known before for many steps, where they are functions of the step."""
        parts = [optimizer, *(one for one in group.settings.values() if not isinstance(one, PLAIN))]
        own = all(type(one).__module__.startswith("engine.") for one in parts)
        taken = any(owner is optimizer for owner, _ in self.advances) or optimizer in self.counted
        self.settings.append((optimizer, stretch, group))
        return own and not taken and stretch.backend is self.backend

    def _tally(self, call: Call, metric: Metric) -> bool:
        output, target = (one.array for one in call.inputs)
        if isinstance(metric, FunctionMetric) or not self.backend.owns(output) or not self.backend.owns(target):
            return False
        tally = Tally(metric, self.backend, output, target)
        sums = [one for one in tally.sums if one is not None]
        self.tallies.append(tally)
        self.kernels.append(Call(call.number, tally.forward, (self.backend.xp, output, target), {"sums": sums}))
        return True

    # -- numbers of each step --------------------------------------------------------------------------

    def numbers(self, steps: int) -> list["np.ndarray[Any, Any]"]:
        """For each of the settings what the next steps' numbers are, (steps, numbers)."""
        found = []
        for optimizer, stretch, group in self.settings:
            rows = []
            for step in range(steps):
                count = optimizer._counts[id(stretch.first)] + 1 + step
                named = {"learning_rate": group.learning_rate(optimizer.steps + step)}
                named.update(optimizer.corrections(count, group.settings))
                rows.append([named[name] for name in stretch.scalars])
            found.append(np.array(rows, stretch.dtype))
        return found

    def count(self, steps: int) -> None:
        """Note in Python that so many steps were taken."""
        for optimizer, stepped in self.advances:
            for parameter in stepped:
                optimizer._counts[id(parameter)] += steps
            optimizer._uneven_steps += steps * (len(stepped) != len(optimizer._counts))
            note_changes(stepped)
        for optimizer in self.counted:
            optimizer.steps += steps
        for call in self.last:
            call.function()
        for owner, attribute, value in self.program.finals:
            setattr(owner, attribute, value)
        for tally in self.tallies:
            tally.end(steps)


class Block:
    """Some steps of a plan as one launch.

    Attributes:
        rows: for each argument of the program, its values in each step.
        numbers: for each of the plan's settings, its numbers in each step.
        ring: for each of the plan's results, what it is after each step.
        launch: the steps; None where the device cannot keep them as one launch.
        state: what they change besides these.
    """

    def __init__(self, plan: Plan, size: int) -> None:
        backend, program = plan.backend, plan.program
        self.plan, self.size = plan, size
        self.rows = [backend.zeros((size, *one.buffer.shape), one.buffer.dtype) for one in program.inputs]
        self.numbers = [backend.zeros((size, len(one.scalars)), one.dtype) for _, one, _ in plan.settings]
        self.ring = [backend.empty((size, *one.shape), one.dtype) for one in plan.results]
        self._held: list[Any] = [None] * len(self.numbers)  # on the host
        calls = [call for step in range(size) for call in self._step(step)]
        begins = beginnings(calls, program.buffers)
        self.launch = launch_of(calls, backend, begins)
        lasting = [] if self.launch is None else self.launch.lasting()
        own = once([*self.rows, *self.numbers, *self.ring])
        self.state = [one for one in lasting if not any(overlap(one, other) for other in own)]

    def _step(self, step: int) -> list[Call]:
        """The kernels of one step, on its own rows, numbers and results."""
        plan = self.plan
        own = [
            (one.buffer, rows[step : step + 1].reshape(one.buffer.shape))
            for one, rows in zip(plan.program.inputs, self.rows, strict=True)
        ]
        for (_, stretch, _), table in zip(plan.settings, self.numbers, strict=True):
            own += [(one, table[step, place : place + 1]) for place, one in enumerate(stretch.scalars.values())]
        made = [
            (one, ring[step : step + 1].reshape(one.shape)) for one, ring in zip(plan.results, self.ring, strict=True)
        ]
        calls, before, after = plan.kernels, list[Call](), list[Call]()
        for old, new in own:
            changed = _instead(calls, old, new)
            if changed is None:
                before.append(self._copy(new, old))
            else:
                calls = changed
        for old, new in made:
            inside = any(overlap(old, one) for _, one in own) or old not in plan.program.buffers
            changed = None if inside else _instead(calls, old, new)
            if changed is None:
                after.append(self._copy(old, new))
            else:
                calls = changed
        return [*before, *calls, *after]

    def _copy(self, x: Array, y: Array) -> Call:
        backend = self.plan.backend
        return Call(0, backend.kernel(Copy.forward), (backend.xp, x), {"y": y})

    def load(self, rows: Sequence[Array], numbers: Sequence[Array], known: Sequence[Any]) -> None:
        """Take over what the next steps work on; the numbers only where they are others than those before."""
        xp = self.plan.backend.xp
        for ours, theirs in zip(self.rows, rows, strict=True):
            xp.copyto(ours, theirs)
        for place, (ours, theirs) in enumerate(zip(self.numbers, numbers, strict=True)):
            if self._held[place] is None or not np.array_equal(self._held[place], known[place]):
                xp.copyto(ours, theirs)
                self._held[place] = known[place]


def _instead(calls: Sequence[Call], old: Array, new: Array) -> list[Call] | None:
    """The calls with one array in another's place; None where one of them uses a part of it, or holds it otherwise."""
    made = []
    for call in calls:
        if call.touches(old):
            call = call.with_array(old, new)
            if call.touches(old):
                return None
        made.append(call)
    return made


def _is_plain(one: Input, backend: Backend) -> bool:
    return (
        isinstance(one.handed, Tensor)
        and one.backend is backend
        and bool(one.buffer.flags.c_contiguous)
        and not one.handed.requires_grad
        and one.last_gradient is None
        and not one.written
    )


class Blocks:
    """Steps of a program by launches of many.

    Each size of launch proves itself twice over: against its kernels one by one, and against the program's own replays,
    before its first results count. Where what must be finite is not, all is put back, and the steps are taken one by
    one, so that the one that fails does so as ever.

    Attributes:
        problem: why steps are taken one by one; None where they are not.
        size: how many a launch has, as far as is known; it may have been found before, on other data.
        seconds: of a step, by size, as they were timed.
    """

    def __init__(self, program: Any, plan: Plan, size: int | None = None) -> None:
        self.program, self.plan, self.backend = program, plan, plan.backend
        self.problem: str | None = None
        self.size = SIZES[0] if size is None else size
        self.seconds: dict[int, list[float]] = {}
        self._blocks: dict[int, Block | None] = {}
        self._room: dict[Any, tuple[Kept, Kept]] = {}  # for copies of a state, by where it lies
        self._sizes = iter(SIZES)
        self._trying = next(self._sizes) if size is None else None

    def found(self) -> int | None:
        """The best size, where all were tried that might be it."""
        return self.size if self._trying is None and self.problem is None else None

    def holds(self) -> bool:
        """Whether it may serve, on what it was made for."""
        return self.problem is None and all(getattr(owner, name) is value for owner, name, value in self.plan.guards)

    def over(self, given: Sequence[Array], first: int, outputs: "np.ndarray[Any, Any]") -> int:
        """Take the steps on these arguments, (steps, ...), from number ``first`` on; the outputs come into an array.

        Returns how many it were. An error leaves the steps before as they were taken one by one.
        """
        done, total = first, len(outputs)
        while done < total:
            left = total - done
            block = self._block(left)
            if block is None or block.launch is None:
                self._singly(given, done, total, outputs)
                break
            timing = self._trying == block.size and left >= TIMED and block.launch.proved
            count = block.size * (1 if not block.launch.proved else (TIMED if timing else left) // block.size or 1)
            began = time.perf_counter()
            part = [one[done : done + count] for one in given]
            if block.launch.proved:
                self._take(block, part, outputs[done : done + count])
            else:
                self._prove(block, part, outputs[done : done + count])
            if timing:
                self._note(block.size, (time.perf_counter() - began) / count)
            done += count
        return total - first

    # -- the size of a launch --------------------------------------------------------------------------

    def _block(self, left: int) -> Block | None:
        """What takes the next steps: the size that is tried where there are steps to time it, else the one found."""
        size = self._trying if self._trying is not None and left >= TIMED else self.size
        size = size if size <= left else SIZES[0]
        if size not in self._blocks:
            self._blocks[size] = self._made(size)
        block = self._blocks[size]
        if block is None and size == self._trying:
            self._trying = None  # no larger one will do
        if block is None:
            block = self._blocks.get(self.size) if self.size <= left else self._blocks.get(SIZES[0])
        if block is not None and block.launch is not None and block.launch.problem is not None:
            self.problem = block.launch.problem
        return block if self.problem is None else None

    def _made(self, size: int) -> Block | None:
        try:
            block = Block(self.plan, size)
            if block.launch is not None and sum(int(one.nbytes) for one in block.state) <= LARGEST:
                self._copies(block)
                return block
        except Exception as error:
            if self.backend.shortage(error) is None:
                raise
        if size == SIZES[0]:
            self.problem = "what a step does cannot be kept as one launch, or changes too much memory"
        return None

    def _copies(self, block: Block) -> tuple[Kept, Kept]:
        """Room for two copies of what a block changes, which is the same for blocks of all sizes."""
        places = tuple(extent(one) for one in block.state)
        if places not in self._room:
            self._room[places] = Kept(self.backend, block.state), Kept(self.backend, block.state)
        return self._room[places]

    def _note(self, size: int, seconds: float) -> None:
        """A size was timed; a larger one is tried as long as each saves enough of the time of the one before."""
        times = self.seconds.setdefault(size, [])
        times.append(seconds)
        if len(times) < SAMPLES:
            return
        if size != self.size and min(times) > GAIN * min(self.seconds[self.size]):
            self._trying = None
            return
        self.size, self._trying = size, next(self._sizes, None)

    # -- steps -----------------------------------------------------------------------------------------

    def _begin(self, block: Block) -> Kept:
        before, _ = self._copies(block)
        for call in self.plan.first:
            call.function()
        for tally in self.plan.tallies:
            tally.begin()
        before.take()
        return before

    def _launch(self, block: Block, part: Sequence[Array], steps: int) -> list["np.ndarray[Any, Any]"]:
        """Launch so many steps; each result of the plan after each of them. Here alone the host waits."""
        assert block.launch is not None
        backend, size = self.backend, block.size
        known = self.plan.numbers(steps)
        tables = [backend.asarray(one) for one in known]
        rings = [backend.empty((steps, *one.shape), one.dtype) for one in self.plan.results]
        for start in range(0, steps, size):
            own = slice(start, start + size)
            block.load([one[own] for one in part], [one[own] for one in tables], [one[own] for one in known])
            block.launch()
            for ring, values in zip(rings, block.ring, strict=True):
                backend.xp.copyto(ring[own], values)
        return [backend.to_host(one) for one in rings]

    def _take(self, block: Block, part: Sequence[Array], outputs: "np.ndarray[Any, Any]") -> None:
        """Take the steps by launches, whole or, after any error, not at all."""
        before = self._begin(block)
        try:
            found, *checks = self._launch(block, part, len(outputs))
        except BaseException:
            before.put_back()
            raise
        if not all(np.isfinite(one).all() for one in checks):
            before.put_back()
            self._singly(part, 0, len(outputs), outputs)
            return
        outputs[...] = found
        self.plan.count(len(outputs))

    def _prove(self, block: Block, part: Sequence[Array], outputs: "np.ndarray[Any, Any]") -> None:
        """Take the steps by a launch, then from the same state one by one, which counts; they must be the same bits."""
        before = self._begin(block)
        try:
            found, *_ = self._launch(block, part, len(outputs))
            _, after = self._copies(block)
            after.take()
        finally:
            before.put_back()
        self._singly(part, 0, len(outputs), outputs)
        for tally in self.plan.tallies:
            tally.begin()
        if after.differing() or found.astype(outputs.dtype).tobytes() != outputs.tobytes():
            self.problem = f"{block.size} steps in one CUDA graph did not compute what they do one by one"
            warnings.warn(
                f"{self.problem} on {self.backend.device}; they are taken one by one from now on.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _singly(self, given: Sequence[Array], first: int, last: int, outputs: "np.ndarray[Any, Any]") -> None:
        for step in range(first, last):
            one = self.program.replay([Tensor.wrap(array[step], self.backend) for array in given])
            outputs[step] = self.backend.to_host(one.array)


def blocks_of(program: Any, size: int | None) -> Blocks | None:
    """Many steps of a program at once, by launches of a size that is known; None where no device can launch them so."""
    for backend in graphing():
        plan = Plan(program, backend)
        if plan.whole:
            return Blocks(program, plan, size)
    return None
