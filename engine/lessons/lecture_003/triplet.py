"""Triplet loss: pull an example towards one of its own class, push it away from one of another.

    Σᵢ [ ‖f(xᵢᵃ) − f(xᵢᵖ)‖² − ‖f(xᵢᵃ) − f(xᵢⁿ)‖² + α ]₊        [v]₊ = max(0, v)

    a    anchor
    p    positive: another example of the anchor's class
    n    negative: an example of another class
    α    by how much the negative is to be farther away, in squared distance: here 1

    f is a network that gives each example a place in the plane: its embedding.
    It is never told which class it sees, only who belongs together.

Lecture 003, "Other losses".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def triplets(y, generator):
    """Rows of anchors, positives and negatives: every example is once the anchor."""
    anchors, positives = generator.permutation(len(y)), np.empty(len(y), int)
    for label in np.unique(y):
        members = anchors[y[anchors] == label]
        positives[members] = np.roll(members, 1)
    negatives = generator.integers(len(y), size=len(y))
    while (wrong := y[negatives] == y[anchors]).any():
        negatives[wrong] = generator.integers(len(y), size=wrong.sum())
    return anchors, positives[anchors], negatives


def run(
    page: Page,
    *,
    hidden: int = 64,
    learning_rate: float = 3e-3,
    epochs: int = 30,
    seed: int = 0,
    data: str = "digits",
) -> None:
    train, test = page.data(data, labelled=True, seed=seed)
    x, unseen = (part.x.reshape(len(part), -1) for part in (train, test))
    generator = np.random.default_rng(seed)
    en.seed(seed)
    f = en.Sequential(en.Linear(train.features, hidden), en.ReLU(), en.Linear(hidden, 2))
    f.to(page.device)
    loss_function = en.TripletMargin(margin=1.0)
    optimizer = en.Adam(f.parameters(), learning_rate=learning_rate)

    @en.capture
    def step(anchor, positive, negative):
        loss = loss_function(f(anchor), f(positive), f(negative))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    a, p, n = triplets(test.y, generator)  # of unseen examples, to watch

    def embedding():
        with en.no_grad():
            return f(en.tensor(unseen, device=page.device))

    def squared_distances():
        place = embedding().numpy()
        return [((place[a] - place[other]) ** 2).sum(axis=1) for other in (p, n)]

    before, distances = embedding(), [squared_distances()]
    for _ in range(epochs):
        rows = np.stack(triplets(train.y, generator))
        for batch in np.array_split(rows, max(1, len(x) // 64), axis=1):
            step(*(en.tensor(x[role], device=page.device) for role in batch))
        distances.append(squared_distances())
    after = embedding()

    total = en.TripletMargin(margin=1.0, reduction="sum")
    losses = [total(place[a], place[p], place[n]).item() for place in (before, after)]
    sums = [np.maximum(0, to_p - to_n + 1).sum() for to_p, to_n in distances]
    page.compare("Σ […]₊ before training", sums[0], losses[0], tolerance=1e-5, relative=True)
    page.compare("Σ […]₊ after training", sums[-1], losses[1], tolerance=1e-5, relative=True)
    to_p, to_n = np.mean(distances, axis=2).T
    ratio = to_n / to_p
    nearer = [np.mean(pair[0] < pair[1]) for pair in distances]
    for quantity, expected, (first, *_, last), form in (
        ("Σ […]₊ of unseen examples", "falls", losses, ".1f"),
        ("‖f(a) − f(n)‖² / ‖f(a) − f(p)‖², of the means", "grows", ratio, ".1f"),
        ("the positive is nearer than the negative", "more often", nearer, ".0%"),
    ):
        better = last < first if expected == "falls" else last > first
        page.check(quantity, expected, f"{first:{form}} → {last:{form}}", better)

    for when, place, caption in (
        ("before", before, "Before the training the classes lie in one heap"),
        ("after", after, "After it each class has a place of its own, also for unseen examples"),
    ):
        page.draw(
            caption,
            en.plot.scatter,
            place,
            test.y,
            class_names=test.class_names,
            title=f"Embedding {when} training",
            x_label="f₁(x)",
            y_label="f₂(x)",
        )
    page.draw(
        "The positive stays near; the negative is pushed away",
        en.plot.curves,
        np.arange(epochs + 1),
        {"to the negative": to_n, "to the positive": to_p},
        title="Mean squared distance from the anchor",
        x_label="epoch",
        y_label="‖f(a) − f(·)‖²",
    )
