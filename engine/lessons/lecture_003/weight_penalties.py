"""Weight penalties: prefer small weights, and the net fits the curve instead of the noise.

    L(W) = 1/N Σ Lᵢ(f(xᵢ, W), yᵢ)  +  λ R(W)          data loss + regularization

    L2             R(W) = Σ W²               x  = [1, 1, 1, 1]
    L1             R(W) = Σ |W|              w₁ = [1, 0, 0, 0]
    elastic net    R(W) = Σ βW² + |W|        w₂ = [0.25, 0.25, 0.25, 0.25]

    w₁ᵀx = w₂ᵀx = 1: the same score. L2 likes to spread out the weights: it prefers w₂.
    More complex: dropout, batch normalization, stochastic depth.

Lecture 003, "Weight Regularization": "Expressing preferences", "Preferring simple models".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(
    page: Page,
    *,
    hidden: int = 64,
    learning_rate: float = 0.003,
    epochs: int = 400,
    seed: int = 0,
) -> None:
    x = en.tensor(np.ones(4), device=page.device)
    w1 = en.tensor([1.0, 0.0, 0.0, 0.0], dtype="float64", device=page.device)
    w2 = en.tensor([0.25, 0.25, 0.25, 0.25], dtype="float64", device=page.device)
    page.compare("w₁ᵀx, w₂ᵀx", (1, 1), [(w1 @ x).item(), (w2 @ x).item()], tolerance=0)
    preferences = [
        ("L2 prefers w₂", en.L2(1.0), (1, 4 * 0.25**2)),
        ("L1 does not care", en.L1(1.0), (1, 4 * 0.25)),
        ("elastic net, β = 1", en.ElasticNet(1.0, beta=1.0), (1 + 1, 0.25 + 1)),
    ]
    steps = np.linspace(0, 1, 41)
    way = [(1 - step) * w1 + step * w2 for step in steps]  # all of them have the score 1
    lines = {}
    for name, R, slide in preferences:
        lines[name] = [R.of_weights([w]).item() for w in way]
        page.compare(f"R(w₁), R(w₂): {name}", slide, lines[name][::40], tolerance=0)
    page.draw(
        "From w₁ to w₂ the score stays 1: L2 falls all the way, L1 does not care",
        en.plot.curves,
        steps,
        lines,
        title="Which w does a penalty prefer?",
        x_label="from w₁ = (1, 0, 0, 0) at 0 to w₂ = (¼, ¼, ¼, ¼) at 1",
        y_label="R(w)",
    )

    # Preferring simple models: 20 noisy points of a sine, and a net that could fit any noise.
    chance = np.random.default_rng(seed)
    points = np.concatenate([chance.uniform(-3, 3, 200), np.linspace(-3, 3, 20)])[:, np.newaxis]
    noisy = np.sin(points) + chance.normal(0, 0.5, points.shape)
    validation, train = (points[:200], noisy[:200]), (points[200:], noisy[200:])

    def trained(penalty=None, dropout=0.0, batch_norm=False, skip=0.0):
        en.seed(seed)
        layers = [en.Linear(1, hidden, initializer=en.initializers.normal(2.0)), en.Tanh()]
        for _ in range(2):
            norm = [en.BatchNorm(hidden)] if batch_norm else []
            branch = [en.Linear(hidden, hidden), *norm, en.Tanh(), en.Dropout(dropout)]
            layers.append(en.StochasticDepth(en.Sequential(*branch), skip))
        model = en.Sequential(*layers, en.Linear(hidden, 1))
        trainer = en.Trainer(
            model,
            loss=en.MeanSquaredError(),
            optimizer=en.Adam(model.parameters(), learning_rate=learning_rate),
            penalty=penalty,
            device=page.device,
            seed=seed,
        )
        trainer.fit(train, epochs=epochs, batch_size=5)
        return trainer

    trainers = {
        "none": trained(),
        "L2": trained(en.L2(1e-2)),
        "L1": trained(en.L1(3e-3)),
        "dropout": trained(dropout=0.5),
        "batch norm": trained(batch_norm=True),
        "stochastic depth": trained(skip=0.4),
    }
    line = np.linspace(-3, 3, 241)[:, np.newaxis]
    errors, fits = {}, {}
    for name, trainer in trainers.items():
        errors[name] = [trainer.evaluate(part)["loss"] for part in (train, validation)]
        fits[name] = {"net": trainer.predict(line)[:, 0], "sine": np.sin(line)[:, 0]}
    page.check(
        "without regularization",
        "fits the noise, too",
        "training error {:.3f}, validation error {:.3f}".format(*errors["none"]),
        errors["none"][0] < 0.25 < errors["none"][1],
    )
    gaps = {name: held_out - fitted for name, (fitted, held_out) in errors.items()}
    for name in list(trainers)[1:]:
        page.check(
            f"validation - training error, {name}",
            "not too well on training data",
            f"{gaps[name]:.3f} instead of {gaps['none']:.3f}",
            gaps[name] < gaps["none"],
        )
    page.table(
        "Mean squared errors (of the sine itself: about 0.25, the noise)",
        ("regularization", "20 training points", "200 new points"),
        [(name, *pair) for name, pair in errors.items()],
    )
    page.draw(
        "Without regularization the net runs after single points; each remedy calms it",
        en.plot.panels,
        line[:, 0],
        fits,
        points={"training data": [part[:, 0] for part in train]},
        title="Preferring simple models",
        y_label="y",
        limits=(-2.2, 2.2),
    )
