"""Bumps: a neural network builds a function by adding functions, two sigmoids a bump.

    b(x) = σ(k (x + a/2)) - σ(k (x - a/2))      a bump of width a around 0; k = 20 / a

    y = 3.1 b(x+3a) + 2.7 b(x+2a) + 1.1 b(x+a)
      - 0.8 b(x)    - 1.2 b(x-a)  - 1.0 b(x-2a)
      + 1.2 b(x-3a) + 2.1 b(x-4a)

    One hidden layer of 16 sigmoids does this: its weights are k, its biases put the
    steps into their places, the output's weights are the heights, + for a step up,
    - for a step down. A smaller a needs more bumps, and comes closer to the curve.

Lecture 004, "How to build this function using b(x)?" to "Neural network make a bump function".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

TERMS = ("x+3a", "x+2a", "x+a", "x", "x-a", "x-2a", "x-3a", "x-4a")
PLACES = np.arange(-3.0, 5.0)
HEIGHTS = np.array([3.1, 2.7, 1.1, -0.8, -1.2, -1.0, 1.2, 2.1])
SMALLER = "smaller a approximates better"


def curve(x: np.ndarray) -> np.ndarray:
    """The smooth curve that is to be built: the waves that pass the slide's heights at -3 … 4."""
    waves = np.fft.rfft(HEIGHTS) / 8 * [1, 2, 2, 2, 1]
    return (waves * np.exp(2j * np.pi / 8 * np.outer(x + 3, np.arange(5)))).real.sum(axis=1)


def network(centres: np.ndarray, heights: np.ndarray, a: float, device: str) -> en.Sequential:
    """y = Σ heights · b(x - centres): a step up left of each centre, a step down right of it."""
    k = 20 / a
    steps = np.concatenate([centres - a / 2, centres + a / 2])
    model = en.Sequential(en.Linear(1, len(steps)), en.Sigmoid(), en.Linear(len(steps), 1))
    model.to(device, dtype="float64").load_state_dict(
        {
            "0.weight": np.full((1, len(steps)), k),
            "0.bias": -k * steps,
            "2.weight": np.concatenate([heights, -heights])[:, None],
            "2.bias": np.zeros(1),
        }
    )
    return model


def run(page: Page) -> None:
    def values(model: en.Sequential, x: np.ndarray) -> np.ndarray:
        return model(en.tensor(x[:, None], dtype="float64", device=page.device)).numpy()[:, 0]

    def step(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-20 * x))

    def b(x: np.ndarray) -> np.ndarray:
        return step(x + 1 / 2) - step(x - 1 / 2)

    one = network(np.zeros(1), np.ones(1), 1.0, page.device)
    at = np.array([0, -0.5, 0.5, -1, 1])
    slide = [1, 0.5, 0.5, 0, 0]
    page.compare("b(0), b(±a/2), b(±a)", slide, values(one, at), tolerance=0.0005)

    # The slide's sum, with a = 1.
    x = np.linspace(-4, 5, 901)
    model = network(PLACES, HEIGHTS, 1.0, page.device)
    page.compare("y at -3a, -2a, … 4a", HEIGHTS, values(model, PLACES), tolerance=0.05)
    bumps = {
        f"{height:.1f} b({term})": height * b(x - place)
        for height, term, place in zip(HEIGHTS, TERMS, PLACES, strict=True)
    }
    y = values(model, x)
    page.compare("y = 3.1 b(x+3a) + … + 2.1 b(x-4a)", sum(bumps.values()), y, tolerance=1e-12)
    page.compare("sigmoids, two a bump", 2 * 8, model.state_dict()["0.bias"].size, tolerance=0)

    # Smaller a: more bumps, each as high as the curve in its middle.
    inside = x[(x >= -3) & (x <= 4)]
    rows, built = [], {}
    for a in (1.0, 0.5, 0.25, 0.125):
        centres = np.arange(-3.5 + a / 2, 4.5, a)
        y = values(network(centres, curve(centres), a, page.device), inside)
        error = np.abs(y - curve(inside))
        rows.append((a, len(centres), 2 * len(centres), error.max(), error.mean()))
        built[f"a = {a:g}: {len(centres)} bumps"] = {"curve": curve(inside), "network": y}
    for name, errors in zip(("largest", "mean"), list(zip(*rows, strict=True))[3:], strict=True):
        falls = all(np.diff(errors) < 0)
        words = " > ".join(f"{error:.3f}" for error in errors)
        page.check(f"{name} error, a = 1, 1/2, 1/4, 1/8", SMALLER, words, falls)
    columns = ("a", "bumps", "hidden sigmoids", "largest error", "mean error")
    page.table("Error by the width of the bumps", columns, rows)

    near = np.linspace(-1.5, 1.5, 301)
    steps = {"σ(k (x + a/2))": step(near + 1 / 2), "-σ(k (x - a/2))": -step(near - 1 / 2)}
    steps["b(x), their sum"] = b(near)
    title = "A step up and a step down make a bump"
    page.draw("Two sigmoids, one bump", en.plot.curves, near, steps, title=title, y_label="y")
    bumps = {term: np.where(abs(bump) > 0.01, bump, np.nan) for term, bump in bumps.items()}
    groups = {"Eight bumps": bumps, "Their sum, by the network": {"y": values(model, x)}}
    title = "How to build this function using b(x)?"
    page.draw("Eight bumps, and their sum", en.plot.panels, x, groups, title=title, y_label="y")
    title = "Neural nets build functions by adding functions"
    named = {"title": title, "y_label": "y", "columns": 2}
    page.draw("Smaller bumps come closer to the curve", en.plot.panels, inside, built, **named)
