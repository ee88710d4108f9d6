"""Which layers are there? Each family has a file; models are built from these."""

from engine.layers.activation import *  # noqa: F403  # the file's own list: a new activation is named there only
from engine.layers.activation import __all__ as _activations
from engine.layers.container import Flatten, Residual, Sequential
from engine.layers.layer import Buffer, Layer
from engine.layers.linear import Linear, Maxout
from engine.layers.normalization import BatchNorm, LayerNorm
from engine.layers.regularization import Dropout, RandomLayer, StochasticDepth

__all__ = [
    "BatchNorm",
    "Buffer",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "Linear",
    "Maxout",
    "RandomLayer",
    "Residual",
    "Sequential",
    "StochasticDepth",
]
__all__ += [*_activations]
