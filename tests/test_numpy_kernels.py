"""Do NumPy's own replacements compute what their definitions do? Values, NaN, layouts they are not made for."""

import pickle

import numpy as np
import pytest

from backends.kernels.activation import ReLU
from backends.kernels.averaging import Average
from backends.kernels.linear import Linear
from backends.kernels.loss import CrossEntropy
from backends.kernels.optimizer import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from backends.numpy_kernels import BLOCK, TABLE

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-6, np.float64: 4e-15}


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(found, wanted, dtype=np.float32):
    scale = np.nanmax(np.abs(wanted[np.isfinite(wanted)]), initial=1.0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[dtype] * scale, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [0, 1, 2, 33])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_maps(rows, bias, dtype):
    x, w, dy = normal(rows, 7, dtype=dtype), normal(7, 5, dtype=dtype, seed=1), normal(rows, 5, dtype=dtype, seed=2)
    b = normal(5, dtype=dtype, seed=3) if bias else None
    y = np.full((rows, 5), np.nan, dtype)
    TABLE[Linear.forward](np, x, w, b, y=y)
    close(y, x @ w + (b if bias else 0), dtype)
    dx, dw, db = (np.full(shape, np.nan, dtype) for shape in ((rows, 7), (7, 5), (5,)))
    TABLE[Linear.backward](np, dy, x, w, dx=dx, dw=dw, db=db)
    close(dx, dy @ w.T, dtype)
    close(dw, x.T @ dy, dtype)
    close(db, dy.sum(0), dtype)


def test_a_type_that_is_equal_is_the_same():
    x, w, dy = normal(9, 64), normal(64, 40, seed=1), normal(9, 40, seed=2)
    other = pickle.loads(pickle.dumps(w))  # its dtype is an object of its own
    ends = []
    for one in (w, other):
        y, db = np.empty((9, 40), np.float32), np.empty(40, np.float32)
        TABLE[Linear.forward](np, x, one, None, y=y)
        TABLE[Linear.backward](np, dy, x, one, db=db)
        ends.append((y, db))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    np.testing.assert_array_equal(ends[0][1], ends[1][1])


@pytest.mark.parametrize(
    ("x", "w", "y"),
    [
        (normal(2, 3, 4), normal(4, 5), np.empty((2, 3, 5), np.float32)),
        (normal(3, 4), normal(4, 5), np.empty((5, 3), np.float32).T),
        (normal(3, 4), normal(4, 5), np.empty((3, 5), np.float64)),
        (np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.empty((2, 2), np.int64)),
    ],
    ids=["three axes", "transposed output", "wider output", "integers"],
)
def test_a_linear_map_that_blas_does_not_take_is_the_definitions(x, w, y):
    wanted = np.empty_like(y)
    TABLE[Linear.forward](np, x, w, None, y=y)
    Linear.forward(np, x, w, None, y=wanted)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("shape", [(), (5,), (3, 7), (3, 64), (2, 3, 100)])
def test_relu_is_the_definitions_to_the_bit(shape):
    x = np.array(normal(*shape))
    x.reshape(-1)[:4] = [np.nan, np.inf, -np.inf, -0.0][: x.size]
    dy = np.array(normal(*shape, seed=1))
    found, wanted = np.empty((2, *shape), np.float32), np.empty((2, *shape), np.float32)
    for table, outputs in ((TABLE.__getitem__, found), (lambda definition: definition, wanted)):
        table(ReLU.forward)(np, x, y=outputs[0, ...])
        table(ReLU.backward)(np, dy, outputs[0, ...], dx=outputs[1, ...])
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(found[0].reshape(-1)[0])


def cross_entropy(kernel, logits, labels, dlosses):
    rows = len(logits)
    losses = np.empty(rows, logits.dtype)
    probabilities, dlogits = np.empty_like(logits), np.empty_like(logits)
    numbers = np.arange(rows)
    kernel(CrossEntropy.forward)(np, logits, labels, numbers, losses=losses, probabilities=probabilities)
    kernel(CrossEntropy.backward)(np, dlosses, probabilities, labels, numbers, dlogits=dlogits)
    return losses, probabilities, dlogits


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("labels_of", [np.int64, np.int32, np.uint64])
@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (32, 10), (5, 300), (4, 1)])
@pytest.mark.parametrize("own", [True, False], ids=["a gradient a sample", "one gradient"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_cross_entropy(rows, classes, labels_of, own, dtype):
    logits = 30 * normal(rows, classes, dtype=dtype)
    logits[0] += 1e4  # e^x alone would overflow
    labels = (np.arange(rows) * 7 % classes).astype(labels_of)
    dlosses = normal(rows if own else 1, dtype=dtype, seed=1)
    exact = logits.astype(np.longdouble) - logits.max(1, keepdims=True)
    p = np.exp(exact) / np.exp(exact).sum(1, keepdims=True)
    right = labels[:, None] == np.arange(classes)
    found = cross_entropy(TABLE.__getitem__, logits, labels, dlosses)
    for one, wanted in zip(found, (-np.log(p[right]), p, (p - right) * dlosses[:, None]), strict=True):
        close(one, wanted.astype(dtype), dtype)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_cross_entropy_of_what_is_no_number_is_none(wrong):
    logits, labels = normal(3, 4), np.array([0, 1, 2])
    logits[1, 2] = wrong
    losses, probabilities, dlogits = cross_entropy(TABLE.__getitem__, logits, labels, np.ones(1, np.float32))
    assert np.isnan(losses).tolist() == [False, True, False]
    assert np.isnan(probabilities).any(1).tolist() == [False, True, False]
    assert np.isnan(dlogits).any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("losses", [normal(1), normal(64), normal(3, 5), normal(64)[::2], np.arange(5)], ids=str)
def test_the_average(losses):
    dtype = np.float64 if losses.dtype.kind == "i" else losses.dtype
    value = np.empty((), dtype)
    TABLE[Average.forward](np, losses, value=value, count=losses.size)
    assert value == pytest.approx(losses.mean(dtype=np.float64), abs=1e-6)


SETTINGS = {
    SGD: [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}],
    Adagrad: [{}, {"weight_decay": 0.01}],
    RMSprop: [{}, {"momentum": 0.5, "weight_decay": 0.01}],
    Adam: [{}, {"weight_decay": 0.01}, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}],
    AdamW: [{}, {"weight_decay": 0.0}],
    NAdam: [{}, {"weight_decay": 0.01}],
    Lion: [{}, {"weight_decay": 0.01}],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 40, BLOCK, 2 * BLOCK + 17])
@pytest.mark.parametrize("arrays", [True, False], ids=["numbers in arrays", "numbers of Python's"])
@pytest.mark.parametrize(
    ("kind", "settings"), [(kind, one) for kind, several in SETTINGS.items() for one in several], ids=str
)
def test_optimizers_step_to_the_definitions_bits(kind, settings, arrays, size, dtype):
    def ends(update):
        w = normal(size, dtype=dtype)
        without = kind in (SGD, RMSprop) and not settings.get("momentum")
        states = [None if name == "velocity" and without else np.zeros(size, dtype) for name in kind.states]
        work = tuple(np.full(size, np.nan, dtype) for _ in range(kind.work))
        for step in range(1, 4):
            g = normal(size, dtype=dtype, seed=step)
            scalars = {"learning_rate": 0.01}
            if hasattr(kind, "corrections"):
                own = {name: settings[name] for name in ("beta1", "beta2") if name in settings}
                scalars |= kind.corrections(step, **own)
            if arrays:
                scalars = {name: np.array([value], dtype) for name, value in scalars.items()}
            update(np, w, g, *states, work=work, **scalars, **settings)
        return w, *(one for one in states if one is not None)

    for found, wanted in zip(ends(TABLE[kind.update]), ends(kind.update), strict=True):
        np.testing.assert_array_equal(found, wanted)
