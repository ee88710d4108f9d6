"""Manifold view: every layer folds the plane, until a straight line parts the classes.

    h₁ᵢ = σ(Σⱼ Wⱼᵢ xⱼ  + bᵢ)    W from layer 0 to 1        σ[(z₁, z₂)] = (σ(z₁), σ(z₂))
    h₂ᵢ = σ(Σⱼ Wⱼᵢ h₁ⱼ + bᵢ)    W from layer 1 to 2        here σ = tanh
    h₃ᵢ = σ(Σⱼ Wⱼᵢ h₂ⱼ + bᵢ)    W from layer 2 to 3

    W turns, stretches and shears the plane,  + b moves it,  σ bends it

    Function view:  what one neuron gives for every (x₁, x₂)
    Manifold view:  where one layer takes every (x₁, x₂)

Lecture 004, "Function view of neural network" to "Matrix notation".
"""

from collections.abc import Sequence

import numpy as np

import engine as en
from engine.lessons.page import Page

STARTS = 5  # with two neurons a layer, descent is caught in a local minimum from some starts


def run(
    page: Page,
    *,
    hidden: Sequence[int] = (2, 2, 2),
    learning_rate: float = 0.03,
    epochs: int = 40,
    seed: int = 0,
    data: str = "moons",
) -> None:
    train, _ = page.data(data, labelled=True, plane=True, seed=seed, scaling="standardize")

    def trained(*layers: en.Layer) -> tuple[en.Sequential, float, float]:
        model = en.Sequential(*layers)
        model.to(dtype="float64")
        loss, adam = en.CrossEntropy(), en.Adam(model.parameters(), learning_rate)
        trainer = en.Trainer(model, loss=loss, optimizer=adam, device=page.device, seed=seed)
        trainer.fit(train, epochs=epochs, batch_size=20)
        right = (trainer.predict(train.x).argmax(axis=1) == train.y).mean()
        return model, trainer.evaluate(train)["loss"], float(right)

    # Orthogonal first weights only turn the plane: whatever is folded later was learned.
    en.seed(seed)
    starts: list[tuple[en.Sequential, float, float]] = []
    while len(starts) < STARTS and not any(right > 0.99 for _, _, right in starts):
        layers: list[en.Layer] = []
        width = train.features
        for units in hidden:
            layers += [en.Linear(width, units, initializer="orthogonal"), en.Tanh()]
            width = units
        starts.append(trained(*layers, en.Linear(width, train.classes)))
    model, _, folded = min(starts, key=lambda start: start[1])
    _, _, straight = trained(en.Linear(train.features, train.classes))

    # Matrix notation: every layer by the slide's sum, for every sample.
    x = en.tensor(train.x, dtype="float64", device=page.device)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    h = x.numpy()
    for layer in range(len(hidden)):
        weight, bias = state[f"{2 * layer}.weight"], state[f"{2 * layer}.bias"]
        h = np.tanh(np.einsum("ji,nj->ni", weight, h) + bias)
        h_engine = model[: 2 * layer + 2](x)
        page.compare(f"h{layer + 1}, all samples", h, h_engine, tolerance=1e-12)
    z1 = state["0.weight"].T @ x.numpy()[0] + state["0.bias"]
    same = np.allclose(np.tanh(z1), model[:2](x).numpy()[0], rtol=0, atol=1e-12)
    right = "σ[Wᵀ · x + b]"
    reason = "The sum runs over the first index of W_ji; W · x would run over the second."
    engine = right if same else "neither"
    page.correct("h1 with the matrix of W_ji", "σ[W · x + b]", right, engine, reason=reason)

    words = f"{straight:.1%} right"
    page.check("a straight line in the plane", "does not part the classes", words, straight < 0.95)
    words = f"{folded:.1%} right"
    better = folded > straight + 0.05
    page.check("a straight line after the folding", "parts them better", words, better)
    rows = [(number, loss, f"{right:.1%}") for number, (_, loss, right) in enumerate(starts, 1)]
    page.table("Descents, each from first weights of its own", ("start", "loss", "right"), rows)
    caption = "Layer by layer the plane is folded, and the line between the classes straightened"
    page.draw(caption, en.plot.folding, model, train, title="Manifold view")
    caption = "What every neuron gives for every point of the plane"
    page.draw(caption, en.plot.neurons, model, train, title="Function view")
