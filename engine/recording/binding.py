"""How does a program run without Python? Its kernels' calls are kept as calls of compiled C, in one sequence.

What C does not compute stays a call of Python's, in its place.
"""

from collections.abc import Sequence

import numpy as np

from backends import native
from engine.losses.loss import Loss
from engine.recording.joining import Call

_CHECK_CLASSES = Loss._check_classes  # the method itself: a recording watches it by another


class StoppedError(Exception):
    """A call of a program raised an error, after so many recorded calls."""

    def __init__(self, done: int, error: BaseException) -> None:
        super().__init__(done, error)
        self.done, self.error = done, error


class Bound:
    """The calls of a program, ready to run in one go."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.sequence = native.sequence()
        self.numbers: list[int] = []  # of each entry of the sequence: the recorded call that it is a part of
        if self.sequence is not None:
            for call in calls:
                self._add(call)
                self.numbers += [call.number] * (self.sequence.length() - len(self.numbers))

    def _add(self, call: Call) -> None:
        compiled = getattr(call.function, "compiled", None)
        is_kernel = compiled is not None and call.inputs[0] is np
        if is_kernel and self.sequence.extend(compiled, call.inputs[1:], call.options):
            return
        check = getattr(call.function, "__func__", None) is _CHECK_CLASSES
        if check and self.sequence.extend(native.kernels.labels_fit, call.inputs, {}):
            self.sequence.otherwise(call.function, call.inputs, call.options)
            return
        self.sequence.append(call.function, call.inputs, call.options)

    def run(self) -> None:
        """Run all calls.

        Raises:
            StoppedError: one of them raised.
        """
        if self.sequence is None:
            self._run_in_python()
            return
        stopped = self.sequence.run()
        if stopped is not None:
            raise StoppedError(self.numbers[stopped[0]], stopped[1])

    def _run_in_python(self) -> None:
        number = 0
        try:
            for call in self.calls:
                number = call.number
                call.function(*call.inputs, **call.options)
        except BaseException as error:
            raise StoppedError(number, error) from error
