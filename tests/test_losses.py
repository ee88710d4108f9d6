"""Is every loss the number that a hand computes, with its gradient, in every form of target?"""

import math

import numpy as np
import pytest
from differences import assert_close, assert_gradients

import engine as en

LECTURE = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
LABELS = np.array([0, 1, 2])
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(5, 4))
CLASSES = np.array([3, 0, 0, 2, 1])
PROBABILITIES = GENERATOR.dirichlet(np.ones(4), 5)
OUTPUTS, TARGETS = GENERATOR.normal(size=(5, 3)), GENERATOR.normal(size=(5, 3)) + 3.0
SIGNS = np.where(GENERATOR.random((5, 3)) < 0.5, -1.0, 1.0)
SURE = GENERATOR.uniform(0.1, 0.9, (5, 3))
BITS = (SIGNS + 1) / 2


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def hinge(s, labels, margin):
    terms = np.maximum(0, s - s[np.arange(len(s)), labels][:, None] + margin)
    terms[np.arange(len(s)), labels] = 0
    return terms.sum(axis=1)


def huber(d, delta):
    return np.where(np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2))


def smooth(target, smoothing):
    return (1 - smoothing) * target + smoothing / target.shape[1]


ONE_HOT = np.eye(4)[CLASSES]
# Each loss, a prediction and a target, and its units' losses written another way.
CASES = {
    "squared": (en.SquaredError, {}, OUTPUTS, TARGETS, ((OUTPUTS - TARGETS) ** 2).sum(axis=1)),
    "half squared": (en.SquaredError, {"factor": 0.5}, OUTPUTS, TARGETS, 0.5 * ((OUTPUTS - TARGETS) ** 2).sum(axis=1)),
    "mean squared": (en.MeanSquaredError, {}, OUTPUTS, TARGETS, (OUTPUTS - TARGETS) ** 2),
    "mean absolute": (en.MeanAbsoluteError, {}, OUTPUTS, TARGETS, abs(OUTPUTS - TARGETS)),
    "huber": (en.Huber, {"delta": 2.5}, OUTPUTS, TARGETS, huber(OUTPUTS - TARGETS, 2.5)),
    "cross-entropy": (en.CrossEntropy, {}, LOGITS, CLASSES, -log_softmax(LOGITS)[np.arange(5), CLASSES]),
    "cross-entropy, smoothed": (
        en.CrossEntropy,
        {"label_smoothing": 0.2},
        LOGITS,
        CLASSES,
        -(smooth(ONE_HOT, 0.2) * log_softmax(LOGITS)).sum(axis=1),
    ),
    "cross-entropy, probabilities": (
        en.CrossEntropy,
        {},
        LOGITS,
        PROBABILITIES,
        -(PROBABILITIES * log_softmax(LOGITS)).sum(axis=1),
    ),
    "cross-entropy, smoothed probabilities": (
        en.CrossEntropy,
        {"label_smoothing": 0.2},
        LOGITS,
        PROBABILITIES,
        -(smooth(PROBABILITIES, 0.2) * log_softmax(LOGITS)).sum(axis=1),
    ),
    "binary": (
        en.BinaryCrossEntropy,
        {},
        SURE,
        BITS,
        -(BITS * np.log(SURE) + (1 - BITS) * np.log(1 - SURE)),
    ),
    "binary, logits": (
        en.BinaryCrossEntropy,
        {"from_logits": True},
        OUTPUTS,
        SURE,
        np.log(1 + np.exp(OUTPUTS)) - SURE * OUTPUTS,
    ),
    "logistic": (en.Logistic, {}, OUTPUTS, SIGNS, np.log(1 + np.exp(-SIGNS * OUTPUTS))),
    "hinge": (en.Hinge, {}, LOGITS, CLASSES, hinge(LOGITS, CLASSES, 1.0)),
    "hinge, margin": (en.Hinge, {"margin": 0.3}, LOGITS, CLASSES, hinge(LOGITS, CLASSES, 0.3)),
}
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0])


def reduced(units, reduction, weights=None):
    if weights is None:
        return {"mean": units.mean(), "sum": units.sum(), "none": units}[reduction]
    wide = np.broadcast_to(weights if units.ndim == 1 else weights[:, None], units.shape)
    return {"mean": (units * wide).sum() / wide.sum(), "sum": (units * wide).sum(), "none": units * wide}[reduction]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["all alike", "sample weights"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, reduction, weights, backend):
    kind, settings, prediction, target, units = CASES[name]
    loss = kind(reduction=reduction, **settings)
    aim = en.tensor(target, device=backend)
    value = assert_gradients(lambda z: loss(z, aim, sample_weight=weights), [prediction], backend)
    assert_close(value, reduced(units, reduction, weights), tolerance=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["squared", "half squared", "mean squared", "mean absolute", "huber"])
def test_gradients_of_targets(name, reduction, backend):
    kind, settings, prediction, target, _ = CASES[name]
    loss = kind(reduction=reduction, **settings)
    assert_gradients(loss, [prediction, target], backend)
    assert_gradients(lambda y: loss(en.tensor(prediction, device=backend), y), [target], backend)


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees_with_float64(name, backend):
    kind, settings, prediction, target, units = CASES[name]
    narrow = prediction.astype("float32")
    aim = target.astype("float32") if target.dtype.kind == "f" else target
    value = kind(**settings)(en.tensor(narrow, device=backend), aim)
    assert value.dtype == "float32"
    assert value.shape == ()
    assert abs(value.item() - units.mean()) <= 1e-5 * max(1.0, abs(units.mean()))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_small_batches(name, rows, backend):
    kind, settings, prediction, target, units = CASES[name]
    value = assert_gradients(lambda z: kind(**settings)(z, target[:rows]), [prediction[:rows]], backend)
    assert_close(value, units[:rows].mean(), tolerance=1e-12)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("name", ["squared", "mean squared", "mean absolute", "huber", "binary, logits", "logistic"])
def test_other_shapes(name, shape, backend):
    kind, settings, *_ = CASES[name]
    generator = np.random.default_rng(0)
    prediction = generator.normal(size=shape)
    target = np.where(generator.random(shape) < 0.5, -1.0, 1.0)
    target = (target + 1) / 2 if name == "binary, logits" else target
    for reduction in ("mean", "sum", "none"):
        for weights in (None, np.arange(1.0, shape[0] + 1)):
            loss = kind(reduction=reduction, **settings)
            if name == "squared" and len(shape) != 2:
                continue
            value = assert_gradients(lambda z: loss(z, target, sample_weight=weights), [prediction], backend)  # noqa: B023
            assert value.shape == (() if reduction != "none" else shape[:1] if kind.per_sample else shape)


# -- the lectures' numbers -------------------------------------------------------------------------------


def test_lecture_hinge(backend):
    scores = en.tensor(LECTURE, device=backend)
    np.testing.assert_allclose(en.Hinge(reduction="none")(scores, LABELS).numpy(), [2.9, 0.0, 12.9], rtol=1e-12)
    assert en.Hinge()(scores, LABELS).item() == pytest.approx(5.27, abs=0.005)
    # Where W has loss 0, 2W has loss 0 too.
    assert en.Hinge()(scores[1:2], LABELS[1:2]).item() == en.Hinge()(2 * scores[1:2], LABELS[1:2]).item() == 0.0


def test_lecture_cross_entropy(backend):
    scores = en.tensor(LECTURE[:1], device=backend)
    np.testing.assert_allclose(scores.exp().numpy(), [[24.5, 164.0, 0.18]], atol=0.05)
    np.testing.assert_allclose(scores.softmax().numpy(), [[0.13, 0.87, 0.00]], atol=5e-3)
    loss = en.CrossEntropy()(scores, LABELS[:1]).item()
    assert round(loss, 2) == 2.04
    assert round(loss / math.log(10), 2) == 0.89  # what the slide prints: the logarithm of base 10


def test_lecture_loss_surface():
    """o = sigmoid(w x - 0.5), the sum of (y - o)^2 over four points, without rounding o."""
    x, y = np.array([[0.1], [0.2], [0.6], [0.9]]), np.array([[0.0], [0.0], [1.0], [1.0]])
    loss = en.SquaredError(reduction="sum")
    values = [loss((w * en.tensor(x) - 0.5).sigmoid(), y).item() for w in (0.0, 2.0)]
    np.testing.assert_allclose(values, [1.0600, 0.5627], atol=5e-5)


# -- cross-entropy ---------------------------------------------------------------------------------------


def test_cross_entropy_does_not_change_with_a_shift(backend):
    loss = en.CrossEntropy(reduction="none")
    for target in (CLASSES, PROBABILITIES):
        here = loss(en.tensor(LOGITS, device=backend), target).numpy()
        moved = loss(en.tensor(LOGITS + 1000.0, device=backend), target).numpy()
        np.testing.assert_allclose(moved, here, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [80.0, 1e4])
def test_huge_logits(scale, dtype, backend):
    logits = np.array([[scale, -scale, 0.0]] * 2, dtype)
    z = en.tensor(logits, requires_grad=True, device=backend)
    losses = en.CrossEntropy(reduction="none")(z, np.array([0, 1]))
    np.testing.assert_allclose(losses.numpy(), [0.0, 2 * scale], rtol=1e-6, atol=1e-30)
    losses.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), [[0, 0, 0], [1, -1, 0]], atol=1e-30)
    one = en.tensor(np.array([[scale], [-scale]], dtype), requires_grad=True, device=backend)
    for loss, targets, expected, slopes in (
        (en.BinaryCrossEntropy(from_logits=True, reduction="none"), [[0.0], [0.0]], [[scale], [0.0]], [[1.0], [0.0]]),
        (en.Logistic(reduction="none"), [[-1.0], [-1.0]], [[scale], [0.0]], [[1.0], [0.0]]),
    ):
        one.zero_grad()
        losses = loss(one, np.array(targets, dtype))
        np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6, atol=1e-30)
        losses.sum().backward()
        np.testing.assert_allclose(one.grad.numpy(), slopes, atol=1e-30)


def test_sure_and_wrong_probabilities(backend):
    p = en.tensor([[0.0], [1.0], [1.0]], requires_grad=True, device=backend)
    losses = en.BinaryCrossEntropy(reduction="none")(p, np.array([[1.0], [0.0], [1.0]], "float32"))
    assert losses.tolist() == [[100.0], [100.0], [0.0]]
    losses.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("kind", [en.CrossEntropy, en.Hinge])
def test_labels_of_every_integer_dtype(kind, dtype, backend):
    labels = CLASSES.astype(dtype)
    z = en.tensor(LOGITS, requires_grad=True, device=backend)
    expected = kind()(z, CLASSES).item()
    for given in (labels, labels.tolist(), en.tensor(labels, device=backend), backend.asarray(labels)):
        loss = kind()(z, given)
        assert loss.item() == expected
        loss.backward()


def test_both_forms_of_target_agree(backend):
    for settings in ({}, {"label_smoothing": 0.3}):
        loss = en.CrossEntropy(**settings)
        z = en.tensor(LOGITS, requires_grad=True, device=backend)
        first = loss(z, CLASSES)
        first.backward()
        gradient = z.grad.numpy()
        z.zero_grad()
        second = loss(z, ONE_HOT)
        second.backward()
        assert_close(second.item(), first.item(), tolerance=1e-12)
        assert_close(z.grad.numpy(), gradient, tolerance=1e-12)


CLASS_WEIGHT = [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["all alike", "sample weights"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights(smoothing, sample_weight, reduction, backend):
    """The mean divides by the summed weights of the samples' classes."""
    w = np.array(CLASS_WEIGHT)
    units = -(w * smooth(ONE_HOT, smoothing) * log_softmax(LOGITS)).sum(axis=1)
    counted = np.ones(5) if sample_weight is None else sample_weight
    expected = {
        "none": units * counted,
        "sum": (units * counted).sum(),
        "mean": (units * counted).sum() / (w[CLASSES] * counted).sum(),
    }[reduction]
    loss = en.CrossEntropy(class_weight=CLASS_WEIGHT, label_smoothing=smoothing, reduction=reduction)
    value = assert_gradients(lambda z: loss(z, CLASSES, sample_weight=sample_weight), [LOGITS], backend)
    assert_close(value, expected, tolerance=1e-12)


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda w: np.array(w, "float32"), en.tensor])
def test_class_weights_of_every_form(form):
    loss = en.CrossEntropy(class_weight=form(CLASS_WEIGHT))
    assert (
        loss(en.tensor(LOGITS), CLASSES).item()
        == en.CrossEntropy(class_weight=CLASS_WEIGHT)(en.tensor(LOGITS), CLASSES).item()
    )
    assert loss(en.tensor(LOGITS, dtype="float32"), CLASSES).dtype == "float32"


def test_class_weights_with_probabilities(backend):
    w = np.array(CLASS_WEIGHT)
    loss = en.CrossEntropy(class_weight=CLASS_WEIGHT, reduction="sum")
    value = assert_gradients(lambda z: loss(z, PROBABILITIES), [LOGITS], backend)
    assert_close(value, -(w * PROBABILITIES * log_softmax(LOGITS)).sum(), tolerance=1e-12)


# -- triplets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_triplets(reduction, backend):
    anchor, positive, negative = (np.random.default_rng(seed).normal(size=(6, 3)) for seed in range(3))
    squared = ((anchor - positive) ** 2).sum(axis=1) - ((anchor - negative) ** 2).sum(axis=1) + 0.7
    units = np.maximum(squared, 0)
    assert 0 < (units > 0).sum() < 6
    loss = en.TripletMargin(margin=0.7, reduction=reduction)
    value = assert_gradients(loss, [anchor, positive, negative], backend)
    assert_close(value, reduced(units, reduction), tolerance=1e-12)
    weights = WEIGHTS[[0, 1, 2, 3, 4, 0]]
    value = assert_gradients(
        lambda a, p, n: loss(a, p, n, sample_weight=weights), [anchor, positive, negative], backend
    )
    assert_close(value, reduced(units, reduction, weights), tolerance=1e-12)


def test_triplets_with_frozen_parts(backend):
    a, p, n = (np.random.default_rng(seed).normal(size=(4, 2)) for seed in range(3))
    loss = en.TripletMargin(margin=5.0)
    assert_gradients(lambda n: loss(en.tensor(a, device=backend), en.tensor(p, device=backend), n), [n], backend)
    assert_gradients(lambda a: loss(a, p, n), [a], backend)
    with pytest.raises(en.ShapeError, match=r"embeddings are \(batch, features\)"):
        loss(en.tensor([1.0]), [1.0], [2.0])
    with pytest.raises(en.ShapeError, match="TripletMargin: target has shape"):
        loss(en.tensor([[1.0]]), [[1.0]], [[2.0, 3.0]])


# -- a loss of one's own ---------------------------------------------------------------------------------


class LogCosh(en.Loss):
    def unit_losses(self, prediction, target):
        difference = prediction - target
        return (difference.exp() + (-difference).exp()).log() - math.log(2.0)


class FirstOutput(en.Loss):
    """One number a sample, with a setting."""

    per_sample = True

    def __init__(self, factor=1.0, reduction="mean"):
        self.factor = factor
        super().__init__(reduction)

    def unit_losses(self, prediction, target):
        return abs(prediction - target)[:, 0] * self.factor


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["all alike", "sample weights"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_of_ones_own(reduction, weights, backend):
    difference = OUTPUTS - TARGETS
    for loss, units in (
        (LogCosh(reduction), np.log(np.cosh(difference))),
        (FirstOutput(2.0, reduction), 2 * abs(difference[:, 0])),
    ):
        value = assert_gradients(lambda z: loss(z, TARGETS, sample_weight=weights), [OUTPUTS], backend)  # noqa: B023
        assert_close(value, reduced(units, reduction, weights), tolerance=1e-9)


def test_a_loss_of_ones_own_checks_its_target():
    with pytest.raises(en.ShapeError, match=r"LogCosh: target has shape \(2,\), prediction \(2, 1\)"):
        LogCosh()(en.tensor([[0.0], [0.0]]), np.zeros(2))


def test_losses_are_shown_with_their_settings():
    assert repr(en.Huber(delta=2.0)) == "Huber(delta=2.0, reduction='mean')"
    assert en.CrossEntropy(label_smoothing=0.1, class_weight=[1, 2]).config() == {
        "label_smoothing": 0.1,
        "class_weight": [1.0, 2.0],
        "reduction": "mean",
    }
    for loss in (en.Hinge(0.5), en.BinaryCrossEntropy(True, "sum"), en.SquaredError(0.5), en.TripletMargin(2.0)):
        assert type(loss)(**loss.config()).config() == loss.config()
