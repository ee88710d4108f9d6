"""What is run again? A program: recorded calls on the same arrays, what must hold for them, and what they leave."""

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import backends
from backends import native
from engine import autodiff
from engine.recording.arguments import Output
from engine.recording.binding import Bound, StoppedError
from engine.recording.joining import Call, joined, without_copies, without_work
from engine.recording.launches import WARM, graphing, launched
from engine.recording.memory import PLAIN, Memory, arrays_in
from engine.recording.quick import Quick, holds
from engine.recording.recorder import Recorder
from engine.recording.workspace import share
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.recording.blocks import Blocks


class Program:
    """A recording that can be replayed.

    Attributes:
        calls: in order; as they were recorded, until `prepare` was called.
        bound: what runs them.
        many: what takes many steps of it on a GPU, once that was asked for; None where nothing does.
        buffers: the arrays that a replay computes anew.
        nbytes: what these hold.
        used: when it was last replayed, as a count of calls.
        replays: how often it was, from Python.
    """

    def __init__(self, recorder: Recorder, output: Output) -> None:
        self.calls = [Call(number, *call) for number, call in enumerate(recorder.calls)]
        self.inputs, self.output = recorder.inputs, output
        self.buffers, self.constants, self._known = recorder.buffers, recorder.constants, recorder.known
        self.guards, self.equal = recorder.guards, recorder.equal
        self.settings, self.counts = recorder.settings, recorder.counts
        self.finals, self.events = list(recorder.finals.values()), recorder.events
        self.bound: Bound | None = None
        self.many: Blocks | None = None
        self._asked = False
        self._size: int | None = None
        self.mismatches = 0
        self.used = self.replays = 0

    @property
    def nbytes(self) -> int:
        """What its buffers hold."""
        return self.buffers.nbytes()

    def loose(self) -> bool:
        """Whether a call reads an array from outside that nobody is known to keep: a second recording must agree."""
        places = {place for call in self.calls for place in call.extents}
        return any(self.buffers.holder(*place) is None and self._known.holder(*place) is None for place in places)

    def prepare(self) -> None:
        """Make it ready to be replayed: spare copies, join neighbours, lay out the memory."""
        pinned = self._pinned()
        calls = without_work(joined(without_copies(self.calls, self.buffers, pinned), pinned))
        self.calls, self.buffers = share(calls, self.buffers, pinned)

    def bind(self) -> Bound:
        """Have its calls run as one, on the data that they refer to now."""
        self.bound = Bound(self.calls) if self.replays < WARM else Bound(*launched(self.calls, self.buffers))
        return self.bound

    def _leave(self, done: int) -> None:
        """Set what the recorded calls before this one would have set, where it raised."""
        for before, owner, attribute, value in self.events:
            if before <= done:
                setattr(owner, attribute, value)

    def quick(self, arguments: tuple[Any, ...]) -> Any:
        """The replay as one call, of compiled C where that is there, for such arguments; None where it needs more."""
        tensors = [one for one in arguments if isinstance(one, Tensor)]
        plain = all(type(one) in PLAIN or type(one) is Tensor for one in arguments)
        if (
            self.bound is None
            or not plain
            or len(tensors) != len(self.inputs)
            or not all(one.plain() for one in self.inputs)
            or "input" in self.output.kinds()
        ):
            return None
        backend = backends.get("cpu")
        guards = [*self.guards, *self.bound.guards, (autodiff.mode, "enabled", autodiff.mode.enabled)]
        equal = [*self.equal]
        for optimizer, _ in self.counts:
            guards.append((optimizer, "_counts", optimizer._counts))
            equal.append((optimizer, "_uneven_steps", optimizer._uneven_steps))
        numbers = self.bound.numbers
        single = self.output.kind == "copy" and self.output.backend is backend and self.output.value.flags.c_contiguous
        output = self.output.value if single else functools.partial(self.output.build, ())
        if self.bound.sequence is None:
            places = [place for place, one in enumerate(arguments) if type(one) is Tensor]
            return Quick(
                bound=self.bound,
                constants=[(place, one) for place, one in enumerate(arguments) if place not in places],
                inputs=[(place, one.buffer) for place, one in zip(places, self.inputs, strict=True)],
                pairs=list(itertools.combinations(places, 2)),
                count=len(arguments),
                backend=backend,
                guards=guards,
                equal=equal,
                settings=self.settings,
                finals=self.finals,
                output=output,
                leave=self._leave,
            )
        return native.kernels.Replay(
            self.bound.sequence,
            tuple(Tensor if type(one) is Tensor else one for one in arguments),
            tuple(one.buffer for one in self.inputs),
            backend,
            Tensor,
            tuple(guards),
            tuple(equal),
            tuple(self.settings),
            tuple(self.finals),
            output,
            lambda entry: self._leave(numbers[entry]),
        )

    def blocks(self) -> "Blocks | None":
        """What takes many steps at once on a GPU, where it is ready for that; None where there is no such thing."""
        if self.replays <= WARM:
            return None
        if not self._asked or (self.many is not None and self.many.problem is None and not self.many.holds()):
            from engine.recording.blocks import blocks_of  # a CPU needs none of it

            self._release_many()
            self.many, self._asked = blocks_of(self, self._size), True
        return None if self.many is None or self.many.problem is not None else self.many

    def release(self) -> None:
        """Let go of the data that it is bound to."""
        self.bound = None
        self._release_many()

    def _release_many(self) -> None:
        """Let go of launches of many steps; how many are best is not forgotten."""
        self._size = self._size if self.many is None else self.many.found()
        self.many, self._asked = None, False

    def _pinned(self) -> Memory:
        """The arrays that others than the calls refer to."""
        pinned = Memory()
        kept = [value for _, _, value in (*self.guards, *self.finals)]
        given = [array for one in self.inputs for array in one.arrays()]
        for array in arrays_in([*self.output.arrays(), *given, *kept]):
            pinned.add(array)
        return pinned

    def holds(self) -> bool:
        """Whether everything that the recorded calls depend on is as it was."""
        if not holds(self.guards, self.equal, self.settings):
            return False
        return all(len({optimizer._counts[one] for one in members}) == 1 for optimizer, members in self.counts)

    def stale(self) -> bool:
        """Whether an array that it works on was replaced, so that it can never run again."""
        return any(
            attribute in ("array", "_buffers") and getattr(owner, attribute) is not value
            for owner, attribute, value in self.guards
        )

    def replay(self, given: Sequence[Any]) -> Any:
        """Run the calls on the values of these arguments; returns what the function would."""
        for one, array in zip(self.inputs, given, strict=True):
            one.load(array)
        bound = self.bound
        if bound is None or not bound.holds() or (self.replays == WARM and graphing()):
            bound = self.bind()
        self.replays += 1
        try:
            bound.run()
        except StoppedError as stopped:
            self._leave(stopped.done)
            for one in self.inputs:
                one.finish(failed=True)
            raise stopped.error from None
        for owner, attribute, value in self.finals:
            setattr(owner, attribute, value)
        for one in self.inputs:
            one.finish_replay()
        return self.output.build(given)
