"""Which layers are there? Each family has a file, whose own list names its layers; models are built from these."""

from typing import TYPE_CHECKING

from engine.layers import activation, container, layer, linear, normalization, regularization
from engine.layers.activation import *  # noqa: F403
from engine.layers.container import *  # noqa: F403
from engine.layers.layer import *  # noqa: F403
from engine.layers.linear import *  # noqa: F403
from engine.layers.normalization import *  # noqa: F403
from engine.layers.regularization import *  # noqa: F403

# Type checkers read no computed list; they take the names of the star imports, which each file's own list gives.
if not TYPE_CHECKING:
    _families = (activation, container, layer, linear, normalization, regularization)
    __all__ = [name for family in _families for name in family.__all__]
