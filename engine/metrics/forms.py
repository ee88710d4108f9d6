"""What do outputs and targets say? Their arrays, the classes they stand for, and whether they fit each other."""

import sys
from typing import Any

import numpy as np

from backends.kernels.pair import Array, Namespace
from engine.convert import host_array
from engine.errors import DataError, DeviceError, DtypeError, ShapeError
from engine.value import Value

Host = np.ndarray[Any, Any]


def arrays(name: str, output: Any, target: Any) -> tuple[Namespace, Array, Array]:
    """The raw arrays and the namespace of both; they have equally many samples."""
    output, target = (_array(one) for one in (output, target))
    xp, other = (_namespace(one) for one in (output, target))
    if xp is not other:
        raise DeviceError(
            f"{name}: outputs are {xp.__name__} arrays, targets {other.__name__} arrays; move one to the other."
        )
    if not output.ndim or not target.ndim or not output.size or len(output) != len(target):
        raise ShapeError(
            f"{name}: outputs have shape {output.shape}, targets {target.shape}; "
            "both need the same number of samples, at least 1."
        )
    return xp, output, target


def _array(given: Any) -> Array:
    if isinstance(given, Value):
        return given.array
    return given if hasattr(given, "__cuda_array_interface__") else host_array(given)


def _namespace(array: Array) -> Namespace:
    return np if isinstance(array, np.ndarray) else sys.modules[type(array).__module__.partition(".")[0]]


def to_host(value: Any) -> Host:
    """A number or an array of any device, as a NumPy array."""
    return np.asarray(value.get() if hasattr(value, "get") else value)  # CuPy's way out


def decide(
    name: str, xp: Namespace, output: Array, target: Array, threshold: float, multilabel: bool
) -> tuple[Array, Array, int]:
    """Predicted and actual classes (batch,), or yes / no (batch, classes) with several labels; how many classes."""
    samples = len(output)
    if output.size == samples and target.size == samples and output.ndim <= 2 and target.ndim <= 2:
        _check_binary(name, target)
        return output.reshape(samples) > threshold, target.reshape(samples) > 0.5, 2
    if output.ndim == 2 and target.ndim == 1:
        check_labels(name, target, output.shape[1])
        return output.argmax(axis=1), target, output.shape[1]
    if output.ndim == 2 and output.shape == target.shape:
        if not multilabel:
            return output.argmax(axis=1), target.argmax(axis=1), output.shape[1]
        _check_binary(name, target)
        return output > threshold, target > 0.5, output.shape[1]
    raise ShapeError(
        f"{name}: outputs have shape {output.shape}, targets {target.shape}; allowed are outputs (batch, classes) "
        "with targets (batch,) or (batch, classes), and one output a sample with one target."
    )


def check_labels(name: str, target: Array, classes: int) -> None:
    """Refuse labels that are not integers, or, on the host, no class numbers."""
    if target.dtype.kind not in "iu":
        raise DtypeError(
            f"{name}: labels have dtype {target.dtype}; allowed are integers, with outputs (batch, {classes})."
        )
    # Values are looked at on the host only: on a device that would wait for everything asked of it.
    if type(target) is np.ndarray and (target.min() < 0 or target.max() >= classes):
        row = int(np.nonzero((target < 0) | (target >= classes))[0][0])
        raise DataError(
            f"{name}: label {target[row]} at row {row}; the outputs have {classes} classes, counted from 0."
        )


def _check_binary(name: str, target: Array) -> None:
    if type(target) is np.ndarray and target.dtype != bool and not (target.min() >= -1 and target.max() <= 1):
        raise DataError(
            f"{name}: targets go from {target.min()} to {target.max()}; allowed with one output for each are "
            "0 and 1, or -1 and 1."
        )


def difference(name: str, xp: Namespace, output: Array, target: Array) -> Array:
    """output - target in float64; both have one shape, because broadcasting would hide a mistake."""
    if output.shape != target.shape:
        fix = f" Use target.reshape{output.shape}." if output.size == target.size else ""
        raise ShapeError(f"{name}: outputs have shape {output.shape}, targets {target.shape}; both need the same.{fix}")
    return xp.subtract(output, target, dtype=xp.float64)
