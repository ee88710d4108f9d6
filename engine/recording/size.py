"""How much memory does a recorded training step take? It is recorded on a few samples, twice, and scaled up."""

import copy
import warnings

import numpy as np

from engine.errors import EngineError
from engine.layers.layer import Layer
from engine.recording.capture import capture
from engine.tensor import Tensor

LARGEST = 1 << 26  # elements of parameters: the model is copied, twice with gradients
FEW, MORE = 8, 24  # samples: multiples of a line of the cache, so that what grows does so evenly


def step_bytes(model: Layer, shape: tuple[int, ...], dtype: np.dtype[np.generic], batch_size: int) -> int | None:
    """The bytes that a recorded forward and backward pass works in: batch, activations and gradients, memory reused.

    Without parameters, their gradients and the optimizer's state, and without the loss's own arrays. None for a model
    that cannot be recorded, that returns something else than one tensor, or that is too large to be copied for this.
    """
    if sum(one.size for one in model.parameters()) > LARGEST:
        return None
    few, more = (_recorded(model, (samples, *shape), dtype) for samples in (FEW, MORE))
    if few is None or more is None:
        return None
    return few + (more - few) * (batch_size - FEW) // (MORE - FEW)


def _recorded(model: Layer, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int | None:
    twin = copy.deepcopy(model).train()  # its gradients and counters are changed
    x = Tensor(np.zeros(shape, dtype), device=model.device)

    @capture
    def step(x: Tensor) -> None:
        twin(x).sum().backward()

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(4):  # the first calls set gradients up
                for parameter in twin.parameters():
                    parameter.grad = None
                step(x)
    except (EngineError, AttributeError, TypeError, ValueError):
        return None
    return max((program.nbytes for program in step.programs), default=None)
