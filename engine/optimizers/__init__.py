"""How do weights follow their gradients? The optimizers by name; a step is one kernel over flat buffers."""

import inspect
from collections.abc import Iterable
from typing import Any

from engine.errors import ArgumentError, unknown_name
from engine.optimizers.lbfgs import LBFGS
from engine.optimizers.optimizer import Optimizer
from engine.optimizers.recurrences import *  # noqa: F403  # the file's own list: a new optimizer is named there only
from engine.optimizers.recurrences import __all__ as _recurrences

__all__ = ["LBFGS", "Optimizer"]
__all__ += [*_recurrences]


def names() -> tuple[str, ...]:
    """The names that `by_name` knows."""
    return tuple(sorted(Optimizer.named))


def by_name(name: str, parameters: Iterable[Any], **settings: Any) -> Optimizer:
    """An optimizer from its name and settings.

    >>> import engine as en
    >>> by_name("sgd", [en.Parameter([1.0])], learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """
    key = str(name).lower()
    if key not in Optimizer.named:
        raise unknown_name("optimizer", name, Optimizer.named)
    kind = Optimizer.named[key]
    allowed = [one for one in inspect.signature(kind.__init__).parameters if one not in ("self", "parameters")]
    for setting in settings:
        if setting not in allowed:
            raise ArgumentError(f"optimizer {key}: it has no {setting}; allowed are {', '.join(allowed)}.")
    return kind(parameters, **settings)
