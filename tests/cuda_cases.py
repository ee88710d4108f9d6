"""What is given to a GPU's kernels to see whether they are right? A case or more for each definition that they replace.

A case is arguments of a definition, outputs that nobody has written yet, and whether both must give the same bits.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backends.kernels import (
    activation,
    arithmetic,
    averaging,
    dropout,
    loss,
    normalization,
    optimizer,
    penalty,
    reduction,
    regression_loss,
    rounding,
    shape as shapes,
)

SHAPES = ((1, 1), (7, 10), (5, 16), (33, 33), (40, 3), (300, 2), (2, 1030), (64, 128))
NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """A definition's arguments.

    Attributes:
        arrays, options: as they are given; the arrays may be changed where the definition changes them.
        outputs, work: arrays to be written, by name; what is in `work` afterwards is nobody's concern.
        exact: whether no rounding may differ; otherwise `units` of the last place, of numbers of the size `scale`.
    """

    definition: Callable[..., None]
    arrays: tuple[Any, ...]
    outputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    work: dict[str, Any] = field(default_factory=dict)
    exact: bool = False
    units: float = 64
    scale: float = 1.0

    @property
    def replaced(self) -> Any:
        """What a GPU's kernel stands in for."""
        return shapes.Gather.forward if self.definition is widened else self.definition

    def given(self, put: Callable[[Any], Any]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        """Copies of the arrays, brought to a device by `put`: (by position, outputs, what else is named)."""

        def copied(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(copied(one) for one in value)
            return put(value.copy()) if isinstance(value, np.ndarray) else value

        def named(values: dict[str, Any]) -> dict[str, Any]:
            return {name: copied(one) for name, one in values.items()}

        return [copied(one) for one in self.arrays], named(self.outputs), named({**self.work, **self.options})

    def run(self, function: Callable[..., Any], put: Callable[[Any], Any], get: Callable[[Any], Any]) -> list[Any]:
        """What the function makes of copies of all arrays, brought to it by `put` and back by `get`."""
        arrays, outputs, others = self.given(put)
        with np.errstate(all="ignore"):
            answer = function(*arrays, **outputs, **others)
        assert answer is None or answer is True, f"{self.definition.__qualname__} was not taken"
        both = zip((*self.arrays, *self.outputs.values()), (*arrays, *outputs.values()), strict=True)
        return [get(one) for before, one in both if isinstance(before, np.ndarray)]

    def expected(self) -> list[Any]:
        """What the definition makes of them, by NumPy."""
        return self.run(functools.partial(self.definition, np), lambda one: one, lambda one: one)

    def check(self, found: list[Any]) -> None:
        """See that these are the definition's results."""
        for one, other in zip(self.expected(), found, strict=True):
            if self.exact or one.dtype.kind != "f":
                np.testing.assert_array_equal(other, one, strict=True)
            else:
                assert one.dtype == other.dtype
                allowed = self.units * float(np.finfo(one.dtype).eps)
                np.testing.assert_allclose(other, one, rtol=allowed, atol=allowed * self.scale)


# -- how cases are made ----------------------------------------------------------------------------------


def drawn(shape: Any, dtype: str, seed: int, spread: float = 1.0) -> Any:
    return (np.random.default_rng(seed).standard_normal(shape) * spread).astype(dtype)


def special(values: Any) -> Any:
    """The same, with NaN, infinities and zeros in front where there is room."""
    found = [NAN, np.inf, -np.inf, 0.0, -0.0, 1e-42, 100.0, -100.0]
    if values.size > 40:
        values.flat[: len(found)] = found
    return values


def unwritten(*shape: Any, dtype: str) -> Any:
    return np.full(shape, NAN, dtype)


def scratch(pair: Any, direction: str, like: Any) -> dict[str, Any]:
    count = getattr(pair, f"{direction}_work", 0)
    takes = "work" in inspect.signature(getattr(pair, direction)).parameters
    return {"work": tuple(np.full_like(like, NAN) for _ in range(count))} if takes else {}


CURVES: tuple[tuple[Any, dict[str, Any], bool, bool], ...] = (
    (activation.ReLU, {}, True, True),
    (activation.LeakyReLU, {"negative_slope": 0.1}, True, True),
    (activation.ELU, {"alpha": 0.7}, False, False),
    (activation.Sigmoid, {}, False, True),
    (activation.Tanh, {}, False, True),
    (activation.GELU, {}, False, False),
    (activation.SiLU, {}, False, False),
    (activation.Softplus, {}, False, False),
)


NAMES = {
    activation.ReLU: "relu",
    activation.LeakyReLU: "leaky_relu",
    activation.ELU: "elu",
    activation.Sigmoid: "sigmoid",
    activation.Tanh: "tanh",
    activation.GELU: "gelu",
    activation.SiLU: "silu",
    activation.Softplus: "softplus",
}


def curves(shape: Any, dtype: str) -> Iterator[Case]:
    x, dy = special(drawn(shape, dtype, 0, 4.0)), drawn(shape, dtype, 1)
    for pair, options, exact, exact_gradient in CURVES:
        yield Case(
            pair.forward, (x,), {"y": unwritten(*shape, dtype=dtype)}, options, scratch(pair, "forward", x), exact
        )
        saved = x if pair.saves == "x" else drawn(shape, dtype, 2)
        yield Case(
            pair.backward,
            (dy, saved),
            {"dx": unwritten(*shape, dtype=dtype)},
            options,
            scratch(pair, "backward", x),
            exact_gradient,
        )


def rows(shape: Any, dtype: str) -> Iterator[Case]:
    x, dy, y = drawn(shape, dtype, 0, 4.0), drawn(shape, dtype, 1), np.abs(drawn(shape, dtype, 2)) / shape[1]
    wide = np.sqrt(shape[1])
    for pair in (activation.Softmax, activation.LogSoftmax):
        for values in (x, special(x.copy())):
            yield Case(
                pair.forward,
                (values,),
                {"y": unwritten(*shape, dtype=dtype)},
                {"axis": 1},
                scratch(pair, "forward", x),
                scale=8.0,
            )
        saved = y if pair is activation.Softmax else -y
        yield Case(pair.backward, (dy, saved), {"dx": unwritten(*shape, dtype=dtype)}, {"axis": -1}, scale=8 * wide)
    pieces = np.round(drawn((shape[0], 3, shape[1]), dtype, 3) * 2) / 2  # some of them are equal
    y = unwritten(*shape, dtype=dtype)
    yield Case(activation.Maxout.forward, (special(pieces.copy()),), {"y": y}, exact=True)
    outputs = {"dx": np.full_like(pieces, NAN)}
    yield Case(activation.Maxout.backward, (dy, pieces, pieces.max(axis=1)), outputs, exact=True)


def classes(shape: Any, dtype: str) -> Iterator[Case]:
    batch, count = shape
    generator = np.random.default_rng(4)
    logits, labels, numbers = drawn(shape, dtype, 0, 4.0), generator.integers(0, count, batch), np.arange(batch)
    weights = generator.uniform(0.2, 2, count).astype(dtype)
    target = generator.uniform(0, 1, shape).astype(dtype)
    p = generator.dirichlet(np.ones(count), batch).astype(dtype)
    scale = 4.0 * count
    pair: Any
    for pair, given, saved, settings in (
        (loss.CrossEntropy, (labels, numbers), (labels, numbers), ({},)),
        (
            loss.WeightedCrossEntropy,
            (labels, numbers, weights),
            (labels, numbers, weights),
            ({"label_smoothing": 0.0}, {"label_smoothing": 0.1}),
        ),
        (loss.CrossEntropyProbabilities, (target, weights), (target, weights), ({"label_smoothing": 0.1},)),
        (loss.CrossEntropyProbabilities, (target, None), (target, None), ({"label_smoothing": 0.0},)),
    ):
        for options in settings:
            outputs = {"losses": unwritten(batch, dtype=dtype), "probabilities": unwritten(*shape, dtype=dtype)}
            work = scratch(pair, "forward", logits)
            yield Case(pair.forward, (logits, *given), outputs, options, work, scale=scale)
            for dlosses in (np.full((), 0.25, dtype), np.full((1,), 0.25, dtype), drawn(batch, dtype, 5)):
                outputs = {"dlogits": unwritten(*shape, dtype=dtype)}
                work = scratch(pair, "backward", logits)
                yield Case(pair.backward, (dlosses, p, *saved), outputs, options, work, scale=scale)
    margin = {"margin": 1.0}
    outputs = {"losses": unwritten(batch, dtype=dtype)}
    work = scratch(loss.Hinge, "forward", logits)
    yield Case(loss.Hinge.forward, (logits, labels, numbers), outputs, margin, work, scale=scale)
    for dlosses in (np.full((1,), 0.25, dtype), drawn(batch, dtype, 5)):
        outputs = {"dscores": unwritten(*shape, dtype=dtype)}
        yield Case(loss.Hinge.backward, (dlosses, logits, labels, numbers), outputs, margin, exact=True)


UNITS: tuple[tuple[Any, dict[str, Any], bool], ...] = (
    (regression_loss.MeanSquaredError, {}, True),
    (regression_loss.MeanAbsoluteError, {}, True),
    (regression_loss.Huber, {"delta": 0.5}, False),
    (loss.BinaryCrossEntropy, {}, False),
    (loss.BinaryCrossEntropyLogits, {}, False),
    (loss.Logistic, {}, False),
)


def units(shape: Any, dtype: str) -> Iterator[Case]:
    for pair, options, exact in UNITS:
        p, t = drawn(shape, dtype, 0), drawn(shape, dtype, 1)
        if pair is loss.BinaryCrossEntropy:
            p, t = 1 / (1 + np.exp(-p)), np.round(1 / (1 + np.exp(-t)))
        made = unwritten(*shape, dtype=dtype)
        yield Case(pair.forward, (p, t), {"losses": made}, options, scratch(pair, "forward", p), exact)
        backward = {name: value for name, value in options.items()}
        names = inspect.signature(pair.backward).parameters
        saved = np.abs(p) if pair is loss.Logistic else p
        for dlosses in (np.full((), 0.25, dtype), np.full((1,), 0.25, dtype), drawn(shape, dtype, 2)):
            for both in (False, True) if "dtarget" in names else (False,):
                outputs = {"dprediction": made, **({"dtarget": made} if both else {})}
                work = scratch(pair, "backward", p)
                yield Case(pair.backward, (dlosses, saved, t), outputs, backward, work, exact)


def distances(shape: Any, dtype: str) -> Iterator[Case]:
    batch = shape[0]
    a, p, n = (drawn(shape, dtype, seed) for seed in range(3))
    pair: Any = regression_loss.SquaredError
    made, losses, factor = unwritten(*shape, dtype=dtype), unwritten(batch, dtype=dtype), {"factor": 0.5}
    yield Case(pair.forward, (a, p), {"losses": losses}, factor, scratch(pair, "forward", a), scale=shape[1])
    for dlosses in (np.full((1,), 0.25, dtype), drawn(batch, dtype, 5)):
        yield Case(pair.backward, (dlosses, a, p), {"dprediction": made}, factor)
        yield Case(pair.backward, (dlosses, a, p), {"dprediction": made, "dtarget": made}, factor)
    one = a[:, 0].copy()
    yield Case(pair.backward, (drawn(batch, dtype, 5), one, p[:, 0].copy()), {"dprediction": losses}, factor)
    pair = regression_loss.TripletMargin
    work, margin = scratch(pair, "forward", a), {"margin": 1.0}
    yield Case(pair.forward, (a, p, n), {"losses": losses}, margin, work, scale=4 * shape[1])
    outputs = {"danchor": made, "dpositive": made, "dnegative": made}
    for dlosses in (np.full((1,), 0.25, dtype), drawn(batch, dtype, 5)):
        for some in (outputs, {"danchor": made, "dpositive": None, "dnegative": made}):
            yield Case(pair.backward, (dlosses, drawn(batch, dtype, 6), a, p, n), some)


def norms(shape: Any, dtype: str) -> Iterator[Case]:
    batch, count = shape
    x, dy, normalized = (drawn(shape, dtype, seed) for seed in range(3))
    x += 3
    gain, bias = drawn(count, dtype, 3), drawn(count, dtype, 4)
    made, row, column = unwritten(*shape, dtype=dtype), unwritten(count, dtype=dtype), unwritten(batch, 1, dtype=dtype)
    wide = {"scale": 4.0 * max(shape)}
    pair: Any
    for given in ((gain, bias), (None, None), (gain, None), (None, bias)):
        pair = normalization.BatchNorm
        outputs = {"y": made, "normalized": made, "mean": row, "variance": row, "inverse_deviation": row}
        yield Case(pair.forward, (x, *given), outputs, {"eps": 1e-3}, **wide)
        pair = normalization.BatchNormEvaluation
        running = (drawn(count, dtype, 5), np.abs(drawn(count, dtype, 6)))
        for kept in (made, None):
            outputs = {"y": made, "normalized": kept, "inverse_deviation": row}
            yield Case(pair.forward, (x, *given, *running), outputs, {"eps": 1e-3})
        pair = normalization.LayerNorm
        outputs = {"y": made, "normalized": made, "inverse_deviation": column}
        yield Case(pair.forward, (x, *given), outputs, {"eps": 1e-3}, **wide)
    everything = {"dx": made, "dgain": row, "dbias": row}
    inverse, by_row = np.abs(drawn(count, dtype, 7)), np.abs(drawn((batch, 1), dtype, 7))
    for pair, deviation in (
        (normalization.BatchNorm, inverse),
        (normalization.BatchNormEvaluation, inverse),
        (normalization.LayerNorm, by_row),
    ):
        for wanted in (everything, {**everything, "dgain": None, "dbias": None}, {**everything, "dx": None}):
            for one in (gain, None):
                work = scratch(pair, "backward", x)
                yield Case(pair.backward, (dy, normalized, one, deviation), wanted, {}, work, **wide)
    if batch > 1:
        running = {"running_mean": drawn(count, dtype, 5), "running_variance": np.abs(drawn(count, dtype, 6))}
        options = {"momentum": 0.1, "batch": batch}
        given = (drawn(count, dtype, 7), drawn(count, dtype, 8))
        yield Case(normalization.update_running, given, running, options, {"work": row})


def numbers(shape: Any, dtype: str) -> Iterator[Case]:
    a, b, dy = (special(drawn(shape, dtype, seed)) for seed in range(3))
    row, one, made = drawn(shape[1], dtype, 3), np.array([0.75], dtype), unwritten(*shape, dtype=dtype)
    exact = {"exact": True}
    for pair in (arithmetic.Add, arithmetic.Subtract, arithmetic.Multiply, arithmetic.Divide):
        for right in (b, 3, -2.5, one, row):
            yield Case(pair.forward, (a, right), {"y": made}, **exact)
        for left in (2, one):
            yield Case(pair.forward, (left, b), {"y": made}, **exact)
    for pair in (arithmetic.Add, arithmetic.Multiply):
        yield Case(pair.forward, (row, b), {"y": made}, **exact)
    yield Case(reduction.Accumulate.forward, (a, b), {"total": made}, **exact)
    for outputs in ({"da": made}, {"db": made}, {"da": made, "db": made}):
        yield Case(arithmetic.Multiply.backward, (dy, a, b), outputs, **exact)
        yield Case(arithmetic.Divide.backward, (dy, a, b), outputs, **exact)
    yield Case(arithmetic.Negative.forward, (a,), {"y": made}, **exact)
    yield Case(arithmetic.Negative.backward, (a,), {"dx": made}, **exact)
    yield Case(arithmetic.PowerConstant.forward, (a,), {"y": made}, {"exponent": 2}, **exact)
    yield Case(arithmetic.PowerConstant.backward, (dy, a), {"dx": made}, {"exponent": 2}, **exact)
    for kernel in (arithmetic.Exp.backward, arithmetic.Log.backward, arithmetic.Sqrt.backward):
        yield Case(kernel, (dy, a), {"dx": made}, **exact)
    yield Case(arithmetic.Sqrt.forward, (a,), {"y": made}, **exact)
    yield Case(shapes.Fill.forward, (), {"y": made}, {"value": 0.1}, **exact)


def sums(shape: Any, dtype: str) -> Iterator[Case]:
    x = drawn(shape, dtype, 0)
    wide: dict[str, Any] = {"scale": 2.0 * x.size}
    for axis, count in ((None, x.size), (0, shape[0]), (1, shape[1]), (-1, shape[1]), ((0, 1), x.size)):
        for keepdims in (True, False):
            made = np.full_like(np.sum(x, axis=axis, keepdims=keepdims), NAN)
            made = np.asarray(made, dtype)
            options = {"axis": axis, "keepdims": keepdims}
            yield Case(reduction.Sum.forward, (x,), {"y": made}, options, **wide)
            yield Case(reduction.Mean.forward, (x,), {"y": made}, {**options, "count": count}, **wide)
        made = np.full_like(np.sum(x, axis=axis, keepdims=True), NAN)
        yield Case(reduction.SumTo.forward, (x,), {"dx": made}, {"axis": axis}, **wide)
    made = unwritten(*shape, dtype=dtype)
    yield Case(reduction.Sum.backward, (np.full((1, 1), 3, dtype),), {"dx": made}, exact=True)
    yield Case(reduction.Mean.backward, (np.full((1, 1), 3, dtype),), {"dx": made}, {"count": x.size}, exact=True)


def averages(shape: Any, dtype: str) -> Iterator[Case]:
    losses, size = drawn(shape, dtype, 0).ravel(), shape[0] * shape[1]
    weights = np.abs(drawn(size, dtype, 1))
    value, one, work = unwritten(dtype=dtype), unwritten(1, dtype=dtype), unwritten(size, dtype=dtype)
    total = np.array([weights.sum()], dtype)
    wide: dict[str, Any] = {"scale": 2.0 * size}
    for count in (1, size):
        yield Case(averaging.Average.forward, (losses,), {"value": value}, {"count": count}, **wide)
        dvalue = np.array([3], dtype)
        yield Case(averaging.Average.backward, (dvalue,), {"dloss": one}, {"count": count}, exact=True)
    given = (losses, weights, total)
    yield Case(averaging.WeightedAverage.forward, given, {"value": value}, {}, {"work": work}, **wide)
    for dvalue in (np.array([3], dtype), drawn(size, dtype, 2)):
        outputs = {"dlosses": work}
        yield Case(averaging.WeightedAverage.backward, (dvalue, weights, total), outputs, exact=True)
    labels = np.random.default_rng(0).integers(0, shape[1], size)
    outputs = {"weights": work}
    yield Case(averaging.label_weights, (weights[: shape[1]].copy(), labels), outputs, exact=True)
    average = {"average": drawn(size, dtype, 3)}
    yield Case(averaging.move_average, (losses,), average, {"decay": 0.9}, {"work": work}, exact=True)
    yield Case(optimizer.squared_norm, (losses,), {"out": one}, **wide)
    for norm in (4.0, 0.01, NAN):
        given = (losses, np.array([norm], dtype))
        yield Case(optimizer.scale_by_norm, given, {}, {"max_norm": 1.0}, {"work": one})
    yield Case(optimizer.clip_by_value, (special(losses.copy()),), {}, {"limit": 0.5}, exact=True)
    for squares, absolutes in ((0.1, 0.0), (0.0, 0.2), (0.1, 0.2)):
        options = {"squares": squares, "absolutes": absolutes}
        outputs = {"value": np.array([2], dtype)}
        temporary = {"total": one, "work": work}
        yield Case(penalty.ElasticNet.forward, (losses,), outputs, options, temporary, **wide)
        given = (np.array([3], dtype), losses)
        yield Case(penalty.ElasticNet.backward, given, {"dw": work}, options, {"work": work}, exact=True)


def masks(shape: Any, dtype: str) -> Iterator[Case]:
    x = special(drawn(shape, dtype, 0))
    made, mask = unwritten(*shape, dtype=dtype), np.full(shape, True)
    counter = np.array([2**40 + 3], "uint64")
    for rate in (0.2, 0.5, 1.0):
        options = {"rate": rate, "key": (0xFEDCBA98, 7)}
        yield Case(dropout.Dropout.forward, (x, counter), {"y": made, "mask": mask}, options, exact=True)
    kept = np.random.default_rng(1).random(shape) < 0.5
    yield Case(dropout.Dropout.backward, (x, kept), {"dx": made}, {"rate": 0.2}, exact=True)
    yield Case(dropout.advance, (counter,), {}, exact=True)
    rows = np.full((shape[0], 1), True)
    for rate in (0.2, 1.0):
        options = {"rate": rate, "key": (0xFEDCBA98, 7)}
        outputs = {"y": made, "mask": rows}
        yield Case(dropout.StochasticDepth.forward, (x, drawn(shape, dtype, 1), counter), outputs, options, exact=True)
    yield Case(dropout.StochasticDepth.backward, (x, kept[:, :1].copy()), {"dbranch": made}, {"rate": 0.2}, exact=True)


def gathers(shape: Any, dtype: str) -> Iterator[Case]:
    picked = np.random.default_rng(0).integers(0, shape[0], 11)
    for x in (drawn(shape, dtype, 0), drawn((shape[0], 2, 3), dtype, 0), np.arange(shape[0])):
        made = np.zeros((len(picked), *x.shape[1:]), x.dtype)
        yield Case(shapes.Gather.forward, (x, picked), {"y": made}, exact=True)
    x = np.random.default_rng(1).integers(0, 256, shape).astype("uint8")
    yield Case(shapes.Gather.forward, (x, picked), {"y": np.zeros((11, shape[1]), "uint8")}, exact=True)
    # Of bytes that become numbers NumPy's own take would make an array of its own.
    yield Case(widened, (x, picked), {"y": unwritten(11, shape[1], dtype=dtype)}, exact=True)


def widened(xp: Any, x: Any, rows: Any, *, y: Any) -> None:
    y[...] = x[rows]


def roundings(shape: Any, dtype: str) -> Iterator[Case]:
    """Of floats alone, whatever the dtype of the others: numbers of every size, and each that is no usual one."""
    bits = np.random.default_rng(0).integers(0, 2**32, shape, dtype="uint32")
    halves = drawn(shape, "float32", 1, 3e-5)  # near float16's smallest normal number
    for x in (bits.view("float32"), special(halves), special(drawn(shape, "float32", 2, 4e4))):
        for precision in rounding.DROPPED:
            work = {"work": np.empty(shape, rounding.work_type(precision))}
            outputs, options = {"y": unwritten(*shape, dtype="float32")}, {"precision": precision}
            yield Case(rounding.Round.forward, (x,), outputs, options, work, exact=True)


STEPS: tuple[tuple[Any, int, dict[str, Any], tuple[str, ...]], ...] = (
    (optimizer.SGD, 1, {"momentum": 0.9}, ()),
    (optimizer.SGD, 1, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, ()),
    (optimizer.SGD, 0, {"weight_decay": 0.01}, ()),
    (optimizer.Adagrad, 1, {"weight_decay": 0.01}, ()),
    (optimizer.RMSprop, 1, {}, ()),
    (optimizer.RMSprop, 2, {"momentum": 0.5, "weight_decay": 0.01, "alpha": 0.9}, ()),
    (optimizer.Adam, 2, {"weight_decay": 0.01}, ("first_correction", "second_correction")),
    (optimizer.AdamW, 2, {}, ("first_correction", "second_correction")),
    (optimizer.NAdam, 2, {"weight_decay": 0.01}, ("gradient_weight", "momentum_weight", "second_correction")),
    (optimizer.Lion, 1, {"weight_decay": 0.1}, ()),
)


def steps(shape: Any, dtype: str) -> Iterator[Case]:
    size = shape[0] * shape[1]
    for kind, states, settings, per_step in STEPS:
        w, g, *kept = (special(drawn(size, dtype, seed)) for seed in range(2 + states))
        kept = [np.abs(one) for one in kept] if kind is not optimizer.SGD else kept
        missing = (None,) if kind in (optimizer.SGD, optimizer.RMSprop) and not settings.get("momentum") else ()
        named = dict(zip(("learning_rate", *per_step), (1e-3, 0.1, 0.02, 0.3), strict=False))
        work = {"work": tuple(np.full_like(w, NAN) for _ in range(kind.work))}
        for scalars in (named, {name: np.array([value], dtype) for name, value in named.items()}):
            yield Case(kind.update, (w, g, *kept, *missing), {}, {**scalars, **settings}, work, exact=True)


FAMILIES = (
    curves,
    rows,
    classes,
    units,
    distances,
    norms,
    numbers,
    sums,
    averages,
    masks,
    gathers,
    roundings,
    steps,
)
