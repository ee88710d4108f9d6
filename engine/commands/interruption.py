"""What does Ctrl-C do? The step under way is finished, so that its weights can be kept; a second one stops at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.callbacks import Callback
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer


class InterruptedBetweenStepsError(KeyboardInterrupt):
    """Interrupted where the weights are those of the last step, none of them half changed."""


class Interruption(Callback):
    """Ends a training between two steps when it was interrupted during one."""

    def __init__(self) -> None:
        self._asked = False

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """A block in which the first Ctrl-C waits for the end of the step."""
        usual = signal.getsignal(signal.SIGINT)
        if usual is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
            yield  # someone else decides
            return
        signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _ask(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def _stop_if_asked(self) -> None:
        if self._asked:
            raise InterruptedBetweenStepsError

    def epoch_begin(self, trainer: "Trainer", epoch: int) -> None:
        self._stop_if_asked()

    def batch_end(self, trainer: "Trainer", batch: int, loss: Tensor) -> None:
        self._stop_if_asked()

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        self._stop_if_asked()
