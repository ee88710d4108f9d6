"""How are the lessons run in tests? Once a device, at reduced size, kept for every test that reads the page."""

import functools
import warnings

from engine import lessons

# What makes a lesson quick, where its own size takes longer than a test should.
REDUCED: dict[str, dict] = {
    "circle": {"epochs": 150},
    "image-classifier": {"data": "digits"},
    "learning-rates": {"epochs": 80},
    "manifold": {"epochs": 30, "seed": 1},
    "numeric-gradient": {"hidden": 2},
    "triangle": {"epochs": 150},
    "triplet": {"epochs": 3},
    "two-layer": {"epochs": 60},
    "vectorised": {"epochs": 1},
    "weight-penalties": {"epochs": 250},
}


@functools.cache
def page(name, device="cpu"):
    """The page of a lesson; nothing is downloaded."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* are missing in .* training images are used")  # of CIFAR-10 a part will do
        return lessons.run(name, device, **REDUCED.get(name, {}))


def row(name, quantity, device="cpu"):
    """The one row of a page whose quantity is called so."""
    found = [row for row in page(name, device).rows if row.quantity == quantity]
    assert len(found) == 1, f"{name}: {len(found)} rows are called {quantity!r}"
    return found[0]
