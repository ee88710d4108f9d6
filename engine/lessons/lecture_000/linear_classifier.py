"""Linear classifier: a weight vector per class gives scores, softmax turns them to probabilities.

    a(x) = argmax_k w_kᵀx                     k = 1, ..., K        K · d parameters
    accuracy = 1/ℓ Σ [a(xᵢ) = yᵢ]             [P] = 1 where P is true, else 0

    z = (w₁ᵀx, ..., w_Kᵀx)                    logits
    σ(z)_k = exp(z_k) / Σ_j exp(z_j)          softmax
    p = ([y = 1], ..., [y = K])               target

    - Σ_k [y = k] log σ(z)_k = - log σ(z)_y   cross-entropy, which can be trained on

Lecture 000, "Construct Our Linear Model", "Classification Loss", "Classification Score",
"Find The Similarity", "Cross-Entropy for Classification".
"""

import math

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(
    page: Page,
    *,
    learning_rate: float = 0.5,
    epochs: int = 30,
    seed: int = 0,
    data: str = "digits",
) -> None:
    train, test = page.data(data, labelled=True, seed=seed, dtype="float64")
    K, d = train.classes, math.prod(train.x.shape[1:])
    linear = en.Linear(d, K, bias=False, initializer="zeros", dtype="float64")
    model = en.Sequential(en.Flatten(), linear)
    trainer = en.Trainer(
        model,
        loss=en.CrossEntropy(),
        optimizer=en.SGD(model.parameters(), learning_rate=learning_rate),
        device=page.device,
        seed=seed,
    )
    untrained = trainer.evaluate(train)["loss"]
    trainer.fit(train, epochs=epochs, batch_size=64)
    parts = {"training": train, "test": test}
    losses = {name: trainer.evaluate(part)["loss"] for name, part in parts.items()}
    outputs = {name: trainer.predict(part.x) for name, part in parts.items()}
    accuracies = {name: en.metrics.accuracy(outputs[name], part.y) for name, part in parts.items()}

    # The class with the largest score, and how often it is right.
    w, X = linear.weight.numpy().T, np.reshape(test.x[:], (len(test), d))
    scores = X @ w.T
    a = np.argmax(scores, axis=1)
    bracket = np.mean([1 if a_i == y_i else 0 for a_i, y_i in zip(a, test.y, strict=True)])
    page.compare("parameters: K · d", K * d, linear.weight.size, tolerance=0)
    found = accuracies["test"]
    page.compare("accuracy 1/ℓ Σ [a(xᵢ) = yᵢ], test", bracket, found, tolerance=1e-12)

    # One sample, from scores to probabilities to its loss.
    x, y = X[0], test.y[0]
    z = np.array([w[k] @ x for k in range(K)])
    softmax = np.exp(z) / np.sum(np.exp(z))
    p = np.array([1 if y == k else 0 for k in range(K)])
    logits = model(en.tensor(test.x[:], device=page.device))
    loss = en.CrossEntropy()(logits[:1], test.y[:1])
    page.compare("logits z of a test sample", z, logits[0], tolerance=1e-10)
    page.compare("softmax σ(z)", softmax, logits.softmax()[0], tolerance=1e-12)
    page.compare("- Σ_k [y = k] log σ(z)_k", -np.sum(p * np.log(softmax)), loss, tolerance=1e-10)
    page.compare("- log σ(z)_y", -np.log(softmax[y]), loss, tolerance=1e-10)

    # The loss of all of them.
    of_label = scores[np.arange(len(test)), test.y]
    logs = of_label - np.log(np.sum(np.exp(scores), axis=1))
    total = en.CrossEntropy(reduction="sum")(logits, test.y)
    page.compare("L(w) = - Σᵢ log σ(zᵢ)_yᵢ, test", -np.sum(logs), total, tolerance=1e-8)
    learned = ", ".join("w" if "weight" in name else "b" for name, _ in model.named_parameters())
    reason = "L(w, b) is printed, but w_kᵀx has no b, and K · d parameters count none."
    page.correct("what the loss depends on", "w, b", "w", learned, reason=reason)
    page.compare("cross-entropy of w = 0: log K", math.log(K), untrained, tolerance=1e-10)
    trained = losses["training"]
    course = f"{untrained:.2f} → {trained:.2f}"
    page.check("cross-entropy in training", "→ min", course, trained < untrained)

    rows = [(name, losses[name], accuracies[name]) for name in parts]
    page.table(f"The classifier on {data}", ("part", "cross-entropy", "accuracy"), rows)
    names = train.class_names
    columns = ("class k", "z_k", "exp(z_k)", "σ(z)_k", "p_k = [y = k]")
    steps = zip(names, z.round(2), np.exp(z).round(3), softmax.round(3), p, strict=True)
    page.table("One test sample, from scores to probabilities", columns, list(steps))

    side = math.isqrt(d)
    if side**2 == d >= 64:  # pixels
        page.draw(
            "Each w_k is a template: pixels above 0 speak for the class, pixels below against it",
            en.plot.images,
            w.reshape(K, side, side),
            names,
            title="Learned weights, a picture per class",
            diverging=True,
        )
    confusion = np.zeros((K, K), dtype=int)
    np.add.at(confusion, (test.y, a), 1)
    page.draw("Which class is taken for which", en.plot.confusion_matrix, confusion, names)
