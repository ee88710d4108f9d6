"""Fits: a polynomial that is too simple misses the curve, one that is too rich follows the noise.

    degree 1     a(x) = b + w₁x                                underfitting
    degree 4     a(x) = b + w₁x + w₂x² + w₃x³ + w₄x⁴           appropriate
    degree 15    a(x) = b + w₁x + w₂x² + ... + w₁₅x¹⁵          overfitting

    Generalization: how well does the model perform on new data?

Lecture 000, "Generalization", "Underfitting", "Appropriate Fitted Model", "Overfitting".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def powers(x, degree):
    """The columns 1, x, x², ...: a(x) = powers(x) w."""
    return np.vander(x, degree + 1, increasing=True)


def run(page: Page, *, learning_rate: float = 0.3, epochs: int = 60, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    x = np.linspace(-1, 1, 35)
    y = np.cos(0.75 * np.pi * (x + 1)) + random.normal(0, 0.2, 35)
    train, new = (x[::2], y[::2]), (x[1::2], y[1::2])

    def fit(degree):
        """b, w₁, w₂, ... with the smallest mean squared error, by gradient descent."""
        x, y = train
        # Powers are nearly parallel columns, along which descent would take forever. Sums of them
        # at right angles to each other, by a QR decomposition, make up the same polynomials.
        upright = np.linalg.inv(np.linalg.qr(powers(x, degree)).R) * np.sqrt(len(x))
        model = en.Linear(degree + 1, 1, bias=False, initializer="zeros", dtype="float64")
        optimizer, loss = en.SGD(model.parameters(), learning_rate), en.MeanSquaredError()
        trainer = en.Trainer(model, loss=loss, optimizer=optimizer, device=page.device)
        trainer.fit((powers(x, degree) @ upright, y[:, None]), epochs=epochs, batch_size="all")
        return upright @ model.weight.numpy()[:, 0]

    def error(w, part):
        x, y = part
        return np.mean((powers(x, len(w) - 1) @ w - y) ** 2)

    fitted = {degree: fit(degree) for degree in range(1, 16)}
    training = {degree: error(w, train) for degree, w in fitted.items()}
    validation = {degree: error(w, new) for degree, w in fitted.items()}

    for degree in (1, 4, 15):
        exact = np.linalg.lstsq(powers(train[0], degree), train[1], rcond=None)[0]
        for name, part, found in ("training", train, training), ("validation", new, validation):
            row = f"degree {degree}, {name} error"
            page.compare(row, error(exact, part), found[degree], tolerance=1e-5, relative=True)
    rises = sum(training[degree + 1] > training[degree] + 1e-9 for degree in range(1, 15))
    steps = "falls" if rises == 0 else f"rises {rises} times"
    page.check("training error, degree by degree", "falls", steps, rises == 0)
    best = min((1, 4, 15), key=validation.__getitem__)
    page.check("smallest validation error of the three", "degree 4", f"degree {best}", best == 4)
    both = f"{training[1]:.2g}, {validation[1]:.2g}"
    under = min(training[1], validation[1]) > 2 * max(training[4], validation[4])
    page.check("degree 1, training and validation", "both large", both, under)
    both = f"{training[15]:.2g}, {validation[15]:.2g}"
    over = training[15] < training[4] / 2 and validation[15] > 10 * validation[4]
    page.check("degree 15, training and validation", "small, large", both, over)

    columns = ("degree", "training error", "validation error", "largest weight")
    rows = [(n, training[n], validation[n], np.abs(w).max()) for n, w in fitted.items()]
    page.table("Mean squared errors", columns, rows)
    axis = np.linspace(-1, 1, 401)
    page.draw(
        "Degree 1 misses the bend, 4 follows it, 15 runs after the noise of the training points",
        en.plot.curves,
        axis,
        {f"degree {degree}": powers(axis, degree) @ fitted[degree] for degree in (1, 4, 15)},
        points={"training": train, "validation": new},
        title="Underfitting, appropriate, overfitting",
        y_label="a(x)",
        limits=(-2.0, 2.0),
    )
    page.draw(
        "Training error only falls; validation error turns up where overfitting begins",
        en.plot.curves,
        [*fitted],
        {"training": [*training.values()], "validation": [*validation.values()]},
        title="Which degree generalizes?",
        x_label="degree",
        y_label="mean squared error",
        logarithmic="y",
    )
