"""How does a replay cost little where there is no compiled C? By the same few questions, asked in Python.

Answers as native/replay.h does: NotImplemented, having done nothing, where anything is not as it was recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from engine.recording.binding import Bound, StoppedError
from engine.tensor import Tensor

State = tuple[Any, str, Any]
Settings = tuple[Any, dict[str, Any]]


def holds(guards: Sequence[State], equal: Sequence[State], settings: Sequence[Settings]) -> bool:
    """Whether attributes are the very objects, or equal to them, and groups have the settings."""
    try:
        for owner, attribute, value in guards:
            if getattr(owner, attribute) is not value:
                return False
        for owner, attribute, value in equal:
            if getattr(owner, attribute) != value:
                return False
        for group, constants in settings:
            found = group.settings
            for name, value in constants.items():
                if found[name] != value:
                    return False
    except (AttributeError, KeyError):
        return False
    return True


@dataclass(frozen=True)
class Quick:
    """A program as a function of its arguments.

    Attributes:
        bound: what runs its calls.
        constants: (place, value) of the arguments that must be as they were recorded.
        inputs: (place, buffer) of the tensors, whose values go into the buffers.
        pairs: (place, place) of any two of them.
        count: how many arguments there are.
        backend: of the tensors.
        guards, equal: (owner, attribute, value): must be that very object, or equal to it.
        settings: (group, {name: value}): the group's settings of these names must be equal.
        finals: (owner, attribute, value): set afterwards.
        output: an array to be copied into a new Tensor, or a function that makes what is returned.
        leave: called with the number of the recorded call that raised.
    """

    bound: Bound
    constants: Sequence[tuple[int, Any]]
    inputs: Sequence[tuple[int, Array]]
    pairs: Sequence[tuple[int, int]]
    count: int
    backend: Backend
    guards: Sequence[State]
    equal: Sequence[State]
    settings: Sequence[Settings]
    finals: Sequence[State]
    output: Array | Callable[[], Any]
    leave: Callable[[int], None]

    def __call__(self, *arguments: Any) -> Any:
        """The output; NotImplemented where the program does not fit."""
        if not holds(self.guards, self.equal, self.settings):
            return NotImplemented
        values = self._values(arguments, 0)
        if values is None:
            return NotImplemented
        for array, buffer in values:
            buffer[...] = array
        self._run()
        if type(self.output) is not np.ndarray:
            return self.output()
        made = Tensor.__new__(Tensor)
        made.array, made.backend = self.output.copy(), self.backend
        return made

    def over(self, arguments: tuple[Any, ...], first: int, outputs: Array) -> Any:
        """Steps first, first + 1, ... on the parts of the arguments along their first axis: how many these were.

        The outputs go into an array (steps, ...). NotImplemented where the program does not fit.
        """
        if type(self.output) is not np.ndarray or not holds(self.guards, self.equal, self.settings):
            return NotImplemented
        values = self._values(arguments, 1)
        steps = len(outputs)
        if not values or outputs.shape[1:] != self.output.shape or any(len(array) != steps for array, _ in values):
            return NotImplemented
        for step in range(first, steps):
            for array, buffer in values:
                buffer[...] = array[step]
            try:
                self._run()
            finally:  # an interrupt may come when the step has been counted
                outputs[step] = self.output
        return max(steps - first, 0)

    def _values(self, arguments: tuple[Any, ...], more: int) -> list[tuple[Array, Array]] | None:
        """The tensors' arrays, each with its buffer, where all is as recorded below `more` further axes."""
        if len(arguments) != self.count:
            return None
        for place, value in self.constants:
            given = arguments[place]
            if given is not value and (type(given) is not type(value) or given != value):
                return None
        for one, other in self.pairs:
            if arguments[one] is arguments[other]:
                return None  # the same one twice is another recording
        values: list[tuple[Array, Array]] = []
        for place, buffer in self.inputs:
            given = arguments[place]
            if type(given) is not Tensor or given.requires_grad or given.backend is not self.backend:
                return None
            array = given.array
            shape = array.shape[more:] if more else array.shape
            if shape != buffer.shape or array.dtype != buffer.dtype or not array.flags.c_contiguous:
                return None
            values.append((array, buffer))
        return values

    def _run(self) -> None:
        try:
            self.bound.run()
        except StoppedError as stopped:
            self.leave(stopped.done)
            raise stopped.error from None
        for owner, attribute, value in self.finals:
            setattr(owner, attribute, value)
