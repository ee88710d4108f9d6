"""What does a model answer everywhere in the plane? The points, and its outputs there, layer by layer if need be."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from engine.autodiff import no_grad
from engine.data.dataset import Dataset
from engine.errors import ArgumentError, DataError, ShapeError
from engine.layers.layer import Layer
from engine.model_summary import evaluation
from engine.plot.style import Host, host
from engine.settings import shown
from engine.tensor import Tensor

Model = Layer | Callable[[Tensor], Any]
Samples = Dataset | tuple[Any, Any]

_ROWS_AT_ONCE = 65536  # points that a model is shown at a time


def plane_data(owner: str, dataset: Samples, tasks: Sequence[str]) -> Dataset:
    """The samples as a Dataset with two features.

    Raises:
        ShapeError: not two features. DataError: another task.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset(*dataset)
    if data.x.ndim != 2 or data.features != 2:
        raise ShapeError(f"{owner}: {data.name} has x of shape {data.x.shape}; it must be (samples, 2).")
    if data.task not in tasks:
        allowed = " and ".join([", ".join(tasks[:-1]), tasks[-1]])
        raise DataError(f"{owner}: {data.name} is a {data.task} task; allowed are {allowed}.")
    return data


def whole_between(owner: str, name: str, given: Any, least: int, most: int) -> int:
    """A whole number within limits.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or not least <= given <= most:
        raise ArgumentError(f"{owner}: {name} {shown(given)} was given; it is a number from {least} to {most}.")
    return int(given)


def around(points: Host, count: int, share: float = 0.08) -> list[Host]:
    """For each of two axes, so many places over the points' range and a margin."""
    lowest, highest = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    margin = share * np.where(highest > lowest, highest - lowest, 1.0)
    return [np.linspace(lowest[axis] - margin[axis], highest[axis] + margin[axis], count) for axis in (0, 1)]


def grid_of(sides: Sequence[Host]) -> Host:
    """All points of a grid, (points, 2), the first axis changing fastest."""
    return np.stack([one.ravel() for one in np.meshgrid(*sides)], axis=1)


def stages(model: Model, parts: Sequence[Callable[[Tensor], Any]], points: Host) -> list[Host]:
    """What comes after each part of a model, for every point; the model in evaluation mode, left as it was.

    A Layer gets its own dtype and device; any other function gets the points' dtype, on the CPU.
    """
    layer = model if isinstance(model, Layer) else None
    members = [] if layer is None else [member.dtype for _, member in layer.named_members()]
    kinds = [kind for kind in members if kind.kind == "f"]
    found: list[list[Host]] = [[] for _ in parts]
    with nullcontext() if layer is None else evaluation(layer), no_grad():
        for start in range(0, len(points), _ROWS_AT_ONCE):
            some: Any = Tensor(
                points[start : start + _ROWS_AT_ONCE],
                dtype=kinds[0] if kinds else None,
                device="cpu" if layer is None else layer.device,
            )
            for place, part in enumerate(parts):
                some = part(some)
                found[place].append(host(some))
    return [np.concatenate([np.atleast_1d(block) for block in blocks]) for blocks in found]


def scores(owner: str, model: Model, points: Host, threshold: float) -> Host:
    """A score for every point and class, the largest that of the answer."""
    if not callable(model):
        raise ArgumentError(f"{owner}: model {shown(model)} was given; it is a Layer or a function of a Tensor.")
    return as_scores(owner, stages(model, [model], points)[0], points, threshold)


def as_scores(owner: str, output: Host, points: Host, threshold: float) -> Host:
    """A model's outputs as a score for every class: with one output, class 0 has the threshold."""
    if output.size == len(points):
        return np.stack([np.full(len(points), threshold), output.reshape(-1)], axis=1)
    if output.ndim == 2 and len(output) == len(points):
        return output
    raise ShapeError(
        f"{owner}: the model turns {points.shape} into {output.shape}; it must give (batch, classes) or one output a "
        "sample."
    )


def borders(regions: Host) -> list[Host]:
    """For each class, its score beyond that of the best other class, (rows, columns): its border is where this is 0."""
    with np.errstate(invalid="ignore"):  # two infinite scores have no difference
        return [
            regions[:, :, number] - np.delete(regions, number, axis=2).max(axis=2) for number in range(regions.shape[2])
        ]
