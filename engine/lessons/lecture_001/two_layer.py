"""A two-layer network on tensors: forward pass, loss.backward(), and the update by hand.

    ŷ    = max(0, x w₁) w₂                     (64 × 10) = (64 × 1000)(1000 × 100)(100 × 10)
    loss = Σ (ŷ − y)²

    w₁ ← w₁ − 10⁻⁶ ∂loss/∂w₁
    w₂ ← w₂ − 10⁻⁶ ∂loss/∂w₂                   500 times

    by hand:  dŷ = 2 (ŷ − y),  dw₂ = hᵀ dŷ,  dh = dŷ w₂ᵀ where h > 0,  dw₁ = xᵀ dh

Lecture 001, "Pytorch made easy".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, learning_rate: float = 1e-6, epochs: int = 500, seed: int = 2) -> None:
    N, D_in, H, D_out = 64, 1000, 100, 10
    generator = np.random.default_rng(seed)
    sizes = (N, D_in), (N, D_out), (D_in, H), (H, D_out)
    start = [generator.standard_normal(size) for size in sizes]

    x, y = (en.tensor(values, device=page.device) for values in start[:2])
    w1, w2 = (en.tensor(values, device=page.device, requires_grad=True) for values in start[2:])
    losses = []
    for _ in range(epochs):
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with en.no_grad():
            w1 -= learning_rate * w1.grad
            w2 -= learning_rate * w2.grad
        w1.zero_grad()
        w2.zero_grad()

    # The same without the engine: every derivative by hand, in plain NumPy.
    x0, y0, v1, v2 = start
    plain = []
    for _ in range(epochs):
        hidden = np.maximum(x0 @ v1, 0)
        difference = hidden @ v2 - y0
        plain.append(float((difference**2).sum()))
        dy = 2 * difference
        dhidden = dy @ v2.T * (hidden > 0)
        v2 = v2 - learning_rate * hidden.T @ dy
        v1 = v1 - learning_rate * x0.T @ dhidden

    ratio = np.array(losses) / plain
    rises = (np.flatnonzero(~(np.diff(losses) < 0)) + 1).tolist()
    page.correct(
        "steps of: for t in (500)",
        0,
        epochs,
        len(losses),
        tolerance=0,
        reason="(500) is the number 500, and Python iterates over no number; range(500) counts.",
    )
    page.correct(
        "shape of the loss",
        "(1,)",
        "()",
        str(loss.shape),
        reason="The sum over everything has no axis left; loss.item() reads the number.",
    )
    page.compare("loss of each step, as a share of NumPy's", np.ones(epochs), ratio, tolerance=1e-4)
    for name, weight, values in ("w₁", w1, v1), ("w₂", w2, v2):
        norm = (weight * weight).sum().sqrt()
        page.compare(
            f"‖{name}‖ after the last step",
            np.linalg.norm(values),
            norm,
            tolerance=1e-4,
            relative=True,
        )
    page.check(
        "the loss falls",
        "at every step",
        f"at every step after step {rises[-1]}" if rises else "at every step",
        max(rises, default=0) <= 5 and losses[-1] < losses[0],
    )
    every = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500]
    rows = [(step, losses[step], plain[step]) for step in (*every, epochs - 1) if step < epochs]
    page.table("The loss of some steps", ("step", "engine", "plain NumPy"), rows)
    page.say(
        "From some chance weights the loss rises in the first steps (try --seed 0): 10⁻⁶ is close "
        "to the largest rate that works here. With --learning-rate 2e-6 it never comes near 0."
    )
    page.draw(
        "The engine and plain NumPy take the same way",
        en.plot.curves,
        range(epochs),
        {"engine": losses, "plain NumPy": plain},
        title="The loss, step by step",
        x_label="step",
        y_label="loss",
        logarithmic="y",
    )
    page.draw(
        "How far apart they are, of which 0.0001 is allowed",
        en.plot.curves,
        range(epochs),
        {"|engine / NumPy − 1|": np.abs(ratio - 1)},
        title="Rounding is the only difference",
        x_label="step",
        y_label="relative difference",
    )
