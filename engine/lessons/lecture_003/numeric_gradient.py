"""Numeric gradient: move one weight at a time and look, or go backward once and have them all.

    df(x)/dx = lim  ( f(x + h) − f(x) ) / h          one number a weight: the gradient
               h→0

    W                  0.34      −1.11      0.78     ...        h = 0.0001
    L(W)            1.25347    1.25347   1.25347
    L(W + h)        1.25322    1.25353   1.25347
    dW                 −2.5        0.6         0     ...        (1.25322 − 1.25347) / 0.0001

    n weights: n + 1 evaluations of L. "This is silly. The loss is just a function of W":

    L = 1/N Σᵢ Lᵢ + λ Σₖ Wₖ²      Lᵢ = Σ_j≠yᵢ max(0, s_j − s_yᵢ + 1)      s = f(x; W)

    so ∇L comes from calculus: one pass backward.

Lecture 003, "How to minimize the loss function?" to "Gradient descent".
"""

import time

import numpy as np

import engine as en
from engine.lessons.page import Page

SHOWN = [0.34, -1.11, 0.78, 0.12, 0.55, 2.81, -3.1, -1.5, 0.33]  # the slide's W


def loss_function(x, y, units, values):
    """L of a network whose weights are one long W; what it gives is noted in values."""
    split, hinge = 64 * units, en.Hinge()

    def loss(w):
        scores = (x @ w[:split].reshape(64, units)).tanh() @ w[split:].reshape(units, 10)
        values.append(hinge(scores, y) + 0.1 * (w * w).sum())
        return values[-1]

    return loss


def run(page: Page, *, hidden: int = 16, seed: int = 0) -> None:
    # The slide's losses, in the order in which its weights are moved.
    printed = iter([1.25347, 1.25322, 1.25353, 1.25347])
    w = en.tensor(SHOWN[:3], dtype="float64", device=page.device)
    dw = en.numerical_gradient(lambda w: next(printed), w, h=1e-4, scheme="forward").numpy()
    page.compare("dW, first dim: (1.25322 − 1.25347) / 0.0001", -2.5, dw[0], tolerance=0.05)
    page.compare("dW, second dim: (1.25353 − 1.25347) / 0.0001", 0.6, dw[1], tolerance=0.05)
    page.compare("dW, third dim: (1.25347 − 1.25347) / 0.0001", 0, dw[2], tolerance=0.05)
    squares = en.L2(1.0)([en.Parameter([SHOWN], dtype="float64", device=page.device)])
    page.correct(
        "smallest L with these nine weights: Σ Wₖ²",
        1.25347,
        22.138,
        squares,
        tolerance=1e-12,
        reason="The printed L = 1.25347 is less than a part of it: Σ Wₖ² needs its λ here, too.",
    )

    # A network on 100 digits. Which number of weights costs how much?
    train, _ = page.data("digits", seed=seed, dtype="float64")
    x, y = en.tensor(train.x[:100], device=page.device), train.y[:100]
    generator, costs = np.random.default_rng(seed), []
    for units in sorted({max(1, hidden // 2**k) for k in range(5)}):
        start = generator.normal(0, 0.1, 64 * units + units * 10)
        w = en.tensor(start, requires_grad=True, device=page.device)
        values: list[en.Tensor] = []
        loss = loss_function(x, y, units, values)
        begun = time.perf_counter()
        numeric = en.numerical_gradient(loss, w, h=1e-4, scheme="forward").numpy()
        slow, evaluations, passes = 1e3 * (time.perf_counter() - begun), len(values), []
        for _ in range(5):  # so short that the best of several is measured
            w.zero_grad()
            begun = time.perf_counter()
            loss(w).backward()
            exact = w.grad.numpy()
            passes.append(1e3 * (time.perf_counter() - begun))
        fast = min(passes)
        costs.append((w.size, evaluations, round(slow, 1), round(fast, 2), round(slow / fast)))

    n = w.size
    page.compare("evaluations of L for dW, one weight at a time", n + 1, evaluations, tolerance=0)
    each = (len(values) - evaluations) / len(passes)
    page.compare("evaluations of L, one pass backward", 1, each, tolerance=0)
    page.compare("numeric dW (h = 0.0001) and ∇L", exact, numeric, tolerance=1e-4)
    central = en.numerical_gradient(loss, w, h=1e-4, scheme="central")
    page.compare("central differences and ∇L", exact, central, tolerance=1e-8)
    page.check("one pass backward", "faster", f"{fast:.2g} ms, not {slow:.0f} ms", fast < slow)

    columns = ("W", "L(W)", "L(W + h)", "dW = (L(W + h) − L(W)) / h", "∇L, one pass backward")
    shown = [f"{value.item():.6f}" for value in values[: n + 1]]
    last = [(start[k], shown[0], shown[k + 1], numeric[k], exact[k]) for k in range(n - 9, n)]
    page.table("The last nine weights", columns, last)
    page.table(
        "What a gradient costs",
        ("weights n", "evaluations", "numeric / ms", "backward / ms", "times faster"),
        costs,
    )
    weights, _, numeric_times, backward_times, _ = zip(*costs, strict=True)
    page.draw(
        "One weight at a time costs n + 1 evaluations; one pass backward hardly depends on n",
        en.plot.curves,
        weights,
        {"numeric, n + 1 evaluations": numeric_times, "one pass backward": backward_times},
        title="The time of one gradient",
        x_label="weights n",
        y_label="time / ms",
        logarithmic="xy",
    )
    pictures = [one[: 64 * units].reshape(8, 8, units)[:, :, 0] for one in (numeric, exact)]
    page.draw(
        "Both give the same gradient: the weights from the 64 pixels to the first hidden unit",
        en.plot.images,
        np.stack(pictures),
        (f"numeric, {slow:.0f} ms", f"backward, {fast:.2g} ms"),
        title="∇L of 64 weights",
        diverging=True,
    )
