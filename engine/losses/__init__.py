"""How wrong is a prediction? The losses: each checks its target's form, and gives one number with its gradient."""

from engine.losses.classification import *  # noqa: F403  # each file's own list: a new loss is named there only
from engine.losses.classification import __all__ as _classification
from engine.losses.loss import Loss
from engine.losses.regression import *  # noqa: F403
from engine.losses.regression import __all__ as _regression

__all__ = ["Loss"]
__all__ += [*_classification, *_regression]
