"""Activation functions: six ways to bend a line, each with its slope.

    sigmoid       σ(x) = 1 / (1 + e⁻ˣ)
    tanh          tanh(x)
    maxout        max(w₁ᵀx + b₁, w₂ᵀx + b₂)
    ReLU          max(0, x)
    leaky ReLU    max(0.1x, x)
    ELU           x             where x ≥ 0
                  α(eˣ - 1)     where x < 0

Lecture 003, "Activation functions".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    alpha = 1.0
    w1, b1 = 1.0, 0.5
    w2, b2 = -0.5, 1.0
    maxout = en.Maxout(1, 1, pieces=2, dtype="float64", device=page.device)
    maxout.load_state_dict({"weight": np.array([[w1, w2]]), "bias": np.array([b1, b2])})
    layers = {
        "sigmoid": en.Sigmoid(),
        "tanh": en.Tanh(),
        "maxout": maxout,
        "ReLU": en.ReLU(),
        "leaky ReLU": en.LeakyReLU(0.1),
        "ELU": en.ELU(alpha),
    }

    def value_and_slope(layer, points):
        x = en.tensor(points[:, np.newaxis], requires_grad=True, device=page.device)
        y = layer(x)
        y.sum().backward()
        return y.numpy()[:, 0], x.grad.numpy()[:, 0]

    # The slide's formulas and their derivatives, at three points.
    x = np.array([-1.0, 0.0, 1.0])
    sigmoid = 1 / (1 + np.exp(-x))
    first, second = w1 * x + b1, w2 * x + b2
    slide = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
        "tanh": (np.tanh(x), 1 - np.tanh(x) ** 2),
        "maxout": (np.maximum(first, second), np.where(first > second, w1, w2)),
        "ReLU": (np.maximum(0, x), np.where(x > 0, 1, 0)),
        "leaky ReLU": (np.maximum(0.1 * x, x), np.where(x > 0, 1, 0.1)),
        "ELU": (
            np.where(x >= 0, x, alpha * (np.exp(x) - 1)),
            np.where(x >= 0, 1, alpha * np.exp(x)),
        ),
    }
    for name, (value, slope) in slide.items():
        h, dh = value_and_slope(layers[name], x)
        page.compare(f"{name} at x = -1, 0, 1", value, h, tolerance=1e-12)
        page.compare(f"{name}, slope there", slope, dh, tolerance=1e-12)
    page.say(
        "ReLU and leaky ReLU have a corner at 0, where no slope is defined: the engine takes the "
        "left one, 0 and 0.1. The maxout shown is max(x + 0.5, -0.5x + 1)."
    )

    line = np.linspace(-3, 3, 601)
    drawn = {name: value_and_slope(layer, line) for name, layer in layers.items()}
    page.draw(
        "σ and tanh go flat on both sides, where their slope is nearly 0; the others never do on "
        "the right, so that their gradient stays 1",
        en.plot.panels,
        line,
        {name: {"value h(x)": h, "slope h′(x)": dh} for name, (h, dh) in drawn.items()},
        title="Activations and their slopes",
        y_label="h(x), h′(x)",
        columns=3,
    )
    page.draw(
        "Maxout follows whichever line is higher: the unit learns its own bend",
        en.plot.curves,
        line,
        {"w₁x + b₁": w1 * line + b1, "w₂x + b₂": w2 * line + b2},
        points={"maxout": (line[::30], drawn["maxout"][0][::30])},
        title="Maxout: the larger of two lines",
        y_label="h(x)",
    )
