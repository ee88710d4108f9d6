"""Hinge loss: every wrong class that comes within 1 of the right one costs what is missing.

    f(x, W) = W x           cat picture     car picture     frog picture

    cat                         3.2             1.3              2.2
    car                         5.1             4.9              2.5
    frog                       -1.7             2.0             -3.1

    Lᵢ = Σ max(0, s_j - s_yᵢ + 1)  over j ≠ yᵢ          Lᵢ = 2.9, 0, 12.9

    L = 1/N Σ Lᵢ = (2.9 + 0 + 12.9) / 3 = 15.8 / 3 = 5.3

    A W with L = 0 is not unique: 2W has L = 0, too.

Lecture 003, "Linear classifier: Hinge loss".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

CLASSES = ("cat", "car", "frog")


def run(page: Page, *, learning_rate: float = 0.5, epochs: int = 20) -> None:
    # Pictures that are (1,0,0), (0,1,0), (0,0,1): then W is the slide's table of scores itself.
    x = en.tensor(np.eye(3), device=page.device)
    y = np.array([0, 1, 2])
    W = en.tensor(
        [[3.2, 1.3, 2.2], [5.1, 4.9, 2.5], [-1.7, 2.0, -3.1]],
        requires_grad=True,
        dtype="float64",
        device=page.device,
    )
    scores = (W @ x).T  # a row for each picture
    losses = en.Hinge(reduction="none")(scores, y)

    slide = {"cat": (2.9, -3.9), "car": (-2.6, -1.9), "frog": (6.3, 6.6)}
    gaps, parts = {}, {}
    for i, name in enumerate(CLASSES):
        wrong = [j for j in range(3) if j != y[i]]
        gaps[name] = (scores[i][wrong] - scores[i][y[i]]).numpy()
        parts[name] = np.maximum(0, gaps[name] + 1)
        page.compare(f"{name}: s_j - s_y + 1", slide[name], gaps[name] + 1, tolerance=1e-12)
    page.compare("losses Lᵢ", (2.9, 0, 12.9), losses, tolerance=1e-12)
    page.compare("L₁ + L₂ + L₃", 15.8, losses.sum(), tolerance=1e-12)
    loss = en.Hinge()
    page.compare("L, the mean", 5.3, loss(scores, y), tolerance=0.05)
    page.compare("L, to two places", 5.27, loss(scores, y), tolerance=0.005)

    # "Suppose that we found a W such that L = 0": gradient descent finds one.
    history = []
    for _ in range(epochs):
        data_loss = loss((W @ x).T, y)
        data_loss.backward()
        history.append(data_loss.item())
        with en.no_grad():
            W -= learning_rate * W.grad
        W.zero_grad()
    page.compare("L(W) after descent", 0, loss((W @ x).T, y), tolerance=0)
    page.compare("L(2W)", 0, loss((2 * W @ x).T, y), tolerance=0)

    page.draw(
        "Each point is a wrong class: left of -1 it costs nothing, right of it what is missing",
        en.plot.curves,
        np.linspace(-6, 7, 131),
        {"max(0, s_j - s_y + 1)": np.maximum(0, np.linspace(-6, 7, 131) + 1)},
        points={f"{name} picture": (gaps[name], parts[name]) for name in CLASSES},
        title="What a wrong class costs",
        x_label="score of the wrong class minus score of the right one, s_j - s_y",
        y_label="its part of the loss",
    )
    page.draw(
        "Descent moves the scores until every right class leads by 1: L = 0",
        en.plot.curves,
        range(epochs),
        {"L(W)": history},
        title="Gradient descent on the hinge loss",
        x_label="step",
        y_label="hinge loss L(W)",
    )
    scales = np.linspace(0, 3, 121)
    data = np.array([loss((scale * W @ x).T, y).item() for scale in scales])
    size = np.array([en.L2(0.01)([scale * W]).item() for scale in scales])
    page.draw(
        "L is 0 for W, for 2W and beyond; a penalty on the weights makes the choice",
        en.plot.curves,
        scales,
        {"L(aW)": data, "L(aW) + 0.01 Σ (aW)²": data + size},
        points={"W and 2W": ([1, 2], [0, 0])},
        title="W is not unique",
        x_label="factor a",
        y_label="loss",
    )
