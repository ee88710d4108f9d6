"""How do small gradients survive float16? The loss is multiplied before backward, the gradients divided after it."""

from typing import TYPE_CHECKING

import numpy as np

from backends.backend import Backend
from backends.kernels.arithmetic import Divide, Multiply
from backends.kernels.pair import Array
from backends.kernels.scaling import count_finite_step
from backends.kernels.shape import Copy
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.optimizers import Optimizer

START, SMALLEST, LARGEST = 2.0**16, 1.0, 2.0**24
PATIENCE = 2000
"""So many finite steps in a row, and the factor doubles."""


class LossScale:
    """A factor, always a power of two, so that multiplying and dividing by it changes no digit.

    It halves when a step's gradients are not finite; that step is skipped.

    Attributes:
        factor, steps: arrays (): the factor, and how many finite steps it has been in use.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.factor = backend.asarray(np.array(START, np.float32))
        self.steps, self._work = (backend.zeros((), np.float32) for _ in range(2))

    def incoming(self, loss: Tensor, share: Tensor | None) -> Tensor:
        """What backward begins with: the factor, times the share () of this loss where there is one."""
        backend = self.backend
        gradient = backend.empty((), loss.dtype)
        backend.kernel(Copy.forward)(backend.xp, self.factor, y=gradient)
        if share is not None:
            part = backend.empty((), loss.dtype)
            backend.kernel(Copy.forward)(backend.xp, share.array, y=part)
            backend.kernel(Multiply.forward)(backend.xp, part, gradient, y=gradient)
        return Tensor.wrap(gradient, backend)

    def divide(self, optimizer: "Optimizer") -> None:
        """Make the gradients those of the loss itself."""
        for buffer in optimizer.buffers():
            gradients = buffer.gradients
            buffer.backend.kernel(Divide.forward)(buffer.backend.xp, gradients, self.factor, y=gradients)

    def stepped(self) -> None:
        """A step was finite."""
        self.backend.kernel(count_finite_step)(
            self.backend.xp, self.factor, steps=self.steps, work=self._work, patience=PATIENCE, largest=LARGEST
        )

    def halve(self) -> bool:
        """A step was not finite; False where the factor is as small as it gets."""
        factor = float(self.backend.to_host(self.factor))
        if factor <= SMALLEST:
            return False
        self.factor.fill(factor / 2)
        self.steps.fill(0)
        return True

    def arrays(self) -> dict[str, Array]:
        """What a step changes, by name."""
        return {"factor": self.factor, "steps": self.steps}

    def state(self) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]:
        """Copies of these, on the host."""
        return {name: np.array(self.backend.to_host(one)) for name, one in self.arrays().items()}

    def load_state(self, state: dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]) -> None:
        """Take over what `state` gave."""
        for name, one in self.arrays().items():
            one.fill(state[name].item())
