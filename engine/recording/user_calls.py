"""How does a replay run a user's own Operation? It calls it again, forward and backward, and copies what it gives."""

from typing import Any

from backends.backend import Backend
from backends.kernels.pair import Array
from engine.errors import GradientError
from engine.recording.memory import is_array


class UserCall:
    """One call of a user's Operation, made again by every replay."""

    def __init__(self, operation: Any, backend: Backend, arrays: list[Any], compute: Any) -> None:
        self.operation, self.backend, self.arrays, self.compute = operation, backend, arrays, compute
        self.saved: Any = None
        self.output: Array = None

    def forward(self) -> None:
        """The forward pass of a replay."""
        output, self.saved = self.compute(self.operation, self.backend, self.arrays)
        if output.shape != self.output.shape or output.dtype != self.output.dtype:
            raise GradientError(
                f"{type(self.operation).__name__}.forward gave {output.shape} {output.dtype}, the recorded call "
                f"{self.output.shape} {self.output.dtype}; in a captured function shapes follow from the inputs'."
            )
        self.backend.xp.copyto(self.output, output)

    def described(self) -> Any:
        """What two recordings of it have in common."""
        kept = getattr(self.operation, "__dict__", {})
        return (
            type(self.operation).__qualname__,
            self.arrays,
            self.output,
            {name: _plain(kept[name]) for name in kept},
        )


class UserBackward:
    """The backward pass of a user's call, or of a node from before the recording."""

    def __init__(self, node: Any, call: UserCall | None, incoming: Array, compute: Any) -> None:
        self.operation, self.backend, self.needed = node.operation, node.backend, node.needed
        self.inputs = tuple(_Form(one) for one in node.inputs)
        self.call, self.incoming, self.compute = call, incoming, compute
        self.saved = node.saved if call is None else None
        self.made: list[Any] = []

    def compute_now(self) -> Any:
        """The gradients, checked."""
        saved = self.saved if self.call is None else self.call.saved
        return self.compute(self, self.operation.backward(saved, self.incoming, self.needed))

    def copy(self, gradients: Any) -> None:
        """Put them where the recorded calls after this one read them."""
        for made, gradient in zip(self.made, gradients, strict=True):
            if made is not None:
                self.backend.xp.copyto(made, gradient)

    def backward(self) -> None:
        """The backward pass of a replay."""
        self.copy(self.compute_now())

    def described(self) -> Any:
        """What two recordings of it have in common."""
        return (type(self.operation).__qualname__, self.incoming, self.made, self.needed)


class _Form:
    """Shape and dtype of a node's input, all that checking a gradient wants."""

    def __init__(self, source: Any) -> None:
        self.shape, self.dtype = getattr(source, "shape", None), getattr(source, "dtype", None)


def _plain(value: Any) -> Any:
    plain = is_array(value) or isinstance(value, (bool, int, float, str, tuple, list, dict, type(None)))
    return value if plain else id(value)
