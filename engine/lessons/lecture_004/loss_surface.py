"""The loss is a surface: the slide's table is a cut through it, gradient descent walks down.

    x = (0.1, 0.2, 0.6, 0.9),   y = (0, 0, 1, 1)

    o = 1 / (1 + exp(-w x))      as printed; the table's o have a bias: σ(w x - 0.5)
    l(yᵢ, oᵢ) = ‖yᵢ - oᵢ‖²
    C = (1/n) Σᵢ l(yᵢ, oᵢ)       as printed; the table's Loss is the sum: Σᵢ l(yᵢ, oᵢ)

    ∂C/∂wⱼ = -(2/n) Σᵢ (yᵢ - oᵢ) ∂oᵢ/∂wⱼ
    wⱼ(t+1) = wⱼ(t) - η ∂C/∂wⱼ

Lecture 004, "Loss function is a surface", "How to adjust the weights?" and "Gradient descend".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

TABLE = {  # w: o1 … o4, Loss
    -2.0: (0.33, 0.29, 0.15, 0.09, 1.7436),
    -1.5: (0.34, 0.31, 0.20, 0.14, 1.5913),
    -1.0: (0.35, 0.33, 0.25, 0.20, 1.4339),
    -0.5: (0.37, 0.35, 0.31, 0.28, 1.2539),
    0.0: (0.38, 0.38, 0.38, 0.38, 1.0576),
    0.5: (0.39, 0.40, 0.45, 0.49, 0.8747),
    1.0: (0.40, 0.43, 0.52, 0.60, 0.7353),
    1.5: (0.41, 0.45, 0.60, 0.70, 0.6206),
    2.0: (0.43, 0.48, 0.67, 0.78, 0.5726),
}
SURFACE = "C over both weights: the ring is where the descent starts, the star where it ends"
CUT = "The slide's table is a cut through the surface, at b = -0.5"


def run(page: Page, *, learning_rate: float = 1.0, epochs: int = 300) -> None:
    def tensor(values: object) -> en.Tensor:
        return en.tensor(np.asarray(values), dtype="float64", device=page.device)

    def total(o: en.Tensor) -> float:
        return ((y - o) ** 2).sum().item()

    def cost(w: en.Tensor, b: en.Tensor) -> en.Tensor:
        return ((y - (w * x + b).sigmoid()) ** 2).mean(axis=-1)

    x, y = tensor([0.1, 0.2, 0.6, 0.9]), tensor([0.0, 0.0, 1.0, 1.0])
    printed = tensor([row[:4] for row in TABLE.values()])
    bias = ((printed / (1 - printed)).log() - tensor(list(TABLE)).reshape(9, 1) * x).mean()
    why = "The formula has no bias, but the table's o are those of σ(w x - 0.5)."
    page.correct("b in o = σ(w x + b)", 0, -0.5, bias, tolerance=0.005, reason=why)

    # The table: its Loss is the sum over the four points, with o rounded to two places.
    rounded, exact = [], []
    for number, (*outputs, slide) in TABLE.items():
        o = (number * x - 0.5).sigmoid()
        exact.append(total(o))
        rounded.append(total(tensor(o.numpy().round(2))))
        count = 4 if number < 2 else 3
        quantity = f"o1 … o{count}, w = {number:g}"
        page.compare(quantity, outputs[:count], o[:count], tolerance=0.005)
        if number < 2:
            page.compare(f"Loss, w = {number:g}", slide, rounded[-1], tolerance=0.00005)
    cut_off = "σ(1.3) = 0.7858 is cut off, not rounded: 0.79."
    mean = "The table's Loss is the sum over the four points, not their mean."
    places = "The table's o are rounded to two places before they are squared."
    page.correct("o4, w = 2", 0.78, 0.79, o[3], tolerance=0.005, reason=cut_off)
    for quantity, slide, right, engine, reason in (
        ("Loss, w = 2", 0.5726, 0.5683, rounded[8], "It follows from 0.78 in place of 0.79."),
        ("Loss, w = 2, nothing rounded", 0.5726, 0.5627, exact[8], places),
        ("Loss, w = 0, nothing rounded", 1.0576, 1.0600, exact[4], places),
        ("C = (1/n) Σ l, w = 0", 1.0576, 0.2650, cost(tensor(0.0), tensor(-0.5)), mean),
    ):
        page.correct(quantity, slide, right, engine, tolerance=0.00005, reason=reason)
    losses = [row[4] for row in TABLE.values()]
    columns = ("w", "the slide's Loss", "engine, o rounded", "engine, not rounded")
    page.table("Loss", columns, list(zip(TABLE, losses, rounded, exact, strict=True)))

    # Gradient descent on both weights, from the table's first row.
    w, b = tensor(-2.0), tensor(-0.5)
    w.requires_grad = b.requires_grad = True
    path, costs = [], []
    for t in range(epochs):
        c = cost(w, b)
        c.backward()
        path.append((w.item(), b.item()))
        costs.append(c.item())
        if t == 0:
            by_hand = 1 / (1 + np.exp(2 * x.numpy() + 0.5))
            do_dw = by_hand * (1 - by_hand) * x.numpy()
            slope = -2 / 4 * np.sum((y.numpy() - by_hand) * do_dw)
            page.compare("∂C/∂w = -(2/n) Σ (y - o) ∂o/∂w", slope, w.grad, tolerance=1e-12)
        with en.no_grad():
            for weight in (w, b):
                weight -= learning_rate * weight.grad
                weight.zero_grad()
    costs.append(cost(w, b).item())
    falls = int((np.diff(costs) < 0).sum())
    page.check("C along the descent", "falls", f"in {falls} of {epochs} steps", falls == epochs)

    # "Try all possible weights combinations": two weights can be tried, and drawn.
    across, along = np.linspace(-3, 9, 61), np.linspace(-6, 3, 46)
    surface = cost(tensor(across[:, None]), tensor(along[:, None, None])).numpy()
    tried = f"The surface tries {surface.size} combinations of two weights;"
    page.say(f"{tried} the descent takes {epochs} steps. With many weights only descent is left.")
    paths = {"descent": path, "the slide's table": [(number, -0.5) for number in TABLE]}
    named = {"title": "Loss surface", "x_label": "w", "y_label": "b", "z_label": "C"}
    page.draw(SURFACE, en.plot.surface, across, along, surface, paths=paths, **named)
    cut = np.linspace(-3, 9, 121)
    sums = {"Σ (y - o)²": 4 * cost(tensor(cut[:, None]), tensor(-0.5)).numpy()}
    points = {"the slide's table": (list(TABLE), losses)}
    named = {"title": "Loss for b = -0.5", "x_label": "w", "y_label": "Loss"}
    page.draw(CUT, en.plot.curves, cut, sums, points=points, **named)
