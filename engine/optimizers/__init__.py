"""How do weights follow their gradients? The optimizers by name; a step is one kernel over flat buffers."""

from engine.optimizers.lbfgs import LBFGS
from engine.optimizers.optimizer import Optimizer
from engine.optimizers.recurrences import *  # noqa: F403  # the file's own list: a new optimizer is named there only
from engine.optimizers.recurrences import __all__ as _recurrences

__all__ = ["LBFGS", "Optimizer"]
__all__ += [*_recurrences]
