"""Do the compiled kernels give what their definitions give, bit for bit, and leave to them what they do not take?"""

import functools
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from backends import native
from backends.kernels.activation import ReLU
from backends.kernels.dropout import Dropout, StochasticDepth
from backends.kernels.optimizer import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1, 2, 7, 63, 64, 255, 256, 257, 1023, 40_001)
DTYPES = ("float32", "float64")

needs_native = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")


@pytest.fixture
def table():
    return native.overrides()


def numbers(size, dtype, seed):
    """Normal numbers of many sizes, with every special one where there is room."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(size) * 10.0 ** generator.integers(-8, 8, size)
    special = [np.nan, np.inf, -np.inf, 0.0, 1e-42]
    values[: len(special)] = special[:size] if size > 20 else values[: len(special)]
    return values.astype(dtype)


def same(one, other):
    """Equal bits, whatever the sign of a zero and the payload of a NaN."""
    np.testing.assert_array_equal(one, other, strict=True)


def both(table, definition, arrays, outputs, **options):
    """What the definition and its replacement make of copies of these arrays."""
    results = []
    for function in (definition, table[definition]):
        given = [None if one is None else one.copy() for one in arrays]
        made = {name: one.copy() for name, one in outputs.items()}
        with np.errstate(all="ignore"):
            function(np, *given, **made, **options)
        results.append([one for one in (*given, *made.values()) if one is not None])
    return zip(*results, strict=True)


@needs_native
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_relu(table, size, dtype):
    x, dy, y = (numbers(size, dtype, seed) for seed in range(3))
    for definition, arrays, name in ((ReLU.forward, [x], "y"), (ReLU.backward, [dy, np.maximum(y, 0)], "dx")):
        for one, other in both(table, definition, arrays, {name: np.empty_like(x)}):
            same(one, other)


@needs_native
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_dropout(table, size, dtype, rate):
    x = numbers(size, dtype, 0)
    counter = np.array([2**40 + 3], "uint64")
    outputs = {"y": np.empty_like(x), "mask": np.empty(size, bool)}
    for one, other in both(table, Dropout.forward, [x, counter], outputs, rate=rate, key=(0xFEDCBA98, 7)):
        same(one, other)
    mask = np.random.default_rng(1).random(size) < 0.5
    for one, other in both(table, Dropout.backward, [x, mask], {"dx": np.empty_like(x)}, rate=rate):
        same(one, other)


@needs_native
@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (5,), (300, 7), (3, 4, 6), (64, 1000)])
def test_stochastic_depth(table, shape, dtype, rate):
    x, branch, dy = (numbers(int(np.prod(shape)), dtype, seed).reshape(shape) for seed in range(3))
    counter = np.array([2**40 + 3], "uint64")
    places = (shape[0],) + (1,) * (len(shape) - 1)
    outputs = {"y": np.empty_like(x), "mask": np.empty(places, bool)}
    given = [x, branch, counter]
    for one, other in both(table, StochasticDepth.forward, given, outputs, rate=rate, key=(0xFEDCBA98, 7)):
        same(one, other)
    mask = np.random.default_rng(1).random(places) < 0.5
    for wanted in (["dbranch"], ["dx", "dbranch"], ["dx"], []):
        outputs = {name: np.empty_like(x) for name in wanted}
        for one, other in both(table, StochasticDepth.backward, [dy, mask], outputs, rate=rate):
            same(one, other)


@needs_native
def test_stochastic_depth_is_computed_by_compiled_code(table):
    x, branch = (numbers(30, "float32", seed).reshape(6, 5) for seed in range(2))
    counter = np.zeros(1, "uint64")
    y, mask = np.empty_like(x), np.empty((6, 1), bool)
    forward, backward = table[StochasticDepth.forward].compiled, table[StochasticDepth.backward].compiled
    assert forward(x, branch, counter, y=y, mask=mask, rate=0.5, key=(1, 2))
    assert backward(x, mask, dbranch=y, rate=0.5)
    assert not forward(x[:, ::2], branch[:, ::2], counter, y=y, mask=mask, rate=0.5, key=(1, 2))


OPTIMIZERS = {
    "sgd": (SGD, 1, {}, ()),
    "sgd, momentum": (SGD, 1, {"momentum": 0.9}, ()),
    "sgd, nesterov, decay": (SGD, 1, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, ()),
    "sgd, decay": (SGD, 0, {"weight_decay": 0.01}, ()),
    "adagrad": (Adagrad, 1, {"weight_decay": 0.01}, ()),
    "rmsprop": (RMSprop, 0, {}, ()),
    "rmsprop, momentum, decay": (RMSprop, 1, {"momentum": 0.5, "weight_decay": 0.01, "alpha": 0.9}, ()),
    "adam": (Adam, 2, {}, ("first_correction", "second_correction")),
    "adam, decay": (Adam, 2, {"weight_decay": 0.01, "eps": 1e-3}, ("first_correction", "second_correction")),
    "adamw": (AdamW, 2, {}, ("first_correction", "second_correction")),
    "adamw, no decay": (AdamW, 2, {"weight_decay": 0.0}, ("first_correction", "second_correction")),
    "nadam": (NAdam, 2, {"weight_decay": 0.01}, ("gradient_weight", "momentum_weight", "second_correction")),
    "lion": (Lion, 1, {}, ()),
    "lion, decay": (Lion, 1, {"weight_decay": 0.1}, ()),
}


@needs_native
@pytest.mark.parametrize("scalars", ["arrays", "floats"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(table, name, dtype, scalars):
    kind, states, options, per_step = OPTIMIZERS[name]
    definition = kind.update
    kept = {SGD: 1, RMSprop: 2}.get(kind, states)
    as_given = functools.partial(np.array, dtype=dtype, ndmin=1) if scalars == "arrays" else float
    for size in SIZES:
        w, g, *found = (numbers(size, dtype, seed) for seed in range(2 + kept))
        found = [np.abs(one) for one in found] if kind is not SGD else found
        if kind in (SGD, RMSprop) and not options.get("momentum"):
            found[-1] = None
        named = zip(("learning_rate", *per_step), (1e-3, 0.1, 0.02, 0.3), strict=False)
        settings = {key: as_given(value) for key, value in named}
        results = []
        for function in (definition, table[definition]):
            arrays = [None if one is None else one.copy() for one in (w, g, *found)]
            work = tuple(np.empty_like(w) for _ in range(kind.work))
            with np.errstate(all="ignore"):
                function(np, *arrays, work=work, **settings, **options)
            results.append(arrays)
        for one, other in zip(*results, strict=True):
            if one is not None:
                same(one, other)


@needs_native
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.arange(20.0)[::2], np.empty(10)),  # not contiguous
        (np.arange(10.0), np.empty(20)[::2]),
        (np.arange(10, dtype="float16"), np.empty(10, "float16")),
        (np.arange(10, dtype=">f4"), np.empty(10, ">f4")),
        (np.arange(10, dtype="float32"), np.empty(10, "float64")),
        (np.zeros((0, 3)), np.empty((0, 3))),
        (np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.empty((3, 4))),
    ],
    ids=["strided input", "strided output", "half", "big-endian", "two types", "empty", "columns first"],
)
def test_what_is_not_taken_is_left_to_the_definition(table, x, y):
    table[ReLU.forward](np, x - 3, y=y)
    np.testing.assert_array_equal(y, np.maximum(x - 3, 0))


@needs_native
def test_wrong_arguments_are_errors_of_python():
    with pytest.raises(TypeError, match="wrong number of arguments"):
        native.kernels.relu(np.zeros(3))
    for wrong in (None, "x", [1.0], object()):
        assert native.kernels.relu(wrong, np.zeros(3)) is False
        assert native.kernels.sgd(np.zeros(3), np.zeros(3), None, wrong, 0.0, 0, 0.0) is False
    assert native.kernels.keep_mask(np.zeros(3, bool), np.zeros(1, "uint64"), -1, 0, 5) is False
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    assert native.kernels.relu(np.ones(3), read_only) is False


def test_every_header_is_shipped_and_has_the_extension_built_anew():
    (extension,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    folder = ROOT / "backends" / "native"
    assert sorted(extension["depends"]) == sorted(f"backends/native/{path.name}" for path in folder.glob("*.h"))


def test_the_variable_switches_them_off():
    program = (
        "import backends; from backends import native; "
        "print(len(native.overrides()), backends.get('cpu').describe()['compiled C'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ENGINE_NATIVE": "0"}
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "0 switched off by ENGINE_NATIVE=0\n"


def test_where_they_are_not_built_numpy_computes_everything(monkeypatch):
    monkeypatch.delenv("ENGINE_NATIVE", raising=False)
    monkeypatch.setattr(native, "kernels", None)
    assert native.overrides() == {}
    assert native.problem().startswith("not built")
