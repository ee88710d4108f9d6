"""Vectorised: one pass over a batch gives the gradient of a loop over its samples, sooner.

    ∂/∂w Σᵢ Lossᵢ = Σᵢ ∂Lossᵢ/∂w

    per sample    for x, y in samples: Loss(x, y).backward()      m passes, small ones
    as a batch    Loss(X, Y).backward()                           1 pass

    SIMD: single instruction, multiple data, on CPUs and GPUs

Lecture 001, "Gaining Efficiency"; "Computation Graph of a NN".
"""

import time

import numpy as np

import engine as en
from engine.lessons.page import Page

SIZES = (1, 4, 16, 64, 256, 1024)


def run(page: Page, *, hidden: int = 8, epochs: int = 3, seed: int = 0) -> None:
    data, _ = page.data("circle", samples=2 * SIZES[-1], seed=seed, dtype="float64")
    x = en.tensor(data.x, device=page.device)
    y = en.tensor(data.y.reshape(-1, 1).astype("float64"), device=page.device)
    en.seed(seed)
    model = en.Sequential(en.Linear(2, hidden), en.Tanh(), en.Linear(hidden, 1))
    model.to(page.device, dtype="float64")
    loss = en.BinaryCrossEntropy(from_logits=True, reduction="sum")

    def epoch(m, batch_size):
        """Seconds, passes and the gradient of one epoch over m samples."""
        for parameter in model.parameters():
            parameter.zero_grad()
        begin = time.perf_counter()
        starts = range(0, m, batch_size)
        for start in starts:
            part = slice(start, start + batch_size)
            loss(model(x[part]), y[part]).backward()
        gradient = np.concatenate([one.grad.numpy().ravel() for one in model.parameters()])
        return time.perf_counter() - begin, len(starts), gradient / m

    epoch(SIZES[0], 1)  # what is done once, at a first call, is not measured
    rows, times = [], []
    for m in SIZES:
        per_sample = min((epoch(m, 1) for _ in range(epochs)), key=lambda one: one[0])
        batch = min((epoch(m, m) for _ in range(epochs)), key=lambda one: one[0])
        times.append((1e3 * per_sample[0], 1e3 * batch[0]))
        speed_up = per_sample[0] / batch[0]
        rows.append((m, *(f"{time:.3g}" for time in times[-1]), f"{speed_up:.1f} times"))

    page.compare("gradient / m of 1024 samples", per_sample[2], batch[2], tolerance=1e-12)
    page.compare("passes of an epoch, per sample", SIZES[-1], per_sample[1], tolerance=0)
    page.compare("passes of an epoch, as a batch", 1, batch[1], tolerance=0)
    page.check("speed-up, 1024 samples", "gains efficiency", f"{speed_up:.1f} times", speed_up > 5)
    page.table(
        f"One epoch of a 2-{hidden}-1 network: forward, backward, gradient",
        ("samples m", "per sample / ms", "as a batch / ms", "speed-up"),
        rows,
    )
    page.draw(
        "The loop takes time for each sample; the batch hardly more for a thousand than for one",
        en.plot.curves,
        SIZES,
        dict(zip(("per sample", "as a batch"), zip(*times, strict=True), strict=True)),
        title="Time of one epoch",
        x_label="samples m",
        y_label="time / ms",
        logarithmic="xy",
    )
