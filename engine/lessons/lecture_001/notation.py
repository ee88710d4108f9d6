"""Notation: a layer is a matrix product, a bias that is broadcast, and σ; the rows are samples.

    one neuron      z₁[1] = w₁,₁ x₁ + w₁,₂ x₂ + w₁,₃ x₃ + b₁          a₁[1] = σ(z₁[1])

    one sample      z[1]  = W[1]ᵀ x + b[1]       as a column
                    z[1]ᵀ = xᵀ W[1] + b[1]ᵀ      as a row

    m samples       Z[L] = A[L−1] W[L] + B[L]         A[L] = σ(Z[L])         A[0] = X
                    (m × n) = (m × k)(k × n) + (m × n)

Lecture 001, "Neural Network Notation".
"""

import itertools
from collections.abc import Sequence

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, hidden: Sequence[int] = (4,), seed: int = 0) -> None:
    m, units = 5, (3, *hidden, 1)
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((m, units[0]))
    layers = [en.Linear(k, n) for k, n in itertools.pairwise(units)]
    model = en.Sequential(*(part for linear in layers for part in (linear, en.Sigmoid())))
    model.to(page.device, dtype="float64")
    start = {name: generator.standard_normal(one.shape) for name, one in model.state_dict().items()}
    model.load_state_dict(start)

    # Layer by layer, all samples at once.
    a = en.tensor(x, name="X", device=page.device)
    shapes, values = [], [x]
    for number, linear in enumerate(layers, 1):
        w, b = linear.weight, linear.bias
        z = a @ w + b
        shapes.append((number, a.shape, w.shape, b.shape, z.shape))
        a = z.sigmoid()
        values.append(a.numpy())
        w.name, b.name, z.name, a.name = (f"{letter}[{number}]" for letter in "WbZA")

    # The slides begin with one neuron and one sample; a neuron's weights are a column of W.
    w1, b1 = start["0.weight"], start["0.bias"]
    z1 = w1[0, 0] * x[0, 0] + w1[1, 0] * x[0, 1] + w1[2, 0] * x[0, 2] + b1[0]
    first = layers[0](en.tensor(x[0], device=page.device))
    page.compare("z₁[1] of one sample, term by term", z1, first[0], tolerance=1e-12)
    page.compare("a₁[1] = σ(z₁[1])", 1 / (1 + np.exp(-z1)), first[0].sigmoid(), tolerance=1e-12)
    page.compare("z[1] = W[1]ᵀ x + b[1], a column", w1.T @ x[0] + b1, first, tolerance=1e-12)
    page.compare("z[1]ᵀ = xᵀ W[1] + b[1]ᵀ, a row", x[0] @ w1 + b1, first, tolerance=1e-12)
    page.correct(
        "shape of W[1] in row notation",
        (4, 3),
        (3, 4),
        en.Linear(3, 4).weight.shape,
        tolerance=0,
        reason="The slide stacks w₁ to w₄ as rows; a row x on the left needs them as columns.",
    )

    # In general, from k units to n units: B has b in each of its m rows.
    for number, (_, before, weight, bias, after) in enumerate(shapes, 1):
        k, n = units[number - 1], units[number]
        page.compare(f"shape of A[{number - 1}]", (m, k), before, tolerance=0)
        page.compare(f"shape of W[{number}]", (k, n), weight, tolerance=0)
        page.compare(f"shape of b[{number}]", (n,), bias, tolerance=0)
        page.compare(f"shape of Z[{number}]", (m, n), after, tolerance=0)
        place = 2 * (number - 1)
        copies = np.tile(start[f"{place}.bias"], (m, 1))
        by_hand = values[number - 1] @ start[f"{place}.weight"] + copies
        page.compare(
            f"A[{number}] = σ(A[{number - 1}] W[{number}] + B[{number}])",
            1 / (1 + np.exp(-by_hand)),
            values[number],
            tolerance=1e-12,
        )
    whole = model(en.tensor(x, device=page.device))
    page.compare("the whole network, engine's layers", values[-1], whole, tolerance=1e-12)

    page.table(
        f"A batch of m = {m} samples",
        ("layer L", "A[L−1]  (m × k)", "W[L]  (k × n)", "b[L], broadcast", "Z[L], A[L]  (m × n)"),
        [(number, *(" × ".join(map(str, size)) for size in sizes)) for number, *sizes in shapes],
    )
    page.draw("Every product with the shapes of what goes in and out", en.plot.graph, a)
