"""Learning rates: too small crawls, good falls, too large overshoots, and beyond 2/λ it diverges.

    w(τ+1) = w(τ) − η ∇E(w(τ))         η: the learning rate

    In a valley  E(w) = E(w*) + ½ (w − w*)ᵀ H (w − w*)  a step turns the distance
    w − w*  into  (I − η H)(w − w*).  Where the valley is steepest, at the largest
    eigenvalue λ of H, the distance is multiplied by 1 − η λ:

    η < 1/λ           it shrinks
    1/λ < η < 2/λ     it changes sides at every step, and shrinks
    η > 2/λ           it changes sides at every step, and grows

Lecture 003, "Gradient descent" to "The effects of step size".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

NAMES = ("too small", "good", "too large", "divergent")


def valley(page: Page, seed: int) -> None:
    """A line through points, w₀ + w₁ x: two weights, whose path can be seen."""
    x = np.linspace(0, 2, 50)
    design = np.stack([np.ones(50), x], axis=1)
    truth = 1 + 2 * x + np.random.default_rng(seed).normal(0, 0.3, 50)
    hessian, start = 2 / 50 * design.T @ design, np.array([5.0, 0.5])
    best = np.linalg.solve(hessian, 2 / 50 * design.T @ truth)
    limit = 2 / np.linalg.eigvalsh(hessian).max()
    inputs, outputs = (en.tensor(one, device=page.device) for one in (design, truth))
    paths, courses, steps = {}, [], 8
    for name, share in zip(NAMES, (0.04, 0.4, 0.9, 1.1), strict=True):
        w, rate = en.tensor(start, requires_grad=True, device=page.device), share * limit
        path, losses = [w.numpy()], []
        for _ in range(steps):
            error = ((inputs @ w - outputs) ** 2).mean()
            error.backward()
            with en.no_grad():
                w -= rate * w.grad
            w.zero_grad()
            path.append(w.numpy())
            losses.append(error.item())
        end = best + np.linalg.matrix_power(np.eye(2) - rate * hessian, steps) @ (start - best)
        page.compare(f"w after {steps} steps, η = {share} · 2/λ", end, w, tolerance=1e-12)
        paths[f"{name}, {share} · 2/λ"] = path
        change = np.diff(losses)
        courses.append("falls" if max(change) < 0 else "grows" if min(change) > 0 else "both")
    found, expected = ", ".join(courses), "falls, falls, falls, grows"
    page.check("E at every step", expected, found, found == expected)

    first, second = np.linspace(-1, 6, 81), np.linspace(-2, 5, 81)
    weights = np.stack(np.meshgrid(first, second), axis=-1)
    heights = np.mean((weights @ design.T - truth) ** 2, axis=-1)
    page.draw(
        "From one start: crawling, falling, changing sides, leaving",
        en.plot.surface,
        first,
        second,
        heights,
        paths=paths,
        title=f"Four learning rates, {steps} steps in a valley",
        x_label="w₀",
        y_label="w₁",
        z_label="E(w)",
        view="contours",
    )


def run(
    page: Page,
    *,
    hidden: int = 32,
    learning_rate: float = 0.1,
    epochs: int = 200,
    seed: int = 0,
    data: str = "digits",
) -> None:
    valley(page, seed)

    # A network: nobody knows its valleys, so the rate has to be tried.
    train, _ = page.data(data, labelled=True, seed=seed)
    x, y = train.x.reshape(len(train), -1), np.eye(train.classes, dtype="float32")[train.y]
    curves, outcomes, starts, ends = {}, [], [], []
    for name, factor in zip(NAMES, (0.01, 1, 8, 15), strict=True):
        en.seed(seed)
        layers = en.Linear(train.features, hidden), en.ReLU(), en.Linear(hidden, train.classes)
        model, rate = en.Sequential(*layers), factor * learning_rate
        optimizer = en.SGD(model.parameters(), learning_rate=rate)
        trainer = en.Trainer(model, loss=en.SquaredError(), optimizer=optimizer, device=page.device)
        report = f"trained to the end, epoch {epochs}"
        try:
            trainer.fit((x, y), epochs=epochs, batch_size="all")
        except en.NotFiniteError as error:
            report = str(error)
        losses = trainer.history["loss"]
        starts.append(losses[0])
        ends.append(losses[-1])
        outcomes.append((name, rate, starts[-1], ends[-1], len(losses)))
        curves[f"{name}, η = {rate:g}"] = [*losses, *[np.nan] * (epochs - len(losses))]

    fell = [f"{first:.4g} → {last:.4g}" for first, last in zip(starts, ends, strict=True)]
    page.check("E, too small", "falls slowly", fell[0], starts[0] > ends[0] > ends[1])
    page.check("E, good", "ends lowest", fell[1], ends[1] == min(ends))
    page.check("E, too large", "stays above the good one", fell[2], ends[2] > ends[1])
    page.check("E, divergent", "not hidden", report.split(";")[0], "not finite" in report)
    page.table("Four trainings", ("rate", "η", "first E", "last E", "epochs"), outcomes)
    page.say(f"Divergent: {report}")
    page.draw(
        "Too small hardly falls; too large jumps and stays too high; divergent is gone at once",
        en.plot.curves,
        np.arange(1, epochs + 1),
        curves,
        title=f"Four learning rates, one network on {data}",
        x_label="epoch",
        y_label="E: squared error of a sample",
        logarithmic="xy",
        limits=(0.1, 30),
    )
