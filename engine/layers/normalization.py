"""Which layers normalise? BatchNorm by the batch's statistics, LayerNorm by each sample's own."""

from typing import Any

import numpy as np

from backends.backend import Backend
from engine.errors import DtypeError, ShapeError
from engine.layers.layer import Buffer, Layer, as_input
from engine.layers.linear import positive_whole
from engine.operations.normalization import (
    BatchNorm as Training,
    BatchNormEvaluation as Evaluation,
    LayerNorm as LayerNormOperation,
)
from engine.settings import flag, model_dtype, number
from engine.tensor import Parameter, Tensor
from engine.value import apply

__all__ = ["BatchNorm", "LayerNorm"]


class BatchNorm(Layer):
    """y = weight (x - mean) / sqrt(variance + eps) + bias, mean and variance of each feature over the batch.

    Args:
        features: the width.
        eps: added to the variance.
        momentum: how far the running estimates move toward each batch's; they stand in for the batch's in eval mode.
        affine: whether there are weight (the gain) and bias.

    Shapes: x and y (batch, features) or (..., features); weight, bias, running_mean, running_var (features,).
    The batch's biased variance normalises; the running estimate takes the unbiased one. A training batch of one has
    no variance and is refused. Source: lecture 003, "Batch normalization"; Ioffe and Szegedy (2015).

    >>> import engine as en
    >>> en.BatchNorm(2)(en.tensor([[1.0, 2.0], [3.0, 2.0]])).numpy().round(2).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        dtype: Any = "float32",
        device: str | Backend = "cpu",
    ) -> None:
        super().__init__()
        self.features = positive_whole("BatchNorm", "features", features)
        self.eps = _above_zero("BatchNorm", "eps", eps)
        self.momentum = number("BatchNorm", "momentum", momentum, "between 0 and 1", lambda value: 0 <= value <= 1)
        self.affine = flag("BatchNorm", "affine", affine)
        kind = model_dtype("BatchNorm", dtype)
        self.weight = Parameter(np.ones(features, kind), device=device, regularized=False) if self.affine else None
        self.bias = Parameter(np.zeros(features, kind), device=device, regularized=False) if self.affine else None
        self.running_mean = Buffer(np.zeros(features, kind), device=device)
        self.running_var = Buffer(np.ones(features, kind), device=device)

    def forward(self, x: Any) -> Tensor:
        x = as_input(x, self.running_mean)
        rows = _rows("BatchNorm", x, self.features)
        if not self.training:
            operation: Any = Evaluation(self.running_mean.array, self.running_var.array, self.eps)
        else:
            if rows.shape[0] < 2:
                raise ShapeError(
                    f"BatchNorm: a training batch of {rows.shape[0]} sample has no variance; use a larger batch, or "
                    f"drop_last=True where the last batch is the short one."
                )
            running = (self.running_mean.array, self.running_var.array)
            operation = Training(running, self.momentum, self.eps)
            self.running_mean.touched()
            self.running_var.touched()
        y = apply(operation, rows, self.weight, self.bias)
        return y if x.ndim == 2 else y.reshape(*x.shape)


class LayerNorm(Layer):
    """y = weight (x - mean) / sqrt(variance + eps) + bias, mean and variance over the features of each sample.

    Args:
        features: the width.
        eps: added to the variance.
        affine: whether there are weight (the gain) and bias.

    Shapes: x and y (batch, features) or (..., features). Source: Ba, Kiros and Hinton (2016).

    >>> import engine as en
    >>> en.LayerNorm(2)(en.tensor([[1.0, 3.0]])).numpy().round(2).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = "float32",
        device: str | Backend = "cpu",
    ) -> None:
        super().__init__()
        self.features = positive_whole("LayerNorm", "features", features)
        self.eps = _above_zero("LayerNorm", "eps", eps)
        self.affine = flag("LayerNorm", "affine", affine)
        kind = model_dtype("LayerNorm", dtype)
        self.weight = Parameter(np.ones(features, kind), device=device, regularized=False) if self.affine else None
        self.bias = Parameter(np.zeros(features, kind), device=device, regularized=False) if self.affine else None

    def forward(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else (Tensor(x) if self.weight is None else as_input(x, self.weight))
        y = apply(LayerNormOperation(self.eps), _rows("LayerNorm", x, self.features), self.weight, self.bias)
        return y if x.ndim == 2 else y.reshape(*x.shape)


def _rows(owner: str, x: Tensor, features: int) -> Tensor:
    if x.ndim == 0 or x.shape[-1] != features or x.size == 0:
        raise ShapeError(
            f"{owner}: the input has shape {x.shape}; it needs one sample at least, and {features} features last."
        )
    if x.dtype.kind != "f":
        raise DtypeError(f'{owner}: the input is of {x.dtype}; convert it with .to(dtype="float32").')
    return x if x.ndim == 2 else x.reshape(-1, features)


def _above_zero(owner: str, name: str, value: float) -> float:
    return number(owner, name, value, "above 0", lambda given: given > 0)
