"""Cross-entropy: make the scores positive, make them sum to 1, take -log of the right one.

            scores s       exp       normalize

    cat       3.2          24.5        0.13    P(Y = k | X = xᵢ) = e^s_k / Σ e^s_j
    car       5.1         164.0        0.87
    frog     -1.7           0.18       0.00

    Lᵢ = -log P(Y = yᵢ | X = xᵢ) = -log(0.13) = 2.04      natural logarithm; the slide has 0.89

    Maximize the likelihood of the right class, or minimize its negative logarithm.

Lecture 003, "Another loss: Cross-entropy".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

CLASSES = ("cat", "car", "frog")


def run(page: Page, *, learning_rate: float = 0.5, epochs: int = 20) -> None:
    s = en.tensor([3.2, 5.1, -1.7], requires_grad=True, dtype="float64", device=page.device)
    cat = 0  # the right class
    unnormalized = s.exp()
    p = unnormalized / unnormalized.sum()
    loss = -p[cat].log()

    page.compare("exp, cat", 24.5, unnormalized[0], tolerance=0.05)
    page.compare("exp, car", 164.0, unnormalized[1], tolerance=0.05)
    page.compare("exp, frog", 0.18, unnormalized[2], tolerance=0.005)
    page.compare("P(cat), P(car), P(frog)", (0.13, 0.87, 0.00), p, tolerance=0.005)
    page.compare("their sum", 1, p.sum(), tolerance=1e-12)
    reason = "0.89 is the base-10 logarithm; the natural one is what undoes exp."
    page.correct("Lᵢ = -log(0.13)", 0.89, 2.04, loss, tolerance=0.005, reason=reason)
    page.compare("-log₁₀(0.13)", 0.89, loss / np.log(10), tolerance=0.005)

    # The same as one loss, which takes the scores: its gradient is p, less 1 at the right class.
    cross_entropy = en.CrossEntropy()
    whole = cross_entropy(s.reshape(1, 3), [cat])
    whole.backward()
    slide = np.exp([3.2, 5.1, -1.7]) / np.exp([3.2, 5.1, -1.7]).sum()
    page.compare("Lᵢ, as one loss", -np.log(slide[cat]), whole, tolerance=1e-12)
    page.compare("∂Lᵢ/∂s = p - (1, 0, 0)", slide - [1, 0, 0], s.grad, tolerance=1e-12)
    page.table(
        "From scores to probabilities",
        ("class", "score", "exp", "normalize"),
        [
            (name, f"{s[k].item():.1f}", f"{unnormalized[k].item():.2f}", f"{p[k].item():.2f}")
            for k, name in enumerate(CLASSES)
        ],
    )
    probabilities = np.linspace(0.01, 1, 199)
    page.draw(
        "Nothing where the right class is certain; the less likely it was held, the more",
        en.plot.curves,
        probabilities,
        {"-ln p": -np.log(probabilities), "-log₁₀ p": -np.log10(probabilities)},
        points={
            "the cat: 2.04": ([p[cat].item()], [loss.item()]),
            "the slide: 0.89": ([p[cat].item()], [loss.item() / np.log(10)]),
        },
        title="What the right class costs",
        x_label="probability p of the right class",
        y_label="loss",
    )

    # Descent on the scores: they move by -η (p - y), until the cat is the likely answer.
    likelihoods = [p.numpy()]
    for _ in range(epochs):
        s.zero_grad()
        cross_entropy(s.reshape(1, 3), [cat]).backward()
        with en.no_grad():
            s -= learning_rate * s.grad
        likelihoods.append(s.softmax(0).numpy())
    over_time = dict(zip(CLASSES, np.stack(likelihoods, axis=1), strict=True))
    first, last = over_time["cat"][0], over_time["cat"][-1]
    rises = int((np.diff(over_time["cat"]) > 0).sum())
    page.check(
        "P(cat), minimizing Lᵢ",
        "maximized",
        f"rises in {rises} of {epochs} steps, {first:.2f} to {last:.2f}",
        rises == epochs,
    )
    page.draw(
        "Minimizing the loss lifts the right class over the others, which must sum to the rest",
        en.plot.curves,
        range(epochs + 1),
        over_time,
        title="Descent makes the right class likely",
        x_label="step",
        y_label="probability",
    )
