"""Where do parameters live while they are trained? In one aligned buffer, gradients and states in others like it."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels.pair import Array
from backends.kernels.shape import Fill
from engine.tensor import Parameter

ALIGNMENT = 64  # bytes: each parameter starts a cache line, and a vector load


class FlatBuffer:
    """Parameters of one dtype on one device, laid out one after the other.

    The Parameter objects keep their identity: their arrays become views of ``weights``, and ``backward`` writes their
    gradients into views of ``gradients``. A step is then one kernel over the whole, and a norm one sum.

    Attributes:
        weights, gradients: (size,); the gaps between parameters stay 0.
        states: by the optimizer's name for it, (size,) each.
        starts: where each parameter begins.
    """

    def __init__(self, parameters: Sequence[Parameter], state_names: Sequence[str], work: int) -> None:
        self.parameters = list(parameters)
        first = self.parameters[0]
        self.backend: Backend = first.backend
        self.dtype = first.dtype
        gap = ALIGNMENT // self.dtype.itemsize
        self.starts = []
        size = 0
        for parameter in self.parameters:
            self.starts.append(size)
            size += -(-parameter.size // gap) * gap
        self.size = size
        self.weights = self.backend.zeros((size,), self.dtype)
        self.gradients = self.backend.zeros((size,), self.dtype)
        self.states = {name: self.backend.zeros((size,), self.dtype) for name in state_names}
        self.work = tuple(self.backend.empty((size,), self.dtype) for _ in range(work))
        self._views: list[tuple[Parameter, Array]] = []
        for position, parameter in enumerate(self.parameters):
            self._adopt(position, parameter)

    def _adopt(self, position: int, parameter: Parameter) -> None:
        weights, gradients = self.view(self.weights, position), self.view(self.gradients, position)
        self.backend.xp.copyto(weights, parameter.array)
        parameter.array = weights
        parameter.moved()
        parameter._gradient_buffer = gradients
        if parameter._gradient is not None:
            self.backend.xp.copyto(gradients, parameter._gradient)
            parameter._gradient = gradients
        self._views.append((parameter, weights))

    def view(self, flat: Array, position: int) -> Array:
        """The part of a flat array that belongs to one parameter, in its shape."""
        parameter = self.parameters[position]
        start = self.starts[position]
        return flat[start : start + parameter.size].reshape(parameter.shape)

    def end(self, position: int) -> int:
        """Where the parameter after this one begins."""
        return self.starts[position + 1] if position + 1 < len(self.starts) else self.size

    def valid(self) -> bool:
        """Whether every parameter still lives here (`to` and another optimizer move them away) and is trained."""
        for parameter, view in self._views:  # noqa: SIM110  # every step asks, and a loop is twice as quick as all()
            if parameter.array is not view or not parameter.requires_grad:
                return False
        return True

    def clear_missing(self) -> None:
        """Zero the gradients of parameters that have none, so that sums over the whole buffer do not count old ones."""
        for position, parameter in enumerate(self.parameters):
            if parameter._gradient is None:
                gap = self.view(self.gradients, position)
                self.backend.kernel(Fill.forward)(self.backend.xp, y=gap, value=0)


class Stretch:
    """Neighbours in a flat buffer that take a step together: what their update is handed.

    Attributes:
        arrays: weights, gradients, and the states in the optimizer's order (None for one that is not kept).
        work: the temporary arrays.
        first: the first of the parameters.
        scalars: the numbers of this step, by name, (1,) each.
    """

    def __init__(self, buffer: FlatBuffer, first: int, last: int, state_names: Sequence[str]) -> None:
        part = slice(buffer.starts[first], buffer.end(last - 1))
        self.backend, self.dtype = buffer.backend, buffer.dtype
        self.first = buffer.parameters[first]
        states = [buffer.states[name][part] if name in buffer.states else None for name in state_names]
        self.arrays = (buffer.weights[part], buffer.gradients[part], *states)
        self.work = tuple(flat[part] for flat in buffer.work)
        self.scalars: dict[str, Array] = {}
        self._values: dict[str, float] = {}

    def set(self, name: str, value: float) -> None:
        """Set a number of this step, in the array that it had in the steps before."""
        if self._values.get(name) == value:
            return
        if name not in self.scalars:
            self.scalars[name] = self.backend.zeros((1,), self.dtype)
        self.scalars[name].fill(value)
        self._values[name] = value


def lay_out(parameters: Sequence[Parameter], state_names: Sequence[str], work: int) -> list[FlatBuffer]:
    """One buffer for each dtype and device among the parameters."""
    kinds: dict[Any, list[Parameter]] = {}
    for parameter in parameters:
        kinds.setdefault((parameter.backend.device, parameter.dtype), []).append(parameter)
    return [FlatBuffer(members, state_names, work) for members in kinds.values()]


def runs(values: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Stretches of equal neighbours, as (first, one after the last, value).

    >>> list(runs([1, 1, 2]))
    [(0, 2, 1), (2, 3, 2)]
    """
    start = 0
    for value, equal in itertools.groupby(values):
        end = start + len(list(equal))
        yield start, end, value
        start = end
