"""May what a trainer computes be recorded, and what does a recording of it take for granted?"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.metrics.accumulators import FunctionMetric
from engine.recording.capture import capture
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer

OFTEN = 1
"""How often a size of batches is evaluated as it stands before that is recorded, which takes as long as many of them.

A training's sizes are recorded at once: they come again."""

SIZES = 8
"""How many sizes are recorded; more, such as requests of any length, run as they stand."""

PLAIN = frozenset((bool, int, float, str, tuple, type(None)))


def may_be_recorded(trainer: "Trainer") -> bool:
    """As the trainer's ``record`` says; by default where all parts are the engine's own.

    What a user wrote may hold Python state (a counter, a branch on a number), which a recording would freeze.
    """
    if trainer.record is not None:
        return trainer.record
    if trainer.clip_norm is not None and len(trainer.optimizer.buffers()) > 1:
        return False  # their norms meet on the host
    parts = [*_parts(trainer), trainer.optimizer]
    return all(is_own(one.function if isinstance(one, FunctionMetric) else one) for one in parts)


def is_own(part: Any) -> bool:
    """Whether an object's class, or a function, is the engine's; a layer with a forward put over its own is not."""
    module = (part if hasattr(part, "__qualname__") else type(part)).__module__
    return module is not None and module.startswith("engine.") and "forward" not in getattr(part, "__dict__", ())


def settings_of(trainer: "Trainer") -> list[Any]:
    """The trainer's parts, and the plain values that are attributes of its own ones: a recording holds while they do.

    What changes as training goes (weights, modes, learning rates, step counts) is a recording's own matter.
    """
    parts = _parts(trainer)
    values = [
        [item for item in vars(one).items() if type(item[1]) in PLAIN and item[0][0] != "_" and item[0] != "training"]
        for one in parts
        if is_own(one)
    ]
    own: list[Any] = [
        trainer.loss_scale,
        trainer.clip_norm,
        trainer.clip_value,
        trainer.ema,
        trainer.optimizer,
        trainer.record,
        trainer.dtype,
    ]
    return [parts, values, own]


def _parts(trainer: "Trainer") -> list[Any]:
    layers = [layer for _, layer in trainer.model.named_layers()]
    penalty = [] if trainer.penalty is None else [trainer.penalty]
    return [*layers, trainer.loss, *penalty, *trainer._metrics.values()]


class Repeated:
    """A function of tensors that is recorded for a size of these after it has run so often as it stands.

    Attributes:
        recorded: the captured function.
    """

    def __init__(self, function: Callable[..., Any], runs_before: int) -> None:
        self.function, self.recorded, self.runs_before = function, capture(function), runs_before
        self._calls: dict[Any, int] = {}

    def run_over(self, outputs: Any, *inputs: Tensor) -> int:
        """Steps over the first axis of the inputs in one call, their outputs into an array; how many, 0 if none can."""
        return self.recorded.run_over(outputs, *inputs)

    def release(self) -> None:
        """Let go of the data."""
        self.recorded.release()

    def __call__(self, *inputs: Any) -> Any:
        # By shape alone: what else differs, a dtype for example, is another recording of the captured function.
        size = tuple([one.array.shape if type(one) is Tensor else None for one in inputs])
        calls = self._calls.get(size)
        if calls is None and len(self._calls) < SIZES:
            calls = self._calls[size] = 0
        if calls is not None and calls >= self.runs_before:
            return self.recorded(*inputs)
        if calls is not None:
            self._calls[size] = calls + 1
        return self.function(*inputs)
