"""Image classifier: ten scores, W x, of the numbers of an image; each row of W is a template.

    f(x, W) = W x

    x     32 x 32 x 3 numbers 0...1, 3072 in all
    W     10 x 3072
    f     10 numbers, the class scores

    CIFAR-10: 10 labels, 50,000 training images, 10,000 test images

Lecture 003, "Classification goal", "Classification scores", "Linear classifier".
"""

import math

import numpy as np

import engine as en
from engine.lessons.page import Page

SHAPES = {"cifar-10": (3, 32, 32), "mnist": (28, 28), "fashion-mnist": (28, 28), "digits": (8, 8)}


def run(
    page: Page,
    *,
    learning_rate: float = 0.003,
    epochs: int = 3,
    seed: int = 0,
    data: str = "cifar-10",
) -> None:
    if data not in SHAPES:
        allowed = ", ".join(SHAPES)
        raise en.ArgumentError(f"image-classifier: data {data!r} was given; allowed are {allowed}.")
    train, test = page.data(data, labelled=True)
    images, classes = test.x.reshape(-1, *SHAPES[data]), test.class_names
    page.say(f"{len(train):,} training images and {len(test):,} test images of {data}.")

    linear = en.Linear(train.features, train.classes, bias=False, initializer="zeros")
    model = en.Sequential(en.Flatten(), linear)
    trainer = en.Trainer(
        model,
        loss=en.CrossEntropy(),
        optimizer=en.SGD(model.parameters(), learning_rate=learning_rate, momentum=0.9),
        device=page.device,
        seed=seed,
    )
    before = trainer.evaluate(test)["loss"]
    history = trainer.fit(train, epochs=epochs, batch_size=128)
    after = trainer.evaluate(test)["loss"]
    scores = trainer.predict(test.x)
    W = linear.weight.numpy().T  # the engine keeps a column for each class, the slide a row

    page.compare("numbers in an image x", math.prod(SHAPES[data]), images[0].size, tolerance=0)
    page.compare("class scores f(x, W)", 10, scores.shape[1], tolerance=0)
    page.compare("shape of W", (10, math.prod(SHAPES[data])), W.shape, tolerance=0)
    page.compare("f(x, W) = W x", W @ images[0].ravel(), scores[0], tolerance=1e-4)
    page.compare("loss where W = 0: log 10", np.log(10), before, tolerance=1e-4)
    page.check(
        "loss after training",
        "lower",
        f"{history['loss'][-1]:.3f} on training images, {after:.3f} on test images",
        max(history["loss"][-1], after) < before,
    )
    accuracy = np.mean(scores.argmax(axis=1) == test.y)
    right = f"{accuracy:.1%} of the test images right"
    page.check("the highest score", "better than guessing, 10%", right, accuracy > 0.2)

    truth = classes[test.y[0]]
    ranked = [(classes[k], f"{scores[0, k]:.2f}") for k in np.argsort(-scores[0])]
    page.table(f"Scores of the first test image (it shows: {truth})", ("class", "score"), ranked)
    low, high = W.min(axis=1, keepdims=True), W.max(axis=1, keepdims=True)
    templates = (W - low) / (high - low)
    page.draw(
        "Each row of W as an image, its weights brought to 0...1: what the class looks for",
        en.plot.images,
        templates.reshape(10, *SHAPES[data]),
        classes,
        columns=5,
        title="Learned templates",
    )
    best = scores.argmax(axis=0)
    page.draw(
        "The test image with the highest score of each class: it has the template's colours",
        en.plot.images,
        images[best],
        [f"{name}: {score:.1f}" for name, score in zip(classes, scores.max(axis=0), strict=True)],
        columns=5,
        title="Highest scores",
    )
