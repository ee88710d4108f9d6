"""A training engine for neural networks: the same kernels on NumPy or CuPy, chosen by one device flag."""

from backends import devices
from engine import data, initializers, losses, metrics, optimizers, schedules
from engine.autodiff import no_grad
from engine.averaging import ExponentialMovingAverage
from engine.callbacks import Callback, EarlyStopping, StepBelow
from engine.checks import Graph, gradcheck, graph, jacobian, numerical_gradient
from engine.errors import (
    ArgumentError,
    DataError,
    DeviceError,
    DtypeError,
    EngineError,
    GradientError,
    NotFiniteError,
    ShapeError,
    UnknownNameError,
)
from engine.functions import *  # noqa: F403  # each file's own list says what is public
from engine.functions import __all__ as _functions
from engine.history import History
from engine.layers import *  # noqa: F403
from engine.layers import __all__ as _layers
from engine.losses import *  # noqa: F403
from engine.losses import __all__ as _losses
from engine.operations.core import Operation
from engine.optimizers import *  # noqa: F403
from engine.optimizers import __all__ as _optimizers
from engine.penalties import *  # noqa: F403
from engine.penalties import __all__ as _penalties
from engine.random import default_generator, seed
from engine.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
    Warmup,
)
from engine.summary import Summary, summary
from engine.tensor import Parameter, Tensor, tensor
from engine.trainer import Trainer
from engine.value import apply

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Callback",
    "Constant",
    "Cosine",
    "DataError",
    "DeviceError",
    "DtypeError",
    "EarlyStopping",
    "EngineError",
    "Exponential",
    "ExponentialMovingAverage",
    "GradientError",
    "Graph",
    "History",
    "NotFiniteError",
    "OneCycle",
    "Operation",
    "Parameter",
    "ReduceOnPlateau",
    "Schedule",
    "ShapeError",
    "Step",
    "StepBelow",
    "Summary",
    "Tensor",
    "Trainer",
    "UnknownNameError",
    "Warmup",
    "apply",
    "data",
    "default_generator",
    "devices",
    "gradcheck",
    "graph",
    "initializers",
    "jacobian",
    "losses",
    "metrics",
    "no_grad",
    "numerical_gradient",
    "optimizers",
    "schedules",
    "seed",
    "summary",
    "tensor",
]
__all__ += [*_functions, *_layers, *_losses, *_optimizers, *_penalties]
