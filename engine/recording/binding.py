"""How does a program run without Python? Its kernels' calls are kept as calls of compiled C, in one sequence.

What C does not compute stays a call of Python's, in its place. A check of Python's that C can make is made by C; where
it fails, Python's is called and says what is wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any

import numpy as np

from backends import native
from engine import autodiff
from engine.data.batches import Gatherer
from engine.divergence import FiniteCheck
from engine.losses.classification import BinaryCrossEntropy
from engine.losses.loss import Loss
from engine.optimizers.optimizer import Optimizer
from engine.optimizers.recurrences import Adam
from engine.recording.hooks import count_step
from engine.recording.joining import Call
from engine.recording.unrolling import Entry, unrolled
from engine.tensor import Parameter

Made = tuple[Any, tuple[Any, ...]]


class StoppedError(Exception):
    """A call of a program raised an error, after so many recorded calls."""

    def __init__(self, done: int, error: BaseException) -> None:
        super().__init__(done, error)
        self.done, self.error = done, error


class Bound:
    """The calls of a program, ready to run in one go.

    Attributes:
        sequence: what runs them; None where there is no compiled C.
        numbers: of each of its entries, the recorded call that it is a part of.
        guards: (object, attribute, value): what it works on besides the program's arrays.
    """

    def __init__(self, calls: Sequence[Call], guards: Sequence[tuple[Any, str, Any]] = ()) -> None:
        self.sequence = native.sequence()
        self.numbers: list[int] = []
        self.guards = list(guards)
        self._entries: list[Entry] = []
        if self.sequence is None:
            for call in calls:
                self._entries += unrolled(call)
                self.numbers += [call.number] * (len(self._entries) - len(self.numbers))
        else:
            for call in calls:
                if not self._compiled(call):
                    self.sequence.append(call.function, call.inputs, call.options)
                self.numbers += [call.number] * (self.sequence.length() - len(self.numbers))

    def _compiled(self, call: Call) -> bool:
        """Keep a call as calls of C, where C can make it."""
        compiled = getattr(call.function, "compiled", None)
        if compiled is not None:
            return call.inputs[0] is np and bool(self.sequence.extend(compiled, call.inputs[1:], call.options))
        owner: Any = getattr(call.function, "__self__", None)
        method = getattr(call.function, "__func__", call.function)
        if method is _GATHER and isinstance(owner, Gatherer):
            number, rows, part = call.inputs
            batches = owner.given()
            self.guards.append((owner, "batches", batches))
            return bool(self.sequence.extend(native.kernels.take_rows, (batches.arrays[number], rows, part), {}))
        if method is _ADVANCE:
            return self._advance(owner, *call.inputs)
        if method is _SET_SCALARS:
            return self._set_scalars(call, owner)
        if method is count_step:
            self.sequence.append(native.kernels.count_step, call.inputs, {})
            return True
        checks = _CHECKS.get(method)
        return checks is not None and self._checked(call, list(checks(owner, *call.inputs)))

    def _advance(self, optimizer: Optimizer, stepped: list[Parameter]) -> bool:
        """Count a step of all parameters; of some of them, Python does."""
        if len(stepped) != len(optimizer._counts) or any(one._version is None for one in stepped):
            return False
        numbers = tuple(id(one) for one in stepped)
        given = (optimizer, tuple(stepped), numbers, autodiff.Version, autodiff.next_number)
        self.sequence.append(native.kernels.advance, given, {})
        return True

    def _set_scalars(self, call: Call, optimizer: Optimizer) -> bool:
        """Set the numbers of a step, where these are the learning rate and Adam's corrections."""
        stretch, group = call.inputs
        if type(optimizer).corrections is Optimizer.corrections:
            counted: tuple[Any, ...] = ()
        elif type(optimizer).corrections is Adam.corrections:
            counted = (optimizer, id(stretch.first), (("first_correction", "beta1"), ("second_correction", "beta2")))
        else:
            return False
        self.sequence.append(native.kernels.set_scalars, (call.function, stretch, group, *counted), {})
        return True

    def _checked(self, call: Call, checks: list[Made]) -> bool:
        def all_of_them() -> bool:
            return all(check(*inputs) for check, inputs in checks)

        before = self.sequence.length()
        if not checks or not self.sequence.extend(all_of_them, (), {}):
            return False
        for entry in range(before, self.sequence.length()):
            self.sequence.otherwise(entry, call.function, call.inputs, call.options)
        return True

    def holds(self) -> bool:
        """Whether all that it works on is as it was."""
        return all(getattr(owner, attribute) is value for owner, attribute, value in self.guards)

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
        entries = iter(self._entries)
        try:
            for function, inputs in entries:
                function(*inputs)
        except BaseException as error:
            done = len(self._entries) - length_hint(entries) - 1
            raise StoppedError(self.numbers[done], error) from error


# -- checks that C makes ---------------------------------------------------------------------------------


def _classes(_: Any, labels: Any, classes: int) -> Iterator[Made]:
    yield native.kernels.labels_fit, (labels, classes)


def _range(_: Any, values: Any, low: float, high: float, between: bool) -> Iterator[Made]:
    yield native.kernels.range_fit, (values, low, high, int(between))


def _weights(loss: Any, weights: Any) -> Iterator[Made]:
    yield native.kernels.weights_fit, (weights, int(loss.reduction == "mean"))


def _probabilities(_: Any, values: Any) -> Iterator[Made]:
    yield native.kernels.bounds_fit, (values, 0.0, 1.0)


def _finite(_: Any, losses: Any, squares: Any, *rest: Any) -> Iterator[Made]:
    for one in (*losses, *squares):
        yield native.kernels.all_finite, (one,)


# The methods themselves: a recording watches them by others.
_GATHER, _ADVANCE, _SET_SCALARS = Gatherer.gather, Optimizer._advance, Optimizer._set_scalars
FINITE = FiniteCheck.require
_CHECKS: dict[Any, Callable[..., Iterator[Made]]] = {
    Loss._check_classes: _classes,
    Loss._check_range: _range,
    Loss._check_weights: _weights,
    BinaryCrossEntropy._check_probabilities: _probabilities,
    FINITE: _finite,
}
