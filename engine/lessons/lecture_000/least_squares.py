"""Least squares: an equation and gradient descent find the same weights, and only one inverts.

    a(x) = b + w₁x₁ + w₂x₂ + ... + w_d x_d           d + 1 parameters

    L(w) = 1/ℓ ‖Xw - y‖²  →  min                     X has a column of ones for b

    exact solution:    w = (XᵀX)⁻¹ Xᵀ y              the inverse of n × n costs O(n³)
    gradient descent:  w ← w - η ∇L(w)

Lecture 000, "Construct Our Linear Model", "How to Measure Our Model Quality?",
"Why Don't We Just Use That Equation?".
"""

import time

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, learning_rate: float = 0.3, epochs: int = 150, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    x1 = random.uniform(-1, 1, 60)
    y = 1 + 2 * x1 + random.normal(0, 0.4, 60)
    X = np.stack([np.ones(60), x1], axis=1)

    # The exact solution.
    exact = np.linalg.inv(X.T @ X) @ X.T @ y

    # The same minimum, step by step.
    inputs, targets = en.tensor(X, device=page.device), en.tensor(y, device=page.device)
    w = en.tensor(np.array([-1.0, -1.0]), requires_grad=True, device=page.device)
    path, losses = [w.numpy()], []
    for _ in range(epochs):
        w.zero_grad()
        loss = ((inputs @ w - targets) ** 2).sum() / len(y)
        loss.backward()
        with en.no_grad():
            w -= learning_rate * w.grad
        path.append(w.numpy())
        losses.append(loss.item())

    page.compare("parameters for d = 1: d + 1", 2, w.size, tolerance=0)
    page.compare("w = (XᵀX)⁻¹Xᵀy, by descent", exact, w, tolerance=1e-6)
    smallest = np.linalg.norm(X @ exact - y) ** 2 / len(y)
    page.compare("L(w) = 1/ℓ ‖Xw - y‖² there", smallest, losses[-1], tolerance=1e-6)
    rises = np.sum(np.diff(losses) > 1e-15)
    page.check("L(w), step by step", "→ min", f"rises in {rises} of {epochs} steps", rises == 0)

    # Why not just that equation: the time of its inverse, and of one step of descent.
    def step(line, optimizer, batch):
        loss = (line(batch) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    sizes, inverses, steps = [10, 20, 50, 100, 200, 500], [], []
    for n in sizes:
        X = random.normal(size=(500, n))
        line = en.Linear(n, 1, dtype="float64", device=page.device)
        optimizer = en.SGD(line.parameters(), learning_rate=1e-6)
        inverses.append(milliseconds(np.linalg.inv, X.T @ X + np.eye(n)))
        steps.append(milliseconds(step, line, optimizer, en.tensor(X, device=page.device)))
    growth = inverses[-1] / inverses[0]
    longer = f"{growth:,.0f} times as long"
    page.check("time of the inverse, n = 10 to 500", "O(n³)", longer, growth > 50)
    rows = list(zip(sizes, inverses, steps, strict=True))
    columns = ("weights n", "inverse of XᵀX / ms", "one step of descent / ms")
    page.table("What it costs, for 500 samples", columns, rows)

    x = np.linspace(-1, 1, 50)
    page.draw(
        "Both lines lie on each other: there is one minimum",
        en.plot.curves,
        x,
        {"exact solution": exact[0] + exact[1] * x, "gradient descent": path[-1] @ [x**0, x]},
        points={"samples": (x1, y)},
        title=f"a(x) = {exact[0]:.2f} + {exact[1]:.2f} x₁",
        x_label="x₁",
        y_label="y",
    )
    b, w1 = np.linspace(-1.5, 3.5, 60), np.linspace(-1.5, 5.5, 60)
    page.draw(
        "The loss is a bowl; descent walks down to the exact solution",
        en.plot.surface,
        b,
        w1,
        np.mean((b[None, :, None] + w1[:, None, None] * x1 - y) ** 2, axis=2),
        paths={"gradient descent": np.array(path)},
        title="L(w) = 1/ℓ ‖Xw - y‖²",
        x_label="b",
        y_label="w₁",
    )
    cubes = [inverses[-1] * (n / 500) ** 3 for n in sizes]
    page.draw(
        "The inverse comes to grow like n³, a step of descent like n at most",
        en.plot.curves,
        sizes,
        {"inverse": inverses, "one step of descent": steps, "slope of n³": cubes},
        title="Why not just that equation?",
        x_label="number of weights n",
        y_label="time / ms",
        logarithmic="xy",
    )


def milliseconds(function, *arguments):
    """The shortest of five runs."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        function(*arguments)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)
