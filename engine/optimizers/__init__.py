"""How do weights follow their gradients? The optimizers by name; a step is one kernel over flat buffers."""

from typing import TYPE_CHECKING

from engine.optimizers import lbfgs, optimizer, recurrences
from engine.optimizers.lbfgs import *  # noqa: F403
from engine.optimizers.optimizer import *  # noqa: F403
from engine.optimizers.recurrences import *  # noqa: F403

# Type checkers read no computed list; they take the names of the star imports, which each file's own list gives.
if not TYPE_CHECKING:
    __all__ = [name for family in (lbfgs, optimizer, recurrences) for name in family.__all__]
