"""Is every operation's gradient that of central differences, and is it right at ties, kinks, ends and empty shapes?"""

import numpy as np
import pytest
from differences import assert_close, assert_gradients

import engine as en
from backends.kernels import activation as kernels
from engine.operations import activation, arithmetic, core, dropout, linear, normalization, reduction, shape
from engine.operations.core import Unary

SHAPES = [(), (1,), (3,), (2, 3), (1, 1), (2, 1, 3)]
PAIRS = [((), ()), ((3,), ()), ((), (2, 2)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (2, 3)), ((2, 1, 3), (4, 1))]


def spread(shape, seed=0, gap=0.1):
    """Numbers around 0 that are all different, none nearer than half a gap to 0 or to another: no kink, no tie."""
    count = int(np.prod(shape))
    generator = np.random.default_rng(seed)
    values = (generator.permutation(count) - count // 2 + 0.5) * gap + generator.uniform(-0.2, 0.2, count) * gap
    return values.reshape(shape)


def positive(shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def unary(pair, **constants):
    return lambda x: en.apply(Unary(pair, **constants), x)


ELEMENTWISE = {
    "exp": (lambda x: x.exp(), spread),
    "log": (lambda x: x.log(), positive),
    "sqrt": (lambda x: x.sqrt(), positive),
    "abs": (lambda x: abs(x), spread),
    "negative": (lambda x: -x, spread),
    "relu": (lambda x: x.relu(), spread),
    "sigmoid": (lambda x: x.sigmoid(), spread),
    "tanh": (lambda x: x.tanh(), spread),
    "gelu": (unary(kernels.GELU), spread),
    "silu": (unary(kernels.SiLU), spread),
    "softplus": (unary(kernels.Softplus), spread),
    "leaky relu": (unary(kernels.LeakyReLU, negative_slope=0.1), spread),
    "elu": (unary(kernels.ELU, alpha=1.5), spread),
    "clip": (lambda x: x.clip(-0.2, 0.3), spread),
    "clip below": (lambda x: x.clip(min=0.0), spread),
    "clip above": (lambda x: x.clamp(max=0.0), spread),
    "x**0": (lambda x: x**0, spread),
    "x**1": (lambda x: x**1, spread),
    "x**2": (lambda x: x**2, spread),
    "x**3": (lambda x: x.pow(3), spread),
    "x**-1": (lambda x: x**-1, positive),
    "x**0.5": (lambda x: x**0.5, positive),
    "x**-1.5": (lambda x: x**-1.5, positive),
    "2**x": (lambda x: 2.0**x, spread),
    "x + 2": (lambda x: x + 2, spread),
    "2 - x": (lambda x: 2 - x, spread),
    "x * 3": (lambda x: x * 3, spread),
    "3 / x": (lambda x: 3 / x, positive),
    "x / 3": (lambda x: x / 3, spread),
    "maximum with 0.03": (lambda x: en.maximum(x, 0.03), spread),
    "minimum with 0.03": (lambda x: en.minimum(0.03, x), spread),
    "where": (lambda x: en.where(x > 0, x, 2.0), spread),
    "cast": (lambda x: x.to(dtype="float64") * 1.0, spread),
    "clone": (lambda x: x.clone(), spread),
    "product with itself": (lambda x: x * x, spread),
    "quotient by itself plus one": (lambda x: x / (x * x + 1.0), spread),
}


@pytest.mark.parametrize("dimensions", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradient_of_elementwise_operations(name, dimensions, backend):
    function, sample = ELEMENTWISE[name]
    assert assert_gradients(function, [sample(dimensions)], backend).shape == dimensions


BINARY = {
    "+": (lambda a, b: a + b, spread, spread),
    "-": (lambda a, b: a - b, spread, spread),
    "*": (lambda a, b: a * b, spread, spread),
    "/": (lambda a, b: a / b, spread, positive),
    "**": (lambda a, b: a**b, positive, spread),
    "maximum": (lambda a, b: en.maximum(a, b), spread, lambda s: spread(s, 1) + 0.02),
    "minimum": (lambda a, b: en.minimum(a, b), spread, lambda s: spread(s, 1) + 0.02),
    "where": (lambda a, b: en.where(en.tensor([True, False, True], device=a.backend), a, b), spread, spread),
}


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_gradient_of_binary_operations_with_broadcasting(name, first, second, backend):
    function, left, right = BINARY[name]
    if name == "where" and 2 in (first or second)[-1:]:
        second = (2, 3)
        first = () if first == () else first
    output = assert_gradients(function, [left(first), right(second)], backend)
    assert output.shape == np.broadcast_shapes(first, second, (3,) if name == "where" else ())


@pytest.mark.parametrize("name", ["+", "-", "*", "/", "**"])
def test_gradient_of_one_side_only(name, backend):
    function, left, right = BINARY[name]
    b = right((2, 3))
    assert_gradients(lambda a: function(a, en.tensor(b, device=backend)), [left((3,))], backend)
    a = left((2, 3))
    assert_gradients(lambda b: function(en.tensor(a, device=backend), b), [right((3,))], backend)


REDUCTIONS = {
    "sum": lambda x, **options: x.sum(**options),
    "mean": lambda x, **options: x.mean(**options),
    "max": lambda x, **options: x.max(**options),
    "min": lambda x, **options: x.min(**options),
    "var": lambda x, **options: x.var(**options),
}
AXES = [
    ((), None),
    ((3,), 0),
    ((3,), -1),
    ((2, 3), None),
    ((2, 3), 1),
    ((2, 1, 3), (0, -1)),
    ((2, 1, 3), 1),
    ((2, 3), ()),
]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("dimensions", "axis"), AXES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_gradient_of_reductions(name, dimensions, axis, keepdims, backend):
    x = spread(dimensions)
    output = assert_gradients(lambda x: REDUCTIONS[name](x, axis=axis, keepdims=keepdims), [x], backend)
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    assert_close(output, expected, name, 1e-12)


SOFTMAX = [((3,), -1), ((2, 3), -1), ((2, 3), 0), ((2, 1, 3), 1), ((2, 2, 3), -2), ((1, 1), 1)]


@pytest.mark.parametrize(("dimensions", "axis"), SOFTMAX, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_gradient_of_softmax(name, dimensions, axis, backend):
    x = spread(dimensions, gap=0.5)
    output = assert_gradients(lambda x: getattr(x, name)(axis), [x], backend)
    expected = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
    assert_close(output, expected if name == "softmax" else np.log(expected), name, 1e-12)


INDICES = {
    "number": lambda x: x[1],
    "negative number": lambda x: x[-1, 0],
    "element": lambda x: x[1, 2],
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[::-1, ::2],
    "None": lambda x: x[None, :, None],
    "Ellipsis": lambda x: x[..., 0],
    "integers": lambda x: x[np.array([1, 0])],
    "repeated integers": lambda x: x[[1, 1, 0, 1]],
    "repeated in pairs": lambda x: x[[1, 1, 0], [2, 2, 2]],
    "a Tensor": lambda x: x[en.tensor([0, 0], device=x.backend)],
    "a Tensor beside a slice": lambda x: x[:, en.tensor([2, 2, 0], device=x.backend)],
    "a mask": lambda x: x[en.tensor([[True, False, True], [False, False, True]], device=x.backend)],
    "a mask of rows": lambda x: x[en.tensor([True, False], device=x.backend)],
    "nothing": lambda x: x[2:],
}


@pytest.mark.parametrize("name", INDICES)
def test_gradient_of_indexing(name, backend):
    x = spread((2, 3))
    output = assert_gradients(INDICES[name], [x], backend)
    with en.no_grad():
        expected = INDICES[name](en.tensor(x)).numpy()
    np.testing.assert_array_equal(output, expected)


def test_a_repeated_index_adds_its_gradients_up(backend):
    x = en.tensor([1.0, 2.0, 3.0], requires_grad=True, device=backend)
    x[[0, 2, 0, 0]].sum().backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]


MOVES = {
    "reshape": lambda x: x.reshape(3, 2),
    "reshape tuple": lambda x: x.reshape((6,)),
    "reshape -1": lambda x: en.reshape(x, 1, -1, 2),
    "T": lambda x: x.T,
    "transpose": lambda x: x.transpose(),
    "transpose axes": lambda x: en.transpose(x, 1, 0),
    "transpose of three": lambda x: x.reshape(1, 2, 3).transpose(1, 2, 0),
    "transpose, negative": lambda x: x.reshape(1, 2, 3).transpose((-1, 0, -2)),
    "transpose then reshape": lambda x: x.T.reshape(-1),
    "T of slices times x": lambda x: x.T[1:] @ x,
}


@pytest.mark.parametrize("name", MOVES)
def test_gradient_of_moves(name, backend):
    assert_gradients(MOVES[name], [spread((2, 3))], backend)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradient_of_concatenate_and_stack(axis, backend):
    a, b = spread((2, 3)), spread((2, 3), seed=1)
    joined = assert_gradients(lambda a, b: en.concatenate([a, b, a * 2.0], axis), [a, b], backend)
    np.testing.assert_array_equal(joined, np.concatenate([a, b, a * 2.0], axis))
    stacked = assert_gradients(lambda a, b: en.stack([a, b, b], axis), [a, b], backend)
    np.testing.assert_array_equal(stacked, np.stack([a, b, b], axis))


def test_gradient_of_concatenate_of_different_lengths(backend):
    assert_gradients(lambda a, b: en.concatenate([b, a]), [spread((2, 3)), spread((4, 3))], backend)


def test_gradient_of_stacked_numbers(backend):
    """The gradient of a 0-d input is an array that later gradients can be added to."""
    assert_gradients(lambda a, b: en.stack([a, b]), [np.array(1.5), np.array(2.5)], backend)
    a = en.tensor(1.0, requires_grad=True, device=backend)
    for _ in range(2):
        en.stack([a, a]).sum().backward()
    assert a.grad.item() == 4.0


PRODUCTS = [
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 1)),
    ((5, 2, 3), (5, 3, 2)),
    ((4, 1, 2, 3), (2, 3, 2)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (3,)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize(("first", "second"), PRODUCTS, ids=str)
def test_gradient_of_matrix_products(first, second, backend):
    a, b = spread(first), spread(second, seed=1)
    output = assert_gradients(lambda a, b: a @ b, [a, b], backend)
    assert_close(output, a @ b, "@", 1e-12)


@pytest.mark.parametrize("dimensions", [(4, 3), (1, 3), (3,), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_gradient_of_the_linear_map(dimensions, with_bias, backend):
    x, w, b = spread(dimensions), spread((3, 2), seed=1), spread((2,), seed=2)
    arrays = [x, w, b] if with_bias else [x, w]

    def function(x, w, b=None):
        return en.apply(linear.LINEAR, x, w, b)

    output = assert_gradients(function, arrays, backend)
    assert_close(output, x @ w + (b if with_bias else 0.0), "linear", 1e-12)


def test_gradient_of_maxout(backend):
    assert_gradients(lambda x: en.apply(activation.MAXOUT, x), [spread((2, 3, 4))], backend)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("rows", [2, 5])
def test_gradient_of_normalizations(rows, affine, backend):
    x, gain, bias = spread((rows, 3), gap=0.5), positive((3,)), spread((3,), seed=2)
    running = [backend.asarray(positive((3,), seed)) for seed in (3, 4)]
    for operation in (
        normalization.BatchNorm((backend.zeros((3,), "float64"), backend.zeros((3,), "float64")), 0.1, 1e-5),
        normalization.BatchNormEvaluation(*running, 1e-5),
        normalization.LayerNorm(1e-5),
    ):

        def function(x, gain=None, bias=None, operation=operation):
            return en.apply(operation, x, gain, bias)

        assert_gradients(function, [x, gain, bias] if affine else [x], backend)


def test_gradient_of_random_masks(backend):
    """The same counter gives the same mask, so that differences see one function."""

    def counter():
        return backend.asarray(np.array([5], "uint64"))

    def thinned(x):
        return en.apply(dropout.Dropout(0.4, (1, 2), counter()), x)

    def deep(x, branch):
        return en.apply(dropout.StochasticDepth(0.4, (1, 2), counter()), x, branch)

    assert_gradients(thinned, [spread((3, 4))], backend)
    assert_gradients(deep, [spread((6, 2)), spread((6, 2), seed=1)], backend)


def test_every_operation_of_the_engine_is_checked_here():
    """A new operation class without a gradient check is found by its absence from this list."""
    checked = {
        *("Add", "Subtract", "Multiply", "Divide", "Power", "Maximum", "Minimum", "Negative", "PowerConstant", "Clip"),
        *("Where", "Sum", "Mean", "Max", "Min", "Variance", "Reshape", "Transpose", "Index", "Concatenate", "Stack"),
        *("Cast", "Linear", "MatrixProduct", "Maxout", "BatchNorm", "BatchNormEvaluation", "LayerNorm", "Dropout"),
        "StochasticDepth",
        "RoundedLinear",  # tests/test_precision.py: a rounded function is a staircase, whose differences say nothing
    }
    defined = {
        name
        for module in (activation, arithmetic, dropout, linear, normalization, reduction, shape)
        for name, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, core.KernelOperation) and not name.startswith("_")
    }
    assert defined - {"KernelOperation", "Unary"} == checked


# -- float32 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "cast"])
def test_float32_forward_agrees_with_float64(name, backend):
    function, sample = ELEMENTWISE[name]
    x = sample((7, 5))
    exact = function(en.tensor(x.astype("float32").astype("float64"), device=backend)).numpy()
    rounded = function(en.tensor(x.astype("float32"), device=backend))
    assert rounded.dtype == "float32"
    assert np.abs(rounded.numpy() - exact).max() <= 1e-5 * max(1.0, np.abs(exact).max())


@pytest.mark.parametrize("name", [*REDUCTIONS, "softmax", "log_softmax", "@"])
def test_float32_forward_of_sums_agrees_with_float64(name, backend):
    x = np.random.default_rng(0).normal(3.0, 1.0, (64, 200)).astype("float32")

    def function(x):
        if name == "@":
            return x @ x.T
        return getattr(x, name)(axis=1)

    exact = function(en.tensor(x.astype("float64"), device=backend)).numpy()
    rounded = function(en.tensor(x, device=backend))
    assert rounded.dtype == "float32"
    assert np.abs(rounded.numpy() - exact).max() <= 1e-5 * max(1.0, np.abs(exact).max())


def test_gradients_have_the_dtype_of_their_tensor(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    (x.to(dtype="float64") * 2.0).sum().backward()
    assert x.grad.dtype == "float32"
    assert x.grad.tolist() == [2.0, 2.0]


# -- ties, kinks and ends --------------------------------------------------------------------------------


def gradient_at(function, values, backend, incoming=None):
    x = en.tensor(np.array(values, "float64"), requires_grad=True, device=backend)
    y = function(x)
    y.backward(None if y.size == 1 and incoming is None else np.ones(y.shape) if incoming is None else incoming)
    return x.grad.numpy().tolist()


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share_the_gradient_evenly(name, backend):
    assert gradient_at(lambda x: getattr(x, name)(), [2.0, 2.0, 2.0, 2.0], backend) == [0.25] * 4
    rows = [[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]] if name == "max" else [[3.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    third = 1 / 3
    assert gradient_at(lambda x: getattr(x, name)(axis=1), rows, backend) == [[0.0, 0.5, 0.5], [third, third, third]]


def test_ties_of_two_tensors_share_the_gradient(backend):
    for function in (en.maximum, en.minimum):
        a = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
        b = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
        function(a, b).sum().backward()
        assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]
    assert gradient_at(lambda x: en.maximum(x, 1.0), [1.0], backend) == [0.5]


def test_kinks(backend):
    assert gradient_at(lambda x: x.relu(), [0.0, -0.0, 1e-300, -1e-300], backend) == [0.0, 0.0, 1.0, 0.0]
    assert gradient_at(lambda x: abs(x), [0.0, -0.0, 2.0, -2.0], backend) == [0.0, 0.0, 1.0, -1.0]


def test_clip_passes_the_gradient_at_its_bounds(backend):
    assert gradient_at(lambda x: x.clip(-1.0, 1.0), [-1.1, -1.0, 0.0, 1.0, 1.1], backend) == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert gradient_at(lambda x: x.clamp(min=0), [-1.0, 0.0, 1.0], backend) == [0.0, 1.0, 1.0]


def test_powers_at_zero(backend):
    values = [0.0, 2.0, -3.0]
    assert gradient_at(lambda x: x**0, values, backend) == [0.0, 0.0, 0.0]
    assert gradient_at(lambda x: x**1, values, backend) == [1.0, 1.0, 1.0]
    assert gradient_at(lambda x: x**2, values, backend) == [0.0, 4.0, -6.0]
    assert gradient_at(lambda x: x**3, values, backend) == [0.0, 12.0, 27.0]
    base = en.tensor([0.0, 0.0, 1.0], requires_grad=True, device=backend)
    exponent = en.tensor([2.0, 1.0, 5.0], requires_grad=True, device=backend)
    (base**exponent).sum().backward()
    assert base.grad.tolist() == [0.0, 1.0, 5.0]
    assert exponent.grad.tolist() == [0.0, 0.0, 0.0]
    assert gradient_at(lambda x: 0.0**x, [2.0, 3.0], backend) == [0.0, 0.0]


def test_a_tensor_of_zeros_as_exponent(backend):
    base = en.tensor([0.0, 2.0], requires_grad=True, device=backend)
    exponent = en.tensor([0.0, 0.0], requires_grad=True, device=backend)
    y = base**exponent
    y.sum().backward()
    assert y.tolist() == [1.0, 1.0]
    assert base.grad.tolist() == [0.0, 0.0]
    assert_close(exponent.grad.numpy(), [0.0, np.log(2.0)], tolerance=1e-6)


def test_saturated_points_follow_their_closed_forms(backend):
    x = [80.0, -80.0]
    small = np.exp(-80.0)
    closed = {
        "sigmoid": ([1.0, small], [0.0, small]),  # 1 - e^-80 is 1 in float64
        "tanh": ([1.0, -1.0], [0.0, 0.0]),
        "relu": ([80.0, 0.0], [1.0, 0.0]),
        "softplus": ([80.0, small], [1.0, small]),
        "silu": ([80.0, -80.0 * small], [1.0, -79.0 * small]),
        "gelu": ([80.0, 0.0], [1.0, 0.0]),
        "elu": ([80.0, -1.5], [1.0, 1.5 * small]),
        "leaky relu": ([80.0, -8.0], [1.0, 0.1]),
        "exp": ([1 / small, small], [1 / small, small]),
    }
    for name, (values, slopes) in closed.items():
        function = ELEMENTWISE[name][0]
        np.testing.assert_allclose(
            function(en.tensor(np.array(x), device=backend)).numpy(), values, rtol=1e-12, err_msg=name
        )
        np.testing.assert_allclose(gradient_at(function, x, backend), slopes, rtol=1e-12, atol=1e-300, err_msg=name)


def test_saturated_softmax(backend):
    x = [[80.0, -80.0, 80.0]]
    small = np.exp(-160.0) / 2
    probabilities = np.array([[0.5, small, 0.5]])
    y = en.tensor(np.array(x), device=backend)
    np.testing.assert_allclose(y.softmax().numpy(), probabilities, rtol=1e-12)
    np.testing.assert_allclose(
        y.log_softmax().numpy(), [[-np.log(2.0), -160.0 - np.log(2.0), -np.log(2.0)]], rtol=1e-12
    )
    incoming = np.array([[1.0, 2.0, 3.0]])
    expected = probabilities * (incoming - (probabilities * incoming).sum())
    np.testing.assert_allclose(gradient_at(lambda x: x.softmax(), x, backend, incoming), expected, atol=1e-12)
    np.testing.assert_allclose(
        gradient_at(lambda x: x.log_softmax(), x, backend, incoming), incoming - probabilities * 6.0, atol=1e-12
    )


def test_var_is_the_population_variance(backend):
    assert en.tensor([1.0, 3.0], device=backend).var().item() == 1.0
    assert en.tensor([5.0], device=backend).var().item() == 0.0


def test_nan_and_infinity_pass_through(backend):
    x = en.tensor([np.nan, np.inf, -np.inf, 1.0], device=backend)
    assert str(x.relu().tolist()) == "[nan, inf, 0.0, 1.0]"
    assert str(x.sigmoid().tolist()[:3]) == "[nan, 1.0, 0.0]"
    assert str(x.max().item()) == "nan"
    assert str((x + 1.0).tolist()) == "[nan, inf, -inf, 2.0]"
    assert gradient_at(lambda x: x.max(), [np.nan, 1.0], backend) == [0.0, 0.0]  # no element equals the result


# -- empty arrays ----------------------------------------------------------------------------------------


def test_empty_arrays(backend):
    x = en.tensor(np.empty((0, 3)), requires_grad=True, device=backend)
    assert x.sum().item() == 0.0
    assert x.sum(axis=0).tolist() == [0.0, 0.0, 0.0]
    x.sum().backward()
    assert x.grad.shape == (0, 3)
    assert (x * 2.0).relu().shape == (0, 3)
    assert (x @ en.tensor(np.ones((3, 2)), device=backend)).shape == (0, 2)
    for name in ("mean", "max", "min", "var"):
        with pytest.raises(en.ShapeError, match=f"{name}: shape \\(0, 3\\) has no elements"):
            getattr(x, name)(axis=0)
