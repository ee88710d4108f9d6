"""What do Ctrl-C and SIGTERM do? The step under way is finished, so that all is kept; a second one stops at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

# Ctrl-C, and what a machine sends that is about to be taken away; with what they usually do.
_SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class InterruptedBetweenStepsError(KeyboardInterrupt):
    """Interrupted where the weights are those of the last step, none of them half changed."""


class Interruption:
    """Whether a training that is under way was interrupted.

    Attributes:
        asked: whether Ctrl-C came; who sees it between two steps ends the training.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """A block in which the first signal waits for the end of the step."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are not this thread's
            return
        # Where someone else decides what a signal does, it stays so.
        usual = {one: before for one, before in _SIGNALS.items() if signal.getsignal(one) == before}
        for one in usual:
            signal.signal(one, self._ask)
        try:
            yield
        finally:
            for one, before in usual.items():
                signal.signal(one, before)

    def _ask(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
