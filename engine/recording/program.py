"""What is run again? A program: recorded calls on the same arrays, what must hold for them, and what they leave."""

from collections.abc import Sequence
from typing import Any

from engine.recording.arguments import Output
from engine.recording.recorder import Recorder


class Program:
    """A recording that can be replayed.

    Attributes:
        calls: (function, arguments, named arguments), in order.
        nbytes: what its buffers hold.
        buffers: them, for tests.
        used: when it was last replayed, as a count of calls.
    """

    def __init__(self, recorder: Recorder, output: Output) -> None:
        self.calls, self.inputs, self.output = recorder.calls, recorder.inputs, output
        self.buffers, self.constants = recorder.buffers, recorder.constants
        self.guards, self.equal = recorder.guards, recorder.equal
        self.settings, self.counts = recorder.settings, recorder.counts
        self.finals, self.events = list(recorder.finals.values()), recorder.events
        self.nbytes = recorder.buffers.nbytes()
        self.mismatches = 0
        self.used = 0

    def holds(self) -> bool:
        """Whether everything that the recorded calls depend on is as it was."""
        for owner, attribute, value in self.guards:
            if getattr(owner, attribute) is not value:
                return False
        for owner, attribute, value in self.equal:
            if getattr(owner, attribute) != value:
                return False
        for group, constants in self.settings:
            settings = group.settings
            for name, value in constants.items():
                if settings[name] != value:
                    return False
        for optimizer, members, apart in self.counts:
            counts = optimizer._counts
            first = counts[members[0]]
            for member, difference in zip(members, apart, strict=True):
                if counts[member] - first != difference:
                    return False
        return True

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
        done = 0
        try:
            for function, inputs, options in self.calls:
                function(*inputs, **options)
                done += 1
        except BaseException:
            for before, owner, attribute, value in self.events:
                if before <= done:
                    setattr(owner, attribute, value)
            for one in self.inputs:
                one.finish(failed=True)
            raise
        for owner, attribute, value in self.finals:
            setattr(owner, attribute, value)
        for one in self.inputs:
            one.finish_replay()
        return self.output.build(given)
