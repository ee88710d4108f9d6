"""Logistic regression: a line parts the plane, and a sigmoid says how sure it is of each side.

    x = (x₁, x₂),  y ∈ {+1, -1}

    d(x) = w₀ + w₁x₁ + w₂x₂        decision function, 0 on the line

    a(x) = sign(d(x))              the class
    a(x) = σ(d(x))                 the probability of the positive class

    σ(x) = 1 / (1 + e⁻ˣ)

Lecture 000, "MLP (Multi-Layer Perceptron)", "Logistic Regression".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, learning_rate: float = 0.5, epochs: int = 200, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, (150, 2))
    y = np.where(0.5 + x[:, 0] + 2 * x[:, 1] + random.normal(0, 0.8, 150) > 0, 1.0, -1.0)

    decision = en.Linear(2, 1, initializer="zeros", dtype="float64")
    trainer = en.Trainer(
        decision,
        loss=en.Logistic(),
        optimizer=en.SGD(decision.parameters(), learning_rate=learning_rate),
        device=page.device,
        seed=seed,
    )
    history = trainer.fit((x, y[:, None]), epochs=epochs, batch_size="all")
    (w0,), (w1, w2) = decision.bias.numpy(), decision.weight.numpy()[:, 0]

    d = w0 + w1 * x[:, 0] + w2 * x[:, 1]
    sigma = 1 / (1 + np.exp(-d))
    found = decision(en.tensor(x, device=page.device))[:, 0]
    page.compare("d(x) = w₀ + w₁x₁ + w₂x₂", d, found, tolerance=1e-12)
    page.compare("σ(d(x)) = 1 / (1 + exp(-d))", sigma, found.sigmoid(), tolerance=1e-12)
    same = np.sum((np.sign(found.numpy()) == 1) == (found.sigmoid().numpy() > 0.5))
    page.compare("samples where sign(d) = +1 means σ(d) > 1/2", len(x), same, tolerance=0)
    on_line = [[0.0, -w0 / w2], [1.0, -(w0 + w1) / w2]]
    half = decision(en.tensor(on_line, dtype="float64", device=page.device)).sigmoid()[:, 0]
    page.compare("σ(d) at two points of the line", [0.5, 0.5], half, tolerance=1e-12)
    right = np.mean(np.sign(d) == y)
    page.check("samples on the right side of it", "most", f"{right:.1%}", right > 0.8)
    losses = history["loss"]
    falls = f"{losses[0]:.3f} → {losses[-1]:.3f}"
    page.check("logistic loss", "falls at every step", falls, bool(np.all(np.diff(losses) < 0)))

    numbers = np.column_stack([x, d, sigma]).round(3)
    rows = [(*row, f"{label:+.0f}") for row, label in zip(numbers, y, strict=True)]
    page.table("The first samples", ("x₁", "x₂", "d(x)", "σ(d(x))", "y"), rows[:5])
    samples = en.data.Dataset(x, (y > 0).astype(int), "samples", ("x₁", "x₂"), ("y = -1", "y = +1"))
    page.draw(
        "The line d(x) = 0 parts the classes; ringed samples are on the wrong side",
        en.plot.decision_regions,
        decision,
        samples,
        lines={"d(x) = 0": (w0, w1, w2)},
        title=f"d(x) = {w0:.2f} + {w1:.2f} x₁ + {w2:.2f} x₂",
    )
    axis = np.linspace(d.min(), d.max(), 401)
    page.draw(
        "The sign jumps where σ is 1/2; far from the line σ is sure, near it σ is not",
        en.plot.curves,
        axis,
        {"σ(d)": 1 / (1 + np.exp(-axis)), "sign(d), as 0 or 1": (np.sign(axis) + 1) / 2},
        points={f"y = {k:+d}": (d[y == k], np.full(np.sum(y == k), (k + 1) / 2)) for k in (1, -1)},
        title="From decision to probability",
        x_label="decision function d(x)",
        y_label="probability of class +1",
    )
