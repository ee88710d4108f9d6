"""What if there is no room for a step? The device's error in one line, with a batch size that would fit."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.data import Batches
from engine.errors import OutOfMemoryError

if TYPE_CHECKING:
    from engine.trainer import Trainer

SHARE = 0.9  # of the room that a step may take: memory is given out in pieces
MANY = 1024  # samples, over which fixed costs do not count


@contextlib.contextmanager
def enough(trainer: "Trainer", batches: Batches) -> Iterator[None]:
    """A block that works on these batches.

    Raises:
        OutOfMemoryError: the device had no room: what was asked, held and free, and a batch size to try.
    """
    try:
        yield
        return
    except Exception as error:
        facts = trainer.backend.shortage(error)
        if facts is None:
            raise
    # Here the error is gone, and the arrays with it that its traceback kept.
    raise OutOfMemoryError(facts, _advice(trainer, batches)) from None


def _advice(trainer: "Trainer", batches: Batches) -> str:
    size, given = batches.batch_size, f"batch size {batches.batch_size}"
    fitting = _fitting(trainer, batches)
    if fitting is None or fitting >= size:
        smaller = max(size // 2, 1)
        return f"Use a smaller batch size than {size}, such as {smaller}." if smaller < size else "Use a smaller model."
    if fitting < 1:
        return "Use a smaller model: not even one sample fits beside it."
    return f"Instead of {given}, use {fitting}, for which there should be room."


def _fitting(trainer: "Trainer", batches: Batches) -> int | None:
    """The largest power of 2 of samples for which there should be room; None where nobody knows."""
    from engine.model_summary import summary  # needed here alone, at the end of a training

    backend = trainer.backend
    known = backend.memory()
    if not {"held", "used", "free"} <= known.keys():
        return None
    shape = batches.arrays[0].shape[1:]
    try:
        backend.give_back()
        told = summary(trainer.model, shape or (1,), batch_size=MANY, dtype=trainer.dtype)
    except Exception:  # for a model whose inputs are of another kind, or where there is no room even for this
        return None
    each = max(told.step_bytes or 0, told.peak_activation_bytes) / MANY + batches.bytes_beside()
    room = SHARE * (known["free"] + known["held"] - known["used"])
    return 0 if room < each else 1 << (int(room / each).bit_length() - 1)
