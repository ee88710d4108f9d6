"""Circle: descent finds a centre and a radius, since every derivative comes by itself.

    z    = (x₁ − w₁)² + (x₂ − w₂)² − w₀²
    ŷ    = g(z) = 1 / (1 + e⁻ᶻ)
    Loss = −y log g(z) − (1 − y) log(1 − g(z))

    ∂z/∂w₀ = −2 w₀       ∂z/∂w₁ = −2 (x₁ − w₁)       ∂z/∂w₂ = −2 (x₂ − w₂)

    each epoch:  gradients to 0; forward and backward for every sample, the gradients add up;
                 wᵢ ← wᵢ − rate · (∂E/∂wᵢ) / m

Lecture 001, "Learning the parameters of composite functions"; "Gaining Efficiency".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, learning_rate: float = 0.1, epochs: int = 999, seed: int = 0) -> None:
    goal = {"radius": 2.0, "centre": (1.0, -0.5)}  # what is to be found
    data, _ = page.data("circle", samples=600, seed=seed, dtype="float64", **goal)
    m = len(data)

    def leaf(name, value, learned=False):
        place = {"dtype": "float64", "device": page.device}
        return en.tensor(float(value), requires_grad=learned, name=name, **place)

    def start():
        return [leaf(name, value, True) for name, value in (("w₀", 1), ("w₁", 0), ("w₂", 0))]

    def circle(w, x1, x2):
        return (x1 - w[1]) ** 2 + (x2 - w[2]) ** 2 - w[0] ** 2

    def cross_entropy(y_hat, y):
        return -y * y_hat.log() - (1 - y) * (1 - y_hat).log()

    def epoch(w, parts, rate=learning_rate):
        before, total = [weight.item() for weight in w], 0.0
        for weight in w:
            weight.zero_grad()
        for x1, x2, y in parts:
            loss = cross_entropy(circle(w, x1, x2).sigmoid(), y).sum()
            loss.backward()
            total += loss.item()
        with en.no_grad():
            for weight in w:
                weight -= rate * weight.grad / m
        return before, total / m, [weight.grad.item() / m for weight in w]

    samples = list(zip(*data.x.T.tolist(), data.y.tolist(), strict=True))
    (x1, x2, y), w = samples[0], start()
    z = circle(w, leaf("x₁", x1), leaf("x₂", x2))
    z.backward()
    page.draw("Of one sample, z: values above, gradients below", en.plot.graph, z)
    slopes = [weight.grad.item() for weight in w]
    by_hand = (-2 * 1.0, -2 * (x1 - 0.0), -2 * (x2 - 0.0))
    page.compare("∂z/∂w₀, ∂z/∂w₁, ∂z/∂w₂", by_hand, slopes, tolerance=1e-12)
    y_hat = z.sigmoid()
    loss = cross_entropy(y_hat, leaf("y", y))
    z.name, y_hat.name, loss.name = "z", "ŷ", "Loss"
    p = 1 / (1 + np.exp(1 - x1**2 - x2**2))
    by_hand = -y * np.log(p) - (1 - y) * np.log(1 - p)
    page.compare("Loss of one sample", by_hand, loss, tolerance=1e-12)
    page.draw("The complete graph of one sample, up to its loss", en.plot.graph, loss)
    page.correct(
        "ŷ where z = 0.5",
        0.5,
        1 / (1 + np.exp(-0.5)),
        leaf("z", 0.5).sigmoid(),
        tolerance=0.0005,
        reason="The slide parts the classes at z = 0.5; ŷ is 0.5 where z = 0, on the circle.",
    )

    # The slide's loop, sample by sample; then the same with all samples in one pass.
    columns = (*data.x.T, data.y.astype("float64"))
    batch = [[en.tensor(column, device=page.device) for column in columns]]
    w = start()
    by_sample = [epoch(w, samples)[2] for _ in range(min(2, epochs))]
    w = start()
    steps = [epoch(w, batch) for _ in range(epochs)]
    at_once = [gradient for _, _, gradient in steps[:2]]
    page.compare("gradients by sample, as a batch", by_sample, at_once, tolerance=1e-12)

    losses = {"at the start": steps[0][1]}
    for formula, rate in ("w + rate · grad / m", -0.01), ("w − rate · grad / m", 0.01):
        stepped = start()
        epoch(stepped, batch, rate)
        losses[formula] = epoch(stepped, batch)[1]
    page.correct(
        "the step that lowers the loss",
        "w + rate · grad / m",
        "w − rate · grad / m",
        min(losses, key=losses.get),
        reason="The gradient points uphill; other slides have the minus sign.",
    )
    page.table("One step with rate 0.01", ("step", "loss"), list(losses.items()))

    radius, centre = abs(w[0].item()), [w[1].item(), w[2].item()]
    page.compare("radius found, |w₀|", goal["radius"], radius, tolerance=0.1)
    page.compare("centre found, (w₁, w₂)", goal["centre"], centre, tolerance=0.1)
    page.draw(
        "The circle that was found: only samples close to it are on the wrong side",
        en.plot.decision_regions,
        lambda x: ((x - centre) ** 2).sum(axis=1) - radius**2,
        data,
        title=f"Centre ({centre[0]:.2f}, {centre[1]:.2f}), radius {radius:.2f}",
    )
    path = np.array([before for before, _, _ in steps]).T
    page.draw(
        "Where the three numbers come from, and where they end",
        en.plot.curves,
        range(1, epochs + 1),
        {"w₀, radius": path[0], "w₁, centre": path[1], "w₂, centre": path[2]},
        title="From a circle of radius 1 around (0, 0)",
        x_label="epoch",
        y_label="weight",
        logarithmic="x",
    )
