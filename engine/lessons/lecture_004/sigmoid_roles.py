"""Role of w and b: the weight says how steep a step is and which way it goes, the bias where it is.

    x ∈ ℝ           o = 1 / (1 + exp(-w x - b)) = σ(w x + b)

    x = -b / w      o = 1/2,        the middle of the step
                    do/dx = w / 4,  its slope there
    w < 0           the step goes down
    w = 0           no step: o = σ(b) everywhere

    Do it yourself: h = ReLU(w x + b) has its kink at x = -b / w,
                    is 0 to one side of it, and has the slope w to the other

Lecture 004, "Role of parameters w and b".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

ROLE_OF_W = [(w, 0.0) for w in (-5.0, -1.0, 0.0, 1.0, 5.0)]
ROLE_OF_B = [(2.0, b) for b in (-6.0, -3.0, 0.0, 3.0, 6.0)]
PAIRS = ROLE_OF_W + ROLE_OF_B


def run(page: Page) -> None:
    def tensor(values: np.ndarray) -> en.Tensor:
        return en.tensor(values, True, dtype="float64", device=page.device)

    x = np.linspace(-6, 6, 241)
    steps, ramps = {}, {}
    for w, b in PAIRS:
        z = w * tensor(x) + b
        steps[w, b], ramps[w, b] = z.sigmoid().numpy(), z.relu().numpy()

    formula = [1 / (1 + np.exp(-w * x - b)) for w, b in PAIRS]
    page.compare("o(x) for ten w, b", formula, list(steps.values()), tolerance=1e-12)

    w, b = np.array([(w, b) for w, b in PAIRS if w != 0]).T
    middle = tensor(-b / w)
    o = (tensor(w) * middle + tensor(b)).sigmoid()
    o.sum().backward()
    page.compare("o at x = -b / w", np.full(len(w), 0.5), o, tolerance=1e-12)
    page.compare("do/dx at x = -b / w", w / 4, middle.grad, tolerance=1e-12)
    down, up = steps[-5.0, 0.0], steps[5.0, 0.0]
    page.compare("w = -5 is w = 5, read from the right", up[::-1], down, tolerance=1e-12)
    page.compare("w = 0: o = σ(0) everywhere", np.full(len(x), 0.5), steps[0.0, 0.0], tolerance=0)
    still, moved = steps[2.0, 0.0][60:], steps[2.0, 6.0][:-60]  # 60 places are 3 = b / w
    page.compare("b = 6 is b = 0, moved by -b / w = -3", still, moved, tolerance=1e-12)

    formula = [np.maximum(0, w * x + b) for w, b in PAIRS]
    page.compare("ReLU(w x + b) for ten w, b", formula, list(ramps.values()), tolerance=1e-12)

    def panels(curves: dict[tuple[float, float], np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        return {
            "w, with b = 0": {f"w = {w:g}": curves[w, b] for w, b in ROLE_OF_W},
            "b, with w = 2": {f"b = {b:g}": curves[w, b] for w, b in ROLE_OF_B},
        }

    caption = "w turns and stretches the step, b moves it to x = -b / w"
    title = "o = σ(w x + b)"
    page.draw(caption, en.plot.panels, x, panels(steps), title=title, y_label="o")
    caption = "Do it yourself: w is the slope, the kink is at x = -b / w"
    named = {"title": "h = ReLU(w x + b)", "y_label": "h", "limits": (-0.5, 8)}
    page.draw(caption, en.plot.panels, x, panels(ramps), **named)
