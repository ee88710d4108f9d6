"""Do the compiled losses, averages, clipping and gathers give what their definitions give, at any length?"""

import numpy as np
import pytest

from backends import native
from backends.blas import blas
from backends.kernels import averaging, optimizer
from backends.kernels.averaging import Average, WeightedAverage
from backends.kernels.loss import (
    BinaryCrossEntropy,
    BinaryCrossEntropyLogits,
    CrossEntropy,
    CrossEntropyProbabilities,
    Hinge,
    Logistic,
    WeightedCrossEntropy,
)
from backends.kernels.penalty import ElasticNet
from backends.kernels.regression_loss import Huber, MeanAbsoluteError, MeanSquaredError, SquaredError, TripletMargin
from backends.kernels.shape import Gather

pytestmark = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")

DTYPES = ("float32", "float64")
SHAPES = [(1, 1), (2, 3), (7, 10), (31, 15), (32, 16), (33, 63), (5, 64), (65, 65), (3, 1000), (700, 257)]
SIZES = (1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 300, 1023, 1024, 1025, 4096, 4097, 70_001, 300_001)


def kernel(definition):
    """The compiled kernel, which must take what it is given."""
    compiled = native.overrides()[definition].compiled

    def run(*arrays, **options):
        named = compiled.__kwdefaults__ or {}
        assert compiled(*arrays, **named | options) is True

    return run


def both(definition, arrays, outputs, **options):
    """What the definition and the kernel make of the same inputs, which neither changes."""
    results = []
    for function in (lambda *given, **named: definition(np, *given, **named), kernel(definition)):
        given = [None if one is None else one.copy() for one in arrays]
        for one in given:
            if one is not None:
                one.setflags(write=False)
        made = {name: _like(one) for name, one in outputs.items()}
        with np.errstate(all="ignore"):
            function(*given, **made, **options)
        results.append([one for name, one in made.items() if name not in ("work", "total")])
    return list(zip(*results, strict=True))


def _like(output):
    return tuple(_like(one) for one in output) if isinstance(output, tuple) else output.copy()


def same(one, other):
    """Equal bits, whatever the sign of a zero and the payload of a NaN."""
    np.testing.assert_array_equal(one, other, strict=True)


def close(one, other, units=8, atol=0.0):
    """Equal but for some units in the last place."""
    assert one.dtype == other.dtype
    np.testing.assert_allclose(other, one, rtol=units * np.finfo(one.dtype).eps, atol=atol)


def normal(generator, shape, dtype, scale=1.0):
    return (generator.standard_normal(shape) * scale).astype(dtype)


def scratch(pair, direction, like):
    count = getattr(pair, f"{direction}_work")
    return {"work": tuple(np.empty_like(like) for _ in range(count))} if count else {}


def incoming(generator, shape, dtype):
    """Gradients of the units' losses in the forms that a reduction gives."""
    return [np.full((1,), 0.25, dtype), np.full((), 0.25, dtype), normal(generator, shape, dtype)]


# -- classes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["plain", "weighted", "smoothed", "soft", "soft weighted"])
def test_cross_entropies(kind, shape, dtype):
    generator = np.random.default_rng(1)
    batch, classes = shape
    logits = normal(generator, shape, dtype, 4.0)
    labels, rows = generator.integers(0, classes, batch), np.arange(batch)
    weights = generator.uniform(0.2, 2.0, classes).astype(dtype)
    target = generator.uniform(0, 1, shape).astype(dtype)
    smoothing = {"label_smoothing": 0.1 if "smooth" in kind or "soft" in kind else 0.0}
    if kind == "plain":
        pair, given, saved, smoothing = CrossEntropy, [logits, labels, rows], [labels, rows], {}
    elif "soft" in kind:
        given_weights = weights if "weighted" in kind else None
        pair, given = CrossEntropyProbabilities, [logits, target, given_weights]
        saved = [target, given_weights]
    else:
        pair, given, saved = WeightedCrossEntropy, [logits, labels, rows, weights], [labels, rows, weights]
    losses, probabilities = np.empty(batch, dtype), np.empty_like(logits)
    outputs = {"losses": losses, "probabilities": probabilities, **scratch(pair, "forward", logits)}
    eps = np.finfo(dtype).eps
    (expected, found), (p, other) = both(pair.forward, given, outputs, **smoothing)
    size = np.abs(logits).max() * (1 if kind == "plain" else 2 * classes)
    close(expected, found, 16, atol=4 * eps * size)
    close(p, other, 16)
    for dlosses in incoming(generator, batch, dtype):
        outputs = {"dlogits": np.empty_like(logits), **scratch(pair, "backward", logits)}
        ((one, two),) = both(pair.backward, [dlosses, p, *saved], outputs, **smoothing)
        if kind == "plain":
            same(one, two)
        else:
            close(one, two, 16, atol=8 * eps * classes)


@pytest.mark.parametrize("classes", [3, 20, 64, 300])
def test_cross_entropy_is_the_truth_but_for_rounding(classes):
    generator = np.random.default_rng(2)
    logits = normal(generator, (500, classes), "float32", 10.0)
    labels = generator.integers(0, classes, 500)
    losses, p = np.empty(500, "float32"), np.empty_like(logits)
    kernel(CrossEntropy.forward)(logits, labels, np.arange(500), losses=losses, probabilities=p)
    z = logits.astype("float64") - logits.max(axis=1, keepdims=True)
    truth = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, truth, rtol=1e-5, atol=1e-38)  # exponents down to -90, whose own rounding counts
    np.testing.assert_allclose(losses, -np.log(truth[np.arange(500), labels]), rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [4, 100])
def test_special_logits(classes, dtype):
    logits = np.zeros((8, classes), dtype)
    logits[0, 1], logits[1, 2], logits[2, 3], logits[3, :] = np.nan, np.inf, -np.inf, -np.inf
    logits[4, 0], logits[5, 0], logits[6, 0], logits[7, 0] = 1e30, -1e30, np.nan, 88.0
    labels = np.array([0, 2, 3, 0, 0, 0, 1, 1])
    outputs = {"losses": np.empty(8, dtype), "probabilities": np.empty_like(logits)}
    for one, other in both(CrossEntropy.forward, [logits, labels, np.arange(8)], outputs):
        close(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hinge(shape, dtype):
    generator = np.random.default_rng(3)
    scores = normal(generator, shape, dtype)
    labels, rows = generator.integers(0, shape[1], shape[0]), np.arange(shape[0])
    outputs = {"losses": np.empty(shape[0], dtype), "work": (np.empty_like(scores),)}
    ((one, other),) = both(Hinge.forward, [scores, labels, rows], outputs, margin=0.7)
    close(one, other, 32)
    if shape == (7, 10):
        scores[0, 3], scores[1, labels[1]], scores[2, 0] = np.nan, np.nan, np.inf
        ((one, other),) = both(Hinge.forward, [scores, labels, rows], outputs, margin=0.7)
        close(one, other, 32)
    for dlosses in incoming(generator, shape[0], dtype):
        given = [dlosses, scores, labels, rows]
        same(*both(Hinge.backward, given, {"dscores": np.empty_like(scores)}, margin=0.7)[0])


# -- elements ----------------------------------------------------------------------------------------------


EXACT = {"squared": (MeanSquaredError, {}), "absolute": (MeanAbsoluteError, {}), "huber": (Huber, {"delta": 0.8})}
ROUNDED = {"binary": BinaryCrossEntropy, "binary logits": BinaryCrossEntropyLogits, "logistic": Logistic}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_distances_have_the_definitions_bits(name, dtype):
    pair, constants = EXACT[name]
    for size in SIZES:
        generator = np.random.default_rng(size)
        scale = 10.0 ** generator.integers(-6, 6, size)
        prediction, target = normal(generator, size, dtype, scale), normal(generator, size, dtype, scale)
        if size > 60:
            prediction[:6], target[3:7] = [np.nan, np.inf, -np.inf, np.inf, 1e-42, 0], [np.nan, np.inf, 1e-42, 0]
        outputs = {"losses": np.empty_like(target), **scratch(pair, "forward", target)}
        same(*both(pair.forward, [prediction, target], outputs, **constants)[0])
        for dlosses in incoming(generator, size, dtype):
            outputs = {"dprediction": np.empty_like(target), "dtarget": np.empty_like(target)}
            for one, other in both(pair.backward, [dlosses, prediction, target], outputs, **constants):
                same(one, other)
            del outputs["dtarget"]
            same(*both(pair.backward, [dlosses, prediction, target], outputs, **constants)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROUNDED)
def test_losses_of_probabilities_and_logits(name, dtype):
    pair = ROUNDED[name]
    for size in SIZES:
        generator = np.random.default_rng(size)
        target = generator.uniform(0, 1, size).astype(dtype)
        prediction = normal(generator, size, dtype, 10.0)
        special = [np.nan, np.inf, -np.inf, 0, 1e-42, -1e-42, 80, -80, 1e4, -1e4, 104, -104, 89, -89]
        if name == "binary":
            prediction = generator.uniform(0, 1, size).astype(dtype)
            special = [np.nan, 0, 1, 1e-42, 1e-30, -1e-30, 1.5, -0.5, np.inf, 1 - 1e-7]
        if name == "logistic":
            target = np.where(target < 0.5, -1, 1).astype(dtype)
        if size > 60:
            prediction[: len(special)] = special
        outputs = {"losses": np.empty_like(target), **scratch(pair, "forward", target)}
        ((one, other),) = both(pair.forward, [prediction, target], outputs)
        close(one, other, 8, atol=0 if name == "logistic" else 8 * np.finfo(dtype).eps)
        saved = one if name == "logistic" else prediction
        for dlosses in incoming(generator, size, dtype):
            outputs = {"dprediction": np.empty_like(target), **scratch(pair, "backward", target)}
            ((one, other),) = both(pair.backward, [dlosses, saved, target], outputs)
            close(one, other, 8, atol=4 * np.finfo(dtype).eps)


def test_logistic_is_the_truth_but_for_rounding():
    z = np.concatenate([np.linspace(-100, 100, 100_001), 10.0 ** np.linspace(-40, 1, 1000)]).astype("float32")
    losses = np.empty_like(z)
    kernel(Logistic.forward)(z, np.ones_like(z), losses=losses, work=())
    truth = np.logaddexp(0, -z.astype("float64"))
    normal_numbers = truth > 1e-37
    assert (np.abs(losses - truth)[normal_numbers] / np.spacing(losses[normal_numbers])).max() < 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (40,), (5, 2, 3), (2000,)], ids=str)
def test_squared_error(shape, dtype):
    generator = np.random.default_rng(4)
    prediction, target = normal(generator, shape, dtype), normal(generator, shape, dtype)
    outputs = {"losses": np.empty(shape[0], dtype), "work": (np.empty_like(target),)}
    close(*both(SquaredError.forward, [prediction, target], outputs, factor=0.5)[0], 16)
    for dlosses in incoming(generator, shape[0], dtype):
        outputs = {"dprediction": np.empty_like(target), "dtarget": np.empty_like(target)}
        for one, other in both(SquaredError.backward, [dlosses, prediction, target], outputs, factor=0.5):
            same(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_triplet_margin(shape, dtype):
    generator = np.random.default_rng(5)
    points = [normal(generator, shape, dtype) for _ in range(3)]
    outputs = {"losses": np.empty(shape[0], dtype), "work": (np.empty(shape, dtype),)}
    ((losses, other),) = both(TripletMargin.forward, points, outputs, margin=0.2)
    close(losses, other, 32, atol=16 * shape[1] * np.finfo(dtype).eps)
    names = ("danchor", "dpositive", "dnegative")
    for dlosses in incoming(generator, shape[0], dtype):
        for wanted in (names, names[:1], names[1:], names[1:2], names[2:]):
            outputs = {name: np.empty(shape, dtype) for name in wanted}
            for one, two in both(TripletMargin.backward, [dlosses, losses, *points], outputs):
                same(one, two)


# -- sums --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_sums_are_the_truth_but_for_rounding(size, dtype):
    generator = np.random.default_rng(size)
    x = generator.uniform(0.5, 1.5, size).astype(dtype)
    w = generator.uniform(0.5, 1.5, size).astype(dtype)
    wide = x.astype("longdouble")
    value, one, total = np.empty((), dtype), np.empty(1, dtype), np.full(1, 3, dtype)
    rtol = 6 * np.finfo(dtype).eps  # blocked: NumPy's own pairwise sum is no better
    for count in (1, size):
        kernel(Average.forward)(x, value=value, count=count)
        np.testing.assert_allclose(value, (wide.sum() / count).astype("float64"), rtol=rtol)
    kernel(WeightedAverage.forward)(x, w, total, value=value, work=None)
    np.testing.assert_allclose(value, (wide * w).sum().astype("float64") / 3, rtol=rtol)
    kernel(optimizer.squared_norm)(x, out=one)
    np.testing.assert_allclose(one[0], (wide**2).sum().astype("float64"), rtol=rtol)
    for squares, absolutes in ((0.25, 0.0), (0.0, 0.5), (0.25, 0.5)):
        one[0] = 2
        kernel(ElasticNet.forward)(-x, value=one, total=None, work=None, squares=squares, absolutes=absolutes)
        expected = 2 + squares * (wide**2).sum() + absolutes * wide.sum()
        np.testing.assert_allclose(one[0], expected.astype("float64"), rtol=rtol)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [3, 100, 5000])
def test_sums_pass_on_what_is_no_number(size, special):
    x = np.ones(size, "float32")
    x[size // 2] = special
    value, square = np.empty((), "float32"), np.empty(1, "float32")
    kernel(Average.forward)(x, value=value, count=1)
    same(value, np.array(special, "float32"))
    kernel(optimizer.squared_norm)(x, out=square)
    same(square[0], np.float32(special) ** 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_surrounds_a_step_has_the_definitions_bits(dtype):
    for size in SIZES:
        generator = np.random.default_rng(size)
        w, average, g = (normal(generator, size, dtype, 3.0) for _ in range(3))
        if size > 20:
            g[:4] = [np.nan, np.inf, -np.inf, 1e-42]
        in_place = []
        for function in (lambda definition: definition, lambda definition: native.overrides()[definition]):
            moved, scaled, halved, clipped = average.copy(), g.copy(), g.copy(), g.copy()
            work, bad = np.empty_like(w), g.copy()
            with np.errstate(all="ignore"):
                function(averaging.move_average)(np, w, average=moved, work=work, decay=0.99)
                for norm, array in ((1e-4, scaled), (16.0, halved), (np.nan, bad)):
                    square = np.array([norm], dtype)
                    function(optimizer.scale_by_norm)(np, array, square, work=np.empty(1, dtype), max_norm=2.0)
                function(optimizer.clip_by_value)(np, clipped, limit=0.5)
            in_place.append((moved, scaled, halved, bad, clipped))
        for one, other in zip(*in_place, strict=True):
            same(one, other)
        total, dvalue = np.full(1, 7, dtype), normal(generator, 1, dtype)
        for slope in (dvalue, normal(generator, size, dtype)):
            same(*both(WeightedAverage.backward, [slope, w, total], {"dlosses": np.empty_like(w)})[0])
        same(*both(Average.backward, [dvalue], {"dloss": np.empty_like(dvalue)}, count=size)[0])
        labels = generator.integers(0, 5, size)
        same(*both(averaging.label_weights, [w[:1].repeat(5), labels], {"weights": np.empty_like(w)})[0])
        for squares, absolutes in ((0.25, 0.0), (0.0, 0.5), (0.25, 0.5)):
            outputs = {"dw": np.empty_like(w), "work": np.empty_like(w)}
            options = {"squares": squares, "absolutes": absolutes}
            same(*both(ElasticNet.backward, [dvalue, g], {"dw": outputs["dw"], "work": outputs["work"]}, **options)[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_no_bit(dtype):
    generator = np.random.default_rng(6)
    x = normal(generator, 3_000_001, dtype)
    logits, labels = normal(generator, (3001, 100), dtype), generator.integers(0, 100, 3001)
    results = []
    for found in (blas(), None):
        if found is None:
            native.kernels.use(blas().sgemm, blas().dgemm, 0, 0)
        else:
            native.use(found)
        made = [np.empty((), dtype), np.empty(1, dtype), x.copy(), np.empty(3001, dtype), np.empty_like(logits)]
        try:
            kernel(Average.forward)(x, value=made[0], count=x.size)
            kernel(optimizer.squared_norm)(x, out=made[1])
            kernel(optimizer.scale_by_norm)(made[2], made[1], work=None, max_norm=3.0)
            kernel(CrossEntropy.forward)(logits, labels, None, losses=made[3], probabilities=made[4])
        finally:
            native.use(blas())
        results.append(made)
    for one, other in zip(*results, strict=True):
        same(one, other)


# -- rows and checks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (50,), (50, 1), (50, 2), (50, 7), (50, 784), (50, 3, 4), (2000, 300)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool", "float16"])
def test_rows_are_gathered(shape, dtype):
    generator = np.random.default_rng(7)
    x = generator.integers(0, 200, shape).astype(dtype)
    x.setflags(write=False)
    for batch in (1, 5, 600):
        rows = generator.integers(0, shape[0], batch)
        y = np.empty((batch, *shape[1:]), dtype)
        kernel(Gather.forward)(x, rows, y=y)
        same(y, x[rows])
        if dtype == "uint8":
            for wide in DTYPES:
                y = np.empty((batch, *shape[1:]), wide)
                kernel(Gather.forward)(x, rows, y=y)
                same(y, x[rows].astype(wide))


def test_rows_that_are_not_there_are_the_nearest():
    x, y = np.arange(6.0).reshape(3, 2), np.empty((4, 2))
    rows = np.array([-5, 0, 2, 2**40])
    kernel(Gather.forward)(x, rows, y=y)
    same(y, x.take(rows, axis=0, mode="clip"))


@pytest.mark.parametrize(
    ("x", "rows", "y"),
    [
        (np.zeros((4, 6))[:, ::2], np.arange(2), np.ones((2, 3))),
        (np.zeros((4, 3)), np.arange(2, dtype="int32"), np.ones((2, 3))),
        (np.zeros((4, 3)), np.arange(4)[::2], np.ones((2, 3))),
        (np.zeros((4, 3), ">f4"), np.arange(2), np.ones((2, 3), ">f4")),
    ],
    ids=["strided", "other numbers", "strided numbers", "big-endian"],
)
def test_rows_of_other_arrays_are_left_to_the_definition(x, rows, y):
    assert native.kernels.take_rows(x, rows, y) is False
    native.overrides()[Gather.forward](np, x, rows, y=y)
    assert not y.any()


def fails(check, *given):
    """Whether a recorded check stops its sequence."""

    def complain():
        raise ValueError("it is wrong")

    sequence = native.kernels.Sequence()
    assert sequence.extend(lambda: check(*given), (), {})
    sequence.otherwise(sequence.length() - 1, complain, (), {})
    answer = sequence.run()
    return answer is not None and isinstance(answer[1], ValueError)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 100, 4097, 500_000])
def test_checks_find_one_wrong_value(size, dtype):
    kernels, x = native.kernels, np.full(size, 0.5, dtype)
    labels = np.full(size, 3)
    passing = [
        (kernels.all_finite, x),
        (kernels.weights_fit, x, 1),
        (kernels.weights_fit, 0 * x, 0),
        (kernels.range_fit, x, 0.0, 1.0, 1),
        (kernels.range_fit, x, 0.5, 1.0, 0),
        (kernels.bounds_fit, x, 0.0, 1.0),
        (kernels.labels_fit, labels, 4),
    ]
    for check, *given in passing:
        assert not fails(check, *given)
    assert fails(kernels.weights_fit, 0 * x, 1)
    assert fails(kernels.labels_fit, labels, 3)
    for place in {0, size // 2, size - 1}:
        for wrong in (np.nan, np.inf, -np.inf, -0.25, 1.25):
            spoiled = x.copy()
            spoiled[place] = wrong
            assert fails(kernels.all_finite, spoiled) == (not np.isfinite(wrong))
            assert fails(kernels.weights_fit, spoiled, 0) == (not 0 <= wrong < np.inf)
            assert fails(kernels.range_fit, spoiled, 0.0, 1.0, 1)
            assert fails(kernels.range_fit, spoiled, 0.5, 1.0, 0)
            assert fails(kernels.bounds_fit, spoiled, 0.0, 1.0) == (wrong == wrong)
        spoiled = labels.copy()
        spoiled[place] = -1
        assert fails(kernels.labels_fit, spoiled, 4)
