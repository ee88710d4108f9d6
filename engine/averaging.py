"""What is the moving average of the weights? A smoother set that follows the trained one, for evaluation."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from backends.kernels.averaging import move_average
from backends.kernels.pair import Array
from engine.errors import ArgumentError
from engine.tensor import Parameter


class ExponentialMovingAverage:
    """average <- decay average + (1 - decay) w after every step; the first update takes w itself.

    Args:
        parameters: whose average is kept.
        decay: near 1: about 1 / (1 - decay) steps are averaged.

    Source: Polyak and Juditsky (1992); Tarvainen and Valpola (2017).

    >>> import engine as en
    >>> w = en.Parameter([1.0])
    >>> ema = en.ExponentialMovingAverage([w], decay=0.5)
    >>> ema.update()
    >>> with en.no_grad():
    ...     w += 2.0
    >>> ema.update()
    >>> with ema.applied():
    ...     w.tolist()
    [2.0]
    """

    def __init__(self, parameters: Iterable[Parameter], decay: float = 0.999) -> None:
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay < 1:
            raise ArgumentError(f"ExponentialMovingAverage: decay {decay!r} was given; it is 0 or above and below 1.")
        self.parameters = list(parameters)
        self.decay = float(decay)
        self._averages: list[Array] | None = None

    def update(self) -> None:
        """Count the weights as they are now."""
        if self._averages is None:
            self._averages = [parameter.array.copy() for parameter in self.parameters]
            return
        for position, parameter in enumerate(self.parameters):
            average = self._beside(position, parameter)
            backend = parameter.backend
            work = backend.empty(parameter.shape, parameter.dtype)
            backend.kernel(move_average)(backend.xp, parameter.array, average=average, work=work, decay=self.decay)

    def _beside(self, position: int, parameter: Parameter) -> Array:
        """The average, moved along where the parameter changed its device or dtype."""
        assert self._averages is not None
        average = self._averages[position]
        if not parameter.backend.owns(average) or average.dtype != parameter.dtype:
            host = average.get() if hasattr(average, "get") else average
            average = self._averages[position] = parameter.backend.asarray(host, parameter.dtype)
        return average

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A block in which the parameters have their averages as values; afterwards they have their own again."""
        if self._averages is None:
            yield
            return
        own = [parameter.array.copy() for parameter in self.parameters]
        try:
            for position, parameter in enumerate(self.parameters):
                parameter.backend.xp.copyto(parameter.array, self._beside(position, parameter))
                parameter.touched()
            yield
        finally:
            for parameter, values in zip(self.parameters, own, strict=True):
                parameter.backend.xp.copyto(parameter.array, values)
                parameter.touched()

    def state(self) -> dict[str, Any]:
        """Copies of the averages on the host, by position; empty before the first update."""
        pairs = zip(self.parameters, self._averages or [], strict=False)
        return {str(number): np.array(one.backend.to_host(array)) for number, (one, array) in enumerate(pairs)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        pairs = enumerate(self.parameters)
        # Not the state's own arrays: averages change in place.
        copies = [one.backend.asarray(np.array(state[str(number)], one.dtype)) for number, one in pairs if state]
        self._averages = copies or None
