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
# Of other sets, by how many training samples they have at most: small ones need many passes in small steps.
BY_SIZE: dict[int | None, Recipe] = {
    2_000: Recipe((32,), 100, 16, 2e-3),
    20_000: Recipe((128,), 40, 64, 1e-3),
    None: Recipe((256, 128), 10, 128, 1e-3),
}

_ADAM_AND_KIN = ("adam", "adamw", "nadam", "rmsprop")
_RATES = {"sgd": 0.1}


def recipe(data: str, samples: int) -> Recipe:
    """The defaults of a data set with so many training samples.

    >>> recipe("prices.csv", 150).epochs, recipe("moons", 10**6).epochs
    (100, 100)
    """
    sized = (one for most, one in BY_SIZE.items() if most is None or samples <= most)
    return RECIPES.get(data) or next(sized)


def learning_rate(recipe: Recipe, optimizer: str) -> float | None:
    """The rate to start from; None where the optimizer's own default serves."""
    return recipe.learning_rate if optimizer in _ADAM_AND_KIN else _RATES.get(optimizer)
