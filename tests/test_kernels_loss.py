"""Do the loss kernels compute their formulas, their gradients, and the right numbers where a prediction is extreme?"""

import inspect
import math

import numpy as np
import pytest

from backends.kernels.loss import (
    BinaryCrossEntropy,
    BinaryCrossEntropyLogits,
    CrossEntropy,
    CrossEntropyProbabilities,
    Hinge,
    Logistic,
    WeightedCrossEntropy,
)
from backends.kernels.regression_loss import Huber, MeanAbsoluteError, MeanSquaredError, SquaredError, TripletMargin

LECTURE_SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])


def read_only(values):
    array = np.array(values)
    array.setflags(write=False)
    return array


def takes(kernel, name):
    return name in inspect.signature(kernel).parameters


def scratch(pair, direction, like):
    """The ``work`` argument of a direction: as many arrays as it declares, filled with NaN; none for 0."""
    count = getattr(pair, f"{direction}_work")
    return {"work": tuple(np.full_like(like, np.nan) for _ in range(count))} if count else {}


def forward(pair, inputs, **constants):
    """The losses, and everything that backward could read, by name. ``inputs`` in the order of the kernel's own."""
    inputs = {name: None if value is None else read_only(value) for name, value in inputs.items()}
    first = next(iter(inputs.values()))
    outputs = {"losses": np.full(first.shape if per_element(pair) else len(first), np.nan, first.dtype)}
    if takes(pair.forward, "probabilities"):
        outputs["probabilities"] = np.full_like(first, np.nan)
    pair.forward(np, *inputs.values(), **outputs, **scratch(pair, "forward", first), **constants)
    return outputs["losses"], inputs | {name: read_only(value) for name, value in outputs.items()}


def losses(pair, inputs, **constants):
    return forward(pair, inputs, **constants)[0]


def backward(pair, dlosses, inputs, **constants):
    """Every gradient that the pair gives, by the name of its output."""
    _, saved = forward(pair, inputs, **constants)
    first = next(iter(inputs.values()))
    names = [name for name in inspect.signature(pair.backward).parameters if name.startswith("d") and name in GRADIENTS]
    gradients = {name: np.full_like(first, np.nan) for name in names}
    constants = {name: value for name, value in constants.items() if takes(pair.backward, name)}
    arrays = (saved[name] for name in pair.saves)
    pair.backward(np, read_only(dlosses), *arrays, **gradients, **scratch(pair, "backward", first), **constants)
    return gradients


def per_element(pair):
    return pair in (
        MeanSquaredError,
        MeanAbsoluteError,
        Huber,
        BinaryCrossEntropy,
        BinaryCrossEntropyLogits,
        Logistic,
    )


GRADIENTS = {  # output of backward -> the input that it belongs to
    "dlogits": "logits",
    "dscores": "scores",
    "dprediction": "prediction",
    "dtarget": "target",
    "danchor": "anchor",
    "dpositive": "positive",
    "dnegative": "negative",
}


def cases(dtype="float64"):
    """name -> (pair, inputs, constants): seeded, away from kinks."""
    generator = np.random.default_rng(11)

    def normal(*shape):
        return generator.normal(size=shape).astype(dtype)

    def probabilities(*shape):
        return generator.uniform(0.05, 0.95, shape).astype(dtype)

    labelled = {"labels": np.array([2, 0, 3, 3, 1]), "rows": np.arange(5)}
    weights = np.array([0.5, 2.0, 1.0, 0.25], dtype)
    pair_of = {"prediction": normal(5, 3), "target": normal(5, 3)}
    signs = generator.choice([-1.0, 1.0], (5, 3)).astype(dtype)
    triplet = {"anchor": normal(5, 3), "positive": normal(5, 3), "negative": normal(5, 3)}
    return {
        "cross-entropy": (CrossEntropy, {"logits": normal(5, 4), **labelled}, {}),
        "weighted": (
            WeightedCrossEntropy,
            {"logits": normal(5, 4), **labelled, "class_weight": weights},
            {"label_smoothing": 0.0},
        ),
        "weighted-smoothed": (
            WeightedCrossEntropy,
            {"logits": normal(5, 4), **labelled, "class_weight": weights},
            {"label_smoothing": 0.2},
        ),
        "probabilities": (
            CrossEntropyProbabilities,
            {"logits": normal(5, 4), "target": probabilities(5, 4), "class_weight": None},
            {"label_smoothing": 0.0},
        ),
        "probabilities-weighted": (
            CrossEntropyProbabilities,
            {"logits": normal(5, 4), "target": probabilities(5, 4), "class_weight": weights},
            {"label_smoothing": 0.1},
        ),
        "hinge": (Hinge, {"scores": normal(5, 4), **labelled}, {"margin": 1.0}),
        "binary": (BinaryCrossEntropy, {"prediction": probabilities(5, 3), "target": probabilities(5, 3)}, {}),
        "binary-logits": (BinaryCrossEntropyLogits, {"prediction": normal(5, 3), "target": probabilities(5, 3)}, {}),
        "logistic": (Logistic, {"prediction": normal(5, 3), "target": signs}, {}),
        "squared": (SquaredError, pair_of, {"factor": 0.5}),
        "squared-vector": (SquaredError, {"prediction": normal(5), "target": normal(5)}, {"factor": 1.0}),
        "squared-image": (SquaredError, {"prediction": normal(5, 2, 3), "target": normal(5, 2, 3)}, {"factor": 1.0}),
        "mean-squared": (MeanSquaredError, pair_of, {}),
        "mean-absolute": (MeanAbsoluteError, pair_of, {}),
        "huber": (Huber, pair_of, {"delta": 0.8}),
        "triplet": (TripletMargin, triplet, {"margin": 1.0}),
    }


ALL = cases()


def incoming(pair, inputs):
    first = next(iter(inputs.values()))
    shape = first.shape if per_element(pair) else len(first)
    return np.random.default_rng(5).normal(size=shape).astype(first.dtype)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_slope(name):
    pair, inputs, constants = ALL[name]
    dlosses = incoming(pair, inputs)
    gradients = backward(pair, dlosses, inputs, **constants)
    assert gradients
    for output, gradient in gradients.items():
        point = inputs[GRADIENTS[output]]
        numerical = np.empty_like(point)
        for index in np.ndindex(point.shape):
            above, below = point.copy(), point.copy()
            above[index] += 1e-6
            below[index] -= 1e-6
            difference = losses(pair, inputs | {GRADIENTS[output]: above}, **constants) - losses(
                pair, inputs | {GRADIENTS[output]: below}, **constants
            )
            numerical[index] = (dlosses * difference).sum() / 2e-6
        np.testing.assert_allclose(gradient, numerical, rtol=1e-7, atol=2e-8, err_msg=output)


@pytest.mark.parametrize("name", ALL)
def test_float32_agrees_with_float64(name):
    pair, inputs, constants = cases("float32")[name]
    wide = {
        name: value.astype("float64") if value is not None and value.dtype == "float32" else value
        for name, value in inputs.items()
    }
    dlosses = incoming(pair, inputs)
    np.testing.assert_allclose(losses(pair, inputs, **constants), losses(pair, wide, **constants), rtol=1e-5, atol=1e-6)
    expected = backward(pair, dlosses.astype("float64"), wide, **constants)
    for output, gradient in backward(pair, dlosses, inputs, **constants).items():
        np.testing.assert_allclose(gradient, expected[output], rtol=1e-5, atol=1e-6, err_msg=output)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1,), ()])
def test_one_incoming_gradient_serves_every_unit(name, shape):
    pair, inputs, constants = ALL[name]
    everywhere = backward(pair, np.full_like(incoming(pair, inputs), 0.25), inputs, **constants)
    for output, gradient in backward(pair, np.full(shape, 0.25), inputs, **constants).items():
        np.testing.assert_allclose(gradient, everywhere[output], rtol=1e-14, err_msg=output)


@pytest.mark.parametrize("name", ALL)
def test_nan_stays_in_its_own_sample(name):
    pair, inputs, constants = ALL[name]
    first = next(iter(inputs))
    spoiled = inputs[first].copy()
    spoiled[1] = np.nan
    result = losses(pair, inputs | {first: spoiled}, **constants)
    assert np.isnan(result[1]).all()
    assert np.isfinite(np.delete(result, 1, axis=0)).all()


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_cross_entropy_is_minus_the_logarithm_of_the_right_probability():
    _, inputs, _ = ALL["cross-entropy"]
    result, saved = forward(CrossEntropy, inputs)
    p = np.exp(log_softmax(inputs["logits"]))
    np.testing.assert_allclose(saved["probabilities"], p, rtol=1e-14)
    np.testing.assert_allclose(result, [-math.log(p[row, label]) for row, label in enumerate(inputs["labels"])])
    gradient = backward(CrossEntropy, np.ones(5), inputs)["dlogits"]
    np.testing.assert_allclose(gradient, p - np.eye(4)[inputs["labels"]], atol=1e-15)


def test_cross_entropy_of_the_lecture():
    inputs = {"logits": LECTURE_SCORES[:1], "labels": np.array([0]), "rows": np.arange(1)}
    result, saved = forward(CrossEntropy, inputs)
    np.testing.assert_allclose(saved["probabilities"], [[0.13, 0.87, 0.0]], atol=5e-3)
    assert result[0] == pytest.approx(2.04, abs=5e-3)
    assert result[0] / math.log(10) == pytest.approx(0.89, abs=5e-3)  # the slide's base-10 logarithm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label_type", ["int8", "uint8", "int32", "int64", "uint64"])
def test_cross_entropy_of_huge_logits_is_exact(dtype, label_type):
    logits = np.array([[1e4, -1e4], [1e4, -1e4], [-1e4, -1e4], [80, -80], [1e30, 1e30]], dtype)
    inputs = {"logits": logits, "labels": np.array([0, 1, 0, 1, 1], label_type), "rows": np.arange(5)}
    log_2 = np.array(math.log(2), dtype)
    np.testing.assert_array_equal(losses(CrossEntropy, inputs), np.array([0, 2e4, log_2, 160, log_2], dtype))
    gradient = backward(CrossEntropy, np.ones(5, dtype), inputs)["dlogits"]
    np.testing.assert_allclose(gradient, [[0, 0], [1, -1], [-0.5, 0.5], [1, -1], [0.5, -0.5]], atol=1e-15)


def test_cross_entropy_ignores_a_shift_and_an_excluded_class():
    _, inputs, _ = ALL["cross-entropy"]
    shifted = inputs | {"logits": inputs["logits"] + 1000}
    np.testing.assert_allclose(losses(CrossEntropy, shifted), losses(CrossEntropy, inputs), rtol=1e-11)
    excluded = {"logits": np.array([[0.0, -np.inf, 0.0]]), "labels": np.array([0]), "rows": np.arange(1)}
    assert losses(CrossEntropy, excluded) == pytest.approx(math.log(2))
    assert losses(CrossEntropy, excluded | {"labels": np.array([1])}) == np.inf
    np.testing.assert_array_equal(backward(CrossEntropy, np.ones(1), excluded)["dlogits"], [[-0.5, 0, 0.5]])
    weighted = excluded | {"class_weight": np.array([3.0, 1.0, 1.0])}
    assert losses(WeightedCrossEntropy, weighted, label_smoothing=0.0) == pytest.approx(3 * math.log(2))
    assert losses(WeightedCrossEntropy, weighted, label_smoothing=0.1) == np.inf


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_weighted_cross_entropy_weights_and_smooths_each_class(smoothing):
    _, inputs, _ = ALL["weighted"]
    target = (1 - smoothing) * np.eye(4)[inputs["labels"]] + smoothing / 4
    expected = -(inputs["class_weight"] * target * log_softmax(inputs["logits"])).sum(axis=1)
    result = losses(WeightedCrossEntropy, inputs, label_smoothing=smoothing)
    np.testing.assert_allclose(result, expected, rtol=1e-12)

    dense = {"logits": inputs["logits"], "target": np.eye(4)[inputs["labels"]], "class_weight": inputs["class_weight"]}
    np.testing.assert_allclose(losses(CrossEntropyProbabilities, dense, label_smoothing=smoothing), expected)
    dlosses = incoming(WeightedCrossEntropy, inputs)
    np.testing.assert_allclose(
        backward(WeightedCrossEntropy, dlosses, inputs, label_smoothing=smoothing)["dlogits"],
        backward(CrossEntropyProbabilities, dlosses, dense, label_smoothing=smoothing)["dlogits"],
        atol=1e-14,
    )


def test_all_three_cross_entropies_agree_on_plain_labels():
    _, inputs, _ = ALL["cross-entropy"]
    dlosses = incoming(CrossEntropy, inputs)
    dense = {"logits": inputs["logits"], "target": np.eye(4)[inputs["labels"]], "class_weight": None}
    for pair, others in (
        (WeightedCrossEntropy, inputs | {"class_weight": np.ones(4)}),
        (CrossEntropyProbabilities, dense),
    ):
        np.testing.assert_allclose(losses(pair, others, label_smoothing=0.0), losses(CrossEntropy, inputs), rtol=1e-13)
        np.testing.assert_allclose(
            backward(pair, dlosses, others, label_smoothing=0.0)["dlogits"],
            backward(CrossEntropy, dlosses, inputs)["dlogits"],
            atol=1e-15,
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smoothed_and_dense_cross_entropy_of_huge_logits(dtype):
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], dtype)
    labelled = {"logits": logits, "labels": np.array([0, 1]), "rows": np.arange(2), "class_weight": np.ones(2, dtype)}
    expected = [0.05 * 2e4, 0.95 * 2e4]
    np.testing.assert_allclose(losses(WeightedCrossEntropy, labelled, label_smoothing=0.1), expected, rtol=1e-6)
    dense = {"logits": logits, "target": np.eye(2, dtype=dtype), "class_weight": None}
    np.testing.assert_allclose(losses(CrossEntropyProbabilities, dense, label_smoothing=0.1), expected, rtol=1e-6)


def test_targets_need_not_sum_to_one():
    logits = np.array([[1.0, 2.0, 0.5]])
    target = np.array([[0.2, 1.5, 0.7]])
    inputs = {"logits": logits, "target": target, "class_weight": None}
    expected = -(target * log_softmax(logits)).sum()
    assert losses(CrossEntropyProbabilities, inputs, label_smoothing=0.0) == pytest.approx(expected)
    gradient = backward(CrossEntropyProbabilities, np.ones(1), inputs, label_smoothing=0.0)["dlogits"]
    np.testing.assert_allclose(gradient, np.exp(log_softmax(logits)) * 2.4 - target)


def test_hinge_of_the_lecture():
    inputs = {"scores": LECTURE_SCORES, "labels": np.arange(3), "rows": np.arange(3)}
    result = losses(Hinge, inputs, margin=1.0)
    np.testing.assert_allclose(result, [2.9, 0, 12.9], atol=1e-14)
    assert result.mean() == pytest.approx(5.27, abs=5e-3)
    gradient = backward(Hinge, np.ones(3), inputs, margin=1.0)["dscores"]
    np.testing.assert_array_equal(gradient, [[-1, 1, 0], [0, 0, 0], [1, 1, -2]])
    doubled = inputs | {"scores": 2 * LECTURE_SCORES}
    assert losses(Hinge, doubled, margin=1.0)[1] == 0


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_hinge_class_by_class(margin):
    _, inputs, _ = ALL["hinge"]
    expected = [
        sum(max(0.0, score - scores[label] + margin) for c, score in enumerate(scores) if c != label)
        for scores, label in zip(inputs["scores"], inputs["labels"], strict=True)
    ]
    np.testing.assert_allclose(losses(Hinge, inputs, margin=margin), expected, atol=1e-14)


def test_hinge_at_its_kink_has_slope_zero():
    inputs = {"scores": np.array([[1.0, 0.0, -1e4]]), "labels": np.array([0]), "rows": np.arange(1)}
    assert losses(Hinge, inputs, margin=1.0) == 0
    np.testing.assert_array_equal(backward(Hinge, np.ones(1), inputs, margin=1.0)["dscores"], [[0, 0, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_at_sure_predictions(dtype):
    inputs = {"prediction": np.array([0, 1, 0, 1, 0.5], dtype), "target": np.array([0, 1, 1, 0, 1], dtype)}
    np.testing.assert_allclose(losses(BinaryCrossEntropy, inputs), [0, 0, 100, 100, math.log(2)], rtol=1e-6)
    gradient = backward(BinaryCrossEntropy, np.ones(5, dtype), inputs)["dprediction"]
    np.testing.assert_allclose(gradient, [0, 0, -1e12, 1e12, -2], rtol=1e-6)


def test_binary_cross_entropy_number_by_number():
    _, inputs, _ = ALL["binary"]
    expected = [
        -(t * math.log(p) + (1 - t) * math.log1p(-p))
        for p, t in zip(inputs["prediction"].flat, inputs["target"].flat, strict=True)
    ]
    np.testing.assert_allclose(losses(BinaryCrossEntropy, inputs).ravel(), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_of_logits_at_the_extremes(dtype):
    logits = np.array([0, 80, 80, -80, -80, 1e4, 1e4, -1e4, -1e4], dtype)
    target = np.array([1, 1, 0, 1, 0, 1, 0, 1, 0], dtype)
    inputs = {"prediction": logits, "target": target}
    expected = np.array([math.log(2), 0, 80, 80, 0, 0, 1e4, 1e4, 0])
    np.testing.assert_allclose(losses(BinaryCrossEntropyLogits, inputs), expected, rtol=1e-6, atol=1e-30)
    gradient = backward(BinaryCrossEntropyLogits, np.ones(9, dtype), inputs)["dprediction"]
    np.testing.assert_allclose(gradient, [-0.5, 0, 1, -1, 0, 0, 1, -1, 0], atol=1e-30)


def test_binary_cross_entropy_of_logits_is_that_of_the_sigmoid():
    _, inputs, _ = ALL["binary-logits"]
    p = 1 / (1 + np.exp(-inputs["prediction"]))
    np.testing.assert_allclose(
        losses(BinaryCrossEntropyLogits, inputs), losses(BinaryCrossEntropy, inputs | {"prediction": p}), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logistic_at_the_extremes(dtype):
    prediction = np.array([0, 80, 80, -80, 1e4, 1e4, np.inf, np.inf], dtype)
    target = np.array([1, 1, -1, -1, 1, -1, 1, -1], dtype)
    inputs = {"prediction": prediction, "target": target}
    small = math.exp(-80)
    expected = [math.log(2), small, 80, small, 0, 1e4, 0, np.inf]
    np.testing.assert_allclose(losses(Logistic, inputs), expected, rtol=1e-6)
    gradient = backward(Logistic, np.ones(8, dtype), inputs)["dprediction"]
    np.testing.assert_allclose(gradient, [-0.5, -small, 1, small, 0, 1, 0, 1], rtol=1e-6)


def test_logistic_is_the_binary_cross_entropy_of_the_same_logits():
    _, inputs, _ = ALL["logistic"]
    binary = inputs | {"target": (inputs["target"] + 1) / 2}
    dlosses = incoming(Logistic, inputs)
    np.testing.assert_allclose(losses(Logistic, inputs), losses(BinaryCrossEntropyLogits, binary), rtol=1e-12)
    np.testing.assert_allclose(
        backward(Logistic, dlosses, inputs)["dprediction"],
        backward(BinaryCrossEntropyLogits, dlosses, binary)["dprediction"],
        rtol=1e-12,
    )


def test_regression_losses_by_hand():
    inputs = {"prediction": np.array([[1.0, 5.0], [0.0, -3.0]]), "target": np.array([[1.5, 3.0], [0.0, 1.0]])}
    np.testing.assert_array_equal(losses(SquaredError, inputs, factor=1.0), [4.25, 16])
    np.testing.assert_array_equal(losses(SquaredError, inputs, factor=0.5), [2.125, 8])
    np.testing.assert_array_equal(losses(MeanSquaredError, inputs), [[0.25, 4], [0, 16]])
    np.testing.assert_array_equal(losses(MeanAbsoluteError, inputs), [[0.5, 2], [0, 4]])
    np.testing.assert_array_equal(losses(Huber, inputs, delta=1.0), [[0.125, 1.5], [0, 3.5]])
    np.testing.assert_array_equal(losses(Huber, inputs, delta=3.0), [[0.125, 2], [0, 7.5]])

    ones = np.ones((2, 2))
    np.testing.assert_array_equal(
        backward(SquaredError, np.ones(2), inputs, factor=0.5)["dprediction"], [[-0.5, 2], [0, -4]]
    )
    np.testing.assert_array_equal(backward(MeanSquaredError, ones, inputs)["dprediction"], [[-1, 4], [0, -8]])
    np.testing.assert_array_equal(backward(MeanAbsoluteError, ones, inputs)["dprediction"], [[-1, 1], [0, -1]])
    np.testing.assert_array_equal(backward(Huber, ones, inputs, delta=1.0)["dprediction"], [[-0.5, 1], [0, -1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regression_losses_at_the_extremes(dtype):
    inputs = {"prediction": np.array([[1e4], [-1e4], [np.inf]], dtype), "target": np.zeros((3, 1), dtype)}
    np.testing.assert_array_equal(losses(SquaredError, inputs, factor=1.0), [1e8, 1e8, np.inf])
    np.testing.assert_array_equal(losses(MeanSquaredError, inputs).ravel(), [1e8, 1e8, np.inf])
    np.testing.assert_array_equal(losses(MeanAbsoluteError, inputs).ravel(), [1e4, 1e4, np.inf])
    np.testing.assert_array_equal(losses(Huber, inputs, delta=1.0).ravel(), [9999.5, 9999.5, np.inf])
    ones = np.ones((3, 1), dtype)
    np.testing.assert_array_equal(backward(Huber, ones, inputs, delta=1.0)["dprediction"].ravel(), [1, -1, 1])


@pytest.mark.parametrize(
    ("pair", "constants"),
    [(SquaredError, {"factor": 1.0}), (MeanSquaredError, {}), (MeanAbsoluteError, {}), (Huber, {"delta": 1.0})],
)
def test_the_gradient_of_the_target_is_not_computed_unasked(pair, constants):
    prediction, target = read_only([[1.0, 4.0]]), read_only([[2.0, 2.0]])
    dprediction = np.full((1, 2), np.nan)
    pair.backward(np, np.ones(1), prediction, target, dprediction=dprediction, **constants)
    both = backward(pair, np.ones(1), {"prediction": prediction, "target": target}, **constants)
    np.testing.assert_array_equal(dprediction, both["dprediction"])
    np.testing.assert_array_equal(both["dtarget"], -dprediction)


def test_triplet_margin_by_hand():
    inputs = {
        "anchor": np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
        "positive": np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0]]),
        "negative": np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
    }
    np.testing.assert_array_equal(losses(TripletMargin, inputs, margin=1.0), [0, 5, 0])  # the last is at its kink
    gradients = backward(TripletMargin, np.array([1.0, 0.5, 1.0]), inputs, margin=1.0)
    np.testing.assert_array_equal(gradients["danchor"], [[0, 0], [-1, -1], [0, 0]])
    np.testing.assert_array_equal(gradients["dpositive"], [[0, 0], [1, 2], [0, 0]])
    np.testing.assert_array_equal(gradients["dnegative"], [[0, 0], [0, -1], [0, 0]])


def test_triplet_margin_gives_only_the_gradients_asked_for():
    _, inputs, constants = ALL["triplet"]
    result, saved = forward(TripletMargin, inputs, **constants)
    assert (result > 0).any()
    dpositive = np.full((5, 3), np.nan)
    arrays = (saved[name] for name in TripletMargin.saves)
    TripletMargin.backward(np, np.ones(5), *arrays, dpositive=dpositive)
    np.testing.assert_array_equal(dpositive, backward(TripletMargin, np.ones(5), inputs, **constants)["dpositive"])
