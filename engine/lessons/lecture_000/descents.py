"""Descents: a step may see all samples, one or a few; fewer make it cheap, more make it straight.

    w⁰  initialization
    while True:
        i₁, ..., i_m = random indices between 1 and ℓ    1: stochastic, m: mini-batch, ℓ: batch
        wᵗ = wᵗ⁻¹ - η_t 1/m Σ_j ∇L(wᵗ⁻¹; x_i_j, y_i_j)
        if ‖wᵗ - wᵗ⁻¹‖ < ε then break

    L(w; xᵢ, yᵢ) = (wᵀxᵢ - yᵢ)²           ∇L(w) = 1/ℓ Σ ∇(wᵀxᵢ - yᵢ)²

Lecture 000, "Gradient Descent", "Stochastic Gradient Descent", "Mini-Batch Gradient Descent".
"""

import itertools
import tempfile
from pathlib import Path

import numpy as np

import engine as en
from engine.lessons.page import Page

SAMPLES, EPS = 100, 1e-4
SIZES = {"batch": SAMPLES, "stochastic": 1, "mini-batch": 10}


def run(page: Page, *, learning_rate: float = 0.1, epochs: int = 500, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    X = np.stack([np.ones(SAMPLES), random.uniform(0, 2, SAMPLES)], axis=1)
    y = X @ [1.0, 2.0] + random.normal(0, 0.3, SAMPLES)
    start = np.array([4.0, -1.0])
    x_all, y_all = en.tensor(X, device=page.device), en.tensor(y, device=page.device)

    def descend(m):
        """The weights before and after every step, until the rule says stop."""
        w = en.tensor(start, requires_grad=True, device=page.device)
        path = [w.numpy()]
        for t in itertools.count(1):
            i, eta = np.arange(SAMPLES), learning_rate
            if m < SAMPLES:
                i, eta = random.integers(0, SAMPLES, m), learning_rate / (1 + t / SAMPLES)
            loss = ((x_all[i] @ w - y_all[i]) ** 2).sum() / m
            w.zero_grad()
            loss.backward()
            with en.no_grad():
                w -= eta * w.grad
            path.append(w.numpy())
            if np.linalg.norm(path[-1] - path[-2]) < EPS or t * m >= epochs * SAMPLES:
                break
        return np.array(path)

    paths = {name: descend(m) for name, m in SIZES.items()}
    best = np.linalg.solve(X.T @ X, X.T @ y)

    def above(w):
        """L(w) - min L."""
        return np.mean((w @ X.T - y) ** 2, axis=-1) - np.mean((X @ best - y) ** 2)

    total = start - learning_rate * 2 * X.T @ (X @ start - y)
    mean = start - learning_rate * 2 / SAMPLES * X.T @ (X @ start - y)
    reason = "One slide has the sum L(w) = Σ L(w; xᵢ, yᵢ), the next ∇L(w) with 1/ℓ: of the mean."
    name = "batch: w¹ = w⁰ - η ∇L(w⁰)"
    page.correct(name, total, mean, paths["batch"][1], tolerance=1e-12, reason=reason)
    for name, path in paths.items():
        step = float(np.linalg.norm(path[-1] - path[-2]))
        page.check(f"{name}: ‖wᵗ - wᵗ⁻¹‖ at the end", f"< ε = {EPS:g}", f"{step:.1e}", step < EPS)
    for name, path in paths.items():
        left = float(above(path[-1]) / above(start))
        page.check(f"{name}: what is left of L(w⁰) - min L", "→ 0", f"{left:.1e}", left < 0.01)

    # By the trainer: the same rule; and data that stays on the disk, from which a step reads.
    def train(x, **how):
        line = en.Linear(2, 1, bias=False, dtype="float64")
        line.load_state_dict({"weight": start[:, None]})
        optimizer, loss = en.SGD(line.parameters(), learning_rate), en.MeanSquaredError()
        trainer = en.Trainer(line, loss=loss, optimizer=optimizer, device=page.device, seed=seed)
        trainer.fit(en.data.Dataset(x, y[:, None]), **how)
        return trainer.step, line.weight.numpy()[:, 0]

    steps, w = train(X, epochs=epochs, batch_size="all", stop=en.StepBelow(EPS))
    page.compare("stop=StepBelow(ε): steps", len(paths["batch"]) - 1, steps, tolerance=0)
    page.compare("stop=StepBelow(ε): w", paths["batch"][-1], w, tolerance=1e-10)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        np.save(Path(folder, "x.npy"), X)
        on_disk = en.data.Rows(np.load(Path(folder, "x.npy"), mmap_mode="r"))
        _, from_disk = train(on_disk, epochs=20, batch_size=10)
    _, in_memory = train(X, epochs=20, batch_size=10)
    page.compare("w, data read from the disk at every step", in_memory, from_disk, tolerance=0)

    page.say("Random indices go with a falling η_t = η / (1 + t/ℓ), or w would never come to rest.")
    columns = ("descent", "gradients a step", "steps until it stops", "L(w) - min L")
    rows = [(name, SIZES[name], len(path) - 1, above(path[-1])) for name, path in paths.items()]
    page.table(f"ℓ = {SAMPLES}, η = {learning_rate:g}, ε = {EPS:g}", columns, rows)
    w0, w1 = np.linspace(-0.5, 4.8, 80), np.linspace(-1.8, 3.5, 80)
    page.draw(
        "One valley, three ways down: batch glides, stochastic staggers, mini-batch is between",
        en.plot.surface,
        w0,
        w1,
        np.mean((np.stack(np.meshgrid(w0, w1), axis=-1) @ X.T - y) ** 2, axis=-1),
        paths={name: paths[name] for name in ("stochastic", "mini-batch", "batch")},
        title="L(w) and the weights after each step",
        logarithmic=True,
        view="contours",
        x_label="w₀",
        y_label="w₁",
    )
    seen = np.unique(np.geomspace(1, SAMPLES * steps, 120).astype(int))
    ended = np.full(seen[-1], np.nan)  # no line after the last step
    heights = {name: np.append(above(path), ended) for name, path in paths.items()}
    page.draw(
        "Before batch descent has taken its first step, stochastic descent is far down",
        en.plot.curves,
        seen,
        {name: heights[name][seen // m] for name, m in SIZES.items()},
        title="Batch descent computes ℓ gradients for every step",
        x_label="gradients computed",
        y_label="L(w) - min L",
        logarithmic="xy",
    )
