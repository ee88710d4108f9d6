"""Triangle: no line cuts it out, but three logistic regressions make features for a fourth.

    zᵢ = σ(w₀,ᵢ + w₁,ᵢ x₁ + w₂,ᵢ x₂)          one logistic regression per line

    (x₁, x₂) → (z₁, z₂, z₃)                   new features

    z₁(x)   z₂(x)   z₃(x)    y
     0.6     0.3     0.8    -1
     0.7     0.7     0.7    +1

    a = σ(w₀ + w₁ z₁ + w₂ z₂ + w₃ z₃)         what to do next: a fourth one

Lecture 000, "Triangle Problem", "New Features".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

CORNERS = np.array([(-0.9, -0.8), (0.9, -0.8), (0.0, 0.9)])


def run(
    page: Page,
    *,
    hidden: int = 3,
    learning_rate: float = 0.3,
    epochs: int = 300,
    seed: int = 0,
) -> None:
    train, test = page.data("triangle", samples=800, corners=CORNERS, seed=seed, dtype="float64")
    en.seed(seed)

    def learn(model, x):
        """The model, trained by logistic loss on targets y ∈ {+1, -1}."""
        model.to(dtype="float64")
        optimizer, loss = en.Adam(model.parameters(), learning_rate), en.Logistic()
        trainer = en.Trainer(model, loss=loss, optimizer=optimizer, device=page.device, seed=seed)
        trainer.fit((x, 2.0 * train.y[:, None] - 1), epochs=epochs, batch_size=160)
        return model

    def signs(model, x):
        return np.sign(model(en.tensor(x, dtype="float64", device=page.device)).numpy()[:, 0])

    def right(model):
        return np.mean(signs(model, test.x) == 2 * test.y - 1)

    # Assume that somehow we found those 3 lines: n · x + c is the distance from a side.
    along = np.roll(CORNERS, -1, axis=0) - CORNERS
    n = np.stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1)
    c = -np.sum(n.T * CORNERS, axis=1)
    *middle, radius = np.linalg.solve(np.column_stack([n.T, -np.ones(3)]), -c)

    found = {"one line alone": right(learn(en.Linear(2, 1), train.x))}
    for z_middle in (0.7, 0.95, 0.999):  # the steeper the sigmoids, the nearer to yes and no
        slope = np.log(z_middle / (1 - z_middle)) / radius
        lines = en.Sequential(en.Linear(2, 3, dtype="float64"), en.Sigmoid())
        lines[0].load_state_dict({"weight": slope * n, "bias": slope * c})
        lines.to(page.device)
        fourth = learn(en.Linear(3, 1), lines(en.tensor(train.x, device=page.device)).numpy())
        given = en.Sequential(*lines, fourth)
        found[f"three lines, z = {z_middle} in the middle, and a fourth"] = right(given)
        if z_middle == 0.7:
            z = lines(en.tensor(middle, dtype="float64", device=page.device))
            page.compare("z in the middle of the triangle", [0.7, 0.7, 0.7], z, tolerance=1e-9)
            y = signs(fourth, [(0.6, 0.3, 0.8), (0.7, 0.7, 0.7)])
            page.compare("y where z is (0.6, 0.3, 0.8)", -1, y[0], tolerance=0)
            page.compare("y where z is (0.7, 0.7, 0.7)", +1, y[1], tolerance=0)

    # Nobody tells us the lines: all four learned at once.
    learned = en.Sequential(en.Linear(2, hidden), en.Sigmoid(), en.Linear(hidden, 1))
    found["all of it learned at once"] = right(learn(learned, train.x))
    single, *_, three, network = found.values()
    page.check("one line alone", "cannot", f"{single:.1%} right", single < 0.75)
    page.check("three lines and a fourth", "can", f"{three:.1%} right", three > 0.9)
    page.check("all of it learned at once", "can", f"{network:.1%} right", network > 0.9)

    points = np.array([middle, (0.5, -0.6), (0.0, -0.95), (0.7, 0.3), (-0.7, 0.3)])
    z = lines(en.tensor(points, device=page.device)).numpy()
    numbers, y = np.column_stack([points, z]).round(2), signs(given, points)
    rows = [(*row, f"{sign:+.0f}") for row, sign in zip(numbers, y, strict=True)]
    page.table("New features, steep lines", ("x₁", "x₂", "z₁(x)", "z₂(x)", "z₃(x)", "y"), rows)
    page.say("Gentle sigmoids blur the corners; the steeper they are, the nearer z is to 0 or 1.")
    page.table("Test samples on their side", ("classifier", "accuracy"), [*found.items()])
    for caption, model in {
        "Three lines that were given, and a fourth regression on their features": given,
        "The same network found its lines by itself": learned,
    }.items():
        w, w0, *_ = (parameter.numpy() for parameter in model.parameters())
        sides = {f"z{i + 1} = 1/2": (w0[i], *w[:, i]) for i in range(len(w0))}
        page.draw(caption, en.plot.decision_regions, model, test, lines=sides)
    caption = "Each neuron knows one side; the output is high where all agree"
    page.draw(caption, en.plot.neurons, learned, test, title="What each neuron says of (x₁, x₂)")
