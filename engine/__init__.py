"""A training engine for neural networks: the same kernels on NumPy or CuPy, chosen by one device flag.

The graph is loaded with the package; layers, losses, training and the rest when they are first named, so that
``import engine`` takes little longer than NumPy. (``import x as x`` says that a name is public, to type checkers too.)
"""

import importlib
from typing import TYPE_CHECKING, Any

from backends.devices import devices as devices
from engine.autodiff import no_grad as no_grad
from engine.errors import (
    ArgumentError as ArgumentError,
    DataError as DataError,
    DeviceError as DeviceError,
    DtypeError as DtypeError,
    EngineError as EngineError,
    FileError as FileError,
    GradientError as GradientError,
    NotFiniteError as NotFiniteError,
    OutOfMemoryError as OutOfMemoryError,
    ShapeError as ShapeError,
    UnknownNameError as UnknownNameError,
)
from engine.functions import *  # noqa: F403  # each file's own list says what is public
from engine.functions import __all__ as _functions
from engine.operations.core import Operation as Operation
from engine.random import default_generator as default_generator, seed as seed
from engine.tensor import Parameter as Parameter, Tensor as Tensor, tensor as tensor
from engine.value import apply as apply

__version__ = "0.1.0"

if TYPE_CHECKING:
    from engine import (
        data as data,
        initializers as initializers,
        layers as layers,
        lessons as lessons,
        losses as losses,
        metrics as metrics,
        optimizers as optimizers,
        plot as plot,
        schedules as schedules,
    )
    from engine.averaging import ExponentialMovingAverage as ExponentialMovingAverage
    from engine.callbacks import Callback as Callback, EarlyStopping as EarlyStopping, StepBelow as StepBelow
    from engine.checks.gradient import gradcheck as gradcheck
    from engine.checks.graph import Graph as Graph, graph as graph
    from engine.checks.jacobian import jacobian as jacobian, numerical_gradient as numerical_gradient
    from engine.history import History as History
    from engine.layers import *  # noqa: F403  # as above
    from engine.losses import *  # noqa: F403  # as above
    from engine.model_summary import Summary as Summary, summary as summary
    from engine.optimizers import *  # noqa: F403  # as above
    from engine.penalties import *  # noqa: F403  # as above
    from engine.profiling import Profile as Profile, profile as profile
    from engine.recording.capture import capture as capture
    from engine.schedules import (
        Constant as Constant,
        Cosine as Cosine,
        Exponential as Exponential,
        OneCycle as OneCycle,
        ReduceOnPlateau as ReduceOnPlateau,
        Schedule as Schedule,
        Step as Step,
        Warmup as Warmup,
    )
    from engine.trainer import Trainer as Trainer

# Where the names live that are loaded when they are first asked for.
_HOMES = {
    "engine.averaging": ("ExponentialMovingAverage",),
    "engine.callbacks": ("Callback", "EarlyStopping", "StepBelow"),
    "engine.checks": ("Graph", "gradcheck", "graph", "jacobian", "numerical_gradient"),
    "engine.history": ("History",),
    "engine.model_summary": ("Summary", "summary"),
    "engine.profiling": ("Profile", "profile"),
    "engine.recording.capture": ("capture",),
    "engine.schedules": (
        "Constant",
        "Cosine",
        "Exponential",
        "OneCycle",
        "ReduceOnPlateau",
        "Schedule",
        "Step",
        "Warmup",
    ),
    "engine.trainer": ("Trainer",),
}
_MODULES = ("data", "initializers", "layers", "lessons", "losses", "metrics", "optimizers", "plot", "schedules")
# Each of these has its own list of public names: a new layer, loss or optimizer is named there only.
_LISTS = ("engine.layers", "engine.losses", "engine.optimizers", "engine.penalties")

_EAGER = [
    "ArgumentError",
    "DataError",
    "DeviceError",
    "DtypeError",
    "EngineError",
    "FileError",
    "GradientError",
    "NotFiniteError",
    "OutOfMemoryError",
    "Operation",
    "Parameter",
    "ShapeError",
    "Tensor",
    "UnknownNameError",
    "apply",
    "default_generator",
    "devices",
    "no_grad",
    "seed",
    "tensor",
    *_functions,
]


def _everything() -> list[str]:
    """All public names."""
    listed = [name for home in _LISTS for name in importlib.import_module(home).__all__]
    return sorted({*_EAGER, *_MODULES, *(name for names in _HOMES.values() for name in names), *listed})


if not TYPE_CHECKING:  # type checkers know the names from above

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            return _everything()
        if name in _MODULES:
            return importlib.import_module(f"engine.{name}")
        homes = [home for home, names in _HOMES.items() if name in names] or ([] if name.startswith("_") else _LISTS)
        for home in homes:
            module = importlib.import_module(home)
            if home not in _LISTS or name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
        raise AttributeError(f"module 'engine' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*_everything(), "__version__"]
