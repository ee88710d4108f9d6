"""How wrong is a prediction? The losses: each checks its target's form, and gives one number with its gradient."""

from typing import TYPE_CHECKING

from engine.losses import classification, loss, regression
from engine.losses.classification import *  # noqa: F403
from engine.losses.loss import *  # noqa: F403
from engine.losses.regression import *  # noqa: F403

# Type checkers read no computed list; they take the names of the star imports, which each file's own list gives.
if not TYPE_CHECKING:
    __all__ = [name for family in (classification, loss, regression) for name in family.__all__]
