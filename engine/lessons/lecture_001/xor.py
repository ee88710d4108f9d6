"""XOR: two sigmoid neurons draw a line each, and a third one combines what they say.

    OR(a, b)   = σ( 20 a + 20 b − 10)
    NAND(a, b) = σ(−20 a − 20 b + 30)
    AND(a, b)  = σ( 20 a + 20 b − 30)

    XOR(a, b)  = AND(OR(a, b), NAND(a, b))

Lecture 001, "Solving the XOR problem - revisited"; "What do hidden layers do?".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(
    page: Page,
    *,
    hidden: int = 4,
    learning_rate: float = 0.1,
    epochs: int = 60,
    seed: int = 0,
) -> None:
    corners = en.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float64", device=page.device)
    a, b = corners[:, 0], corners[:, 1]
    either = (20 * a + 20 * b - 10).sigmoid()
    not_both = (-20 * a - 20 * b + 30).sigmoid()
    both = (20 * a + 20 * b - 30).sigmoid()
    xor = (20 * either + 20 * not_both - 30).sigmoid()
    page.compare("OR of 00, 01, 10, 11", (0, 1, 1, 1), either, tolerance=1e-4)
    page.compare("NAND of 00, 01, 10, 11", (1, 1, 1, 0), not_both, tolerance=1e-4)
    page.compare("AND of 00, 01, 10, 11", (0, 0, 0, 1), both, tolerance=1e-4)
    page.compare("XOR of 00, 01, 10, 11", (0, 1, 1, 0), xor, tolerance=1e-4)

    # The same three neurons as a network: a column of weights for each neuron of a layer.
    slide = en.Sequential(en.Linear(2, 2), en.Sigmoid(), en.Linear(2, 1), en.Sigmoid())
    slide.load_state_dict(
        {
            "0.weight": [[20.0, -20.0], [20.0, -20.0]],
            "0.bias": [-10.0, 30.0],
            "2.weight": [[20.0], [20.0]],
            "2.bias": [-30.0],
        }
    )
    slide.to(page.device, dtype="float64")
    page.compare("XOR as a 2-2-1 network", (0, 1, 1, 0), slide(corners).reshape(4), tolerance=1e-4)

    # Points around the corners, moved from (−1, 1) to (0, 1), and weights that nobody has chosen.
    parts = page.data("xor", seed=seed)
    names = ("a", "b"), ("0", "1")
    train, test = (en.data.Dataset((part.x + 1) / 2, part.y, "XOR", *names) for part in parts)
    en.seed(seed)
    model = en.Sequential(en.Linear(2, hidden), en.Sigmoid(), en.Linear(hidden, 1))
    trainer = en.Trainer(
        model,
        loss=en.BinaryCrossEntropy(from_logits=True),
        optimizer=en.Adam(model.parameters(), learning_rate=learning_rate),
        device=page.device,
        seed=seed,
    )
    targets = train.y.reshape(-1, 1).astype("float32")
    history = trainer.fit((train.x, targets), epochs=epochs, batch_size=32)
    answers = trainer.predict(corners.numpy()).reshape(4) > 0
    right = ((trainer.predict(test.x).reshape(-1) > 0) == test.y).mean()
    page.compare("XOR learned, 00, 01, 10, 11", (0, 1, 1, 0), answers.astype(int), tolerance=0)
    page.check("XOR learned, on new points", "learned", f"{right:.0%} right", right >= 0.95)

    values = np.stack([one.numpy() for one in (either, not_both, xor)], axis=1)
    cells = [[f"{value:.4f}" for value in row] for row in values]
    rows = [(name, *row) for name, row in zip(("00", "01", "10", "11"), cells, strict=True)]
    page.table("The truth table", ("a b", "OR", "NAND", "AND of the two"), rows)
    lines = {"OR": (-10, 20, 20), "NAND": (30, -20, -20)}
    page.draw(
        "The slide's network: OR is one line, NAND another, and between the two is XOR",
        en.plot.decision_regions,
        slide,
        test,
        threshold=0.5,
        title="Weights by hand",
        lines=lines,
    )
    page.draw(
        "What each neuron says over the plane: OR above, NAND below, and then the output",
        en.plot.neurons,
        slide,
        test,
        title="OR and NAND give XOR",
        threshold=0.5,
    )
    page.say(
        "Two hidden neurons are enough, and yet descent from chance weights often ends with a "
        f"quarter of the points wrong: try --hidden 2 with several seeds. Here it has {hidden}."
    )
    page.draw(
        f"Learned from {len(train)} points: descent finds borders of its own",
        en.plot.decision_regions,
        model,
        test,
        title="Weights learned",
    )
    page.draw("How it was learned", en.plot.history, history)
