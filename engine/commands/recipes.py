"""With which settings does a data set train well when none are given? Hidden layers, epochs, batches and rates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Defaults of `train` for one data set.

    Attributes:
        hidden: widths of the hidden layers.
        epochs: passes over the data.
        batch_size: samples a step.
        learning_rate: of Adam and its kin.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float


_POINTS = Recipe((32, 32), 100, 32, 3e-3)

RECIPES: dict[str, Recipe] = {
    "digits": Recipe((128,), 40, 64, 1e-3),
    "iris": Recipe((16,), 100, 16, 5e-3),
    "wine": Recipe((32,), 50, 16, 2e-3),
    "breast-cancer": Recipe((32,), 40, 32, 1e-3),
    "diabetes": Recipe((32,), 40, 32, 1e-3),
    "xor": _POINTS,
    "circle": _POINTS,
    "spirals": Recipe((64, 64), 200, 32, 3e-3),
    "moons": _POINTS,
    "triangle": _POINTS,
    "blobs": _POINTS,
    "sines": _POINTS,
}
OTHER = Recipe((128,), 20, 64, 1e-3)

_ADAM_AND_KIN = ("adam", "adamw", "nadam", "rmsprop")
_RATES = {"sgd": 0.1}


def recipe(data: str) -> Recipe:
    """The defaults of a data set."""
    return RECIPES.get(data, OTHER)


def learning_rate(data: str, optimizer: str) -> float | None:
    """The rate to start from; None where the optimizer's own default serves."""
    return recipe(data).learning_rate if optimizer in _ADAM_AND_KIN else _RATES.get(optimizer)
