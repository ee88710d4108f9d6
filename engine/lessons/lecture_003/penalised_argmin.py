"""Penalised argmin: add the size of w to the loss, and the best w moves from 3 to 1.

    w is one number, and may be 1, 2 or 3:

    w            1      2      3
    L(w)         2      5      0.5      argmin L  = 3
    ‖w‖          1      2      3
    L̂(w)         3      7      3.5      argmin L̂  = 1        L̂(w) = L(w) + ‖w‖

    With a strength λ:  L̂(w) = L(w) + λ ‖w‖,  and w = 1 wins as soon as
    2 + λ < 0.5 + 3λ,  that is λ > 0.75.

Lecture 003, "Finding the optimal w: Example".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    w = en.tensor([1.0, 2.0, 3.0], dtype="float64", device=page.device)
    loss = en.tensor([2.0, 5.0, 0.5], dtype="float64", device=page.device)
    penalised = loss + w.abs()

    candidates, plain, total = w.numpy(), loss.numpy(), penalised.numpy()
    best, moved = candidates[plain.argmin()], candidates[total.argmin()]
    page.compare("argmin L(w)", 3, best, tolerance=0)
    page.compare("L̂(1) = 2 + 1", 3, total[0], tolerance=0)
    page.compare("L̂(2) = 5 + 2", 7, total[1], tolerance=0)
    page.compare("L̂(3) = 0.5 + 3", 3.5, total[2], tolerance=0)
    page.compare("argmin L̂(w)", 1, moved, tolerance=0)

    # How strong must the penalty be? Each w is a straight line over λ; the lowest line is best.
    strengths = np.linspace(0.0, 1.5, 61)
    lines = np.array([(loss + strength * w.abs()).numpy() for strength in strengths])
    optima = [" or ".join(f"{w:g}" for w in candidates[line == line.min()]) for line in lines]
    page.table(
        "The strength decides",
        ("λ", "L(1) + 1 λ", "L(2) + 2 λ", "L(3) + 3 λ", "best w"),
        [(strengths[row], *lines[row], optima[row]) for row in range(0, 61, 10)],
    )
    page.draw(
        "The lowest line is the best w: w = 3 without a penalty, w = 1 as soon as λ > 0.75",
        en.plot.curves,
        strengths,
        {f"w = {value:g}": line for value, line in zip(candidates, lines.T, strict=True)},
        points={
            f"L: best w = {best:g}": ([0.0] * 3, plain),
            f"L̂: best w = {moved:g}": ([1.0] * 3, total),
        },
        title="A penalty moves the optimum",
        x_label="strength λ (slide: λ = 1)",
        y_label="L(w) + λ ‖w‖",
    )
