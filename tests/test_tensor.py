"""What is a tensor made of, what can be written with it, and what does it refuse?"""

import numpy as np
import pytest

import engine as en

# -- making one ------------------------------------------------------------------------------------------

DTYPES = {
    "a float": (1.5, "float32"),
    "an int": (2, "int64"),
    "a bool": (True, "bool"),
    "floats": ([1.0, 2.0], "float32"),
    "ints and floats": ([[1, 2.5]], "float32"),
    "ints": ([1, 2], "int64"),
    "bools": ([True, False], "bool"),
    "a tuple": ((1.0, 2.0), "float32"),
    "nothing": ([], "float32"),
    "a range": (range(3), "int64"),
    "float64 array": (np.ones(2), "float64"),
    "float32 array": (np.ones(2, "float32"), "float32"),
    "float16 array": (np.ones(2, "float16"), "float16"),
    "int32 array": (np.ones(2, "int32"), "int32"),
    "uint8 array": (np.ones(2, "uint8"), "uint8"),
    "bool array": (np.ones(2, "bool"), "bool"),
    "float64 number": (np.float64(1.0), "float64"),
    "float32 number": (np.float32(1.0), "float32"),
    "list of float64 numbers": ([np.float64(1.0)], "float64"),
    "list of float64 arrays": ([np.ones(2), np.ones(2)], "float64"),
}


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("kind", [en.Tensor, en.Parameter])
def test_dtype_of_what_was_given(name, kind, backend):
    data, dtype = DTYPES[name]
    options = {} if kind is en.Tensor or np.asarray(data).dtype.kind == "f" else {"requires_grad": False}
    made = kind(data, device=backend, **options)
    assert made.dtype == dtype
    assert made.shape == np.shape(data)
    assert made.backend is backend
    assert backend.owns(made.array)
    np.testing.assert_array_equal(made.numpy(), np.asarray(data))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", np.float64, np.dtype("int32"), float, int])
def test_dtype_that_was_asked_for(dtype, backend):
    assert en.tensor([0, 1], dtype=dtype, device=backend).dtype == np.dtype(dtype)


def test_python_floats_keep_their_digits(backend):
    assert en.tensor(0.1, dtype="float64", device=backend).item() == 0.1
    assert en.tensor([0.1], dtype="float64", device=backend).tolist() == [0.1]
    x = en.tensor(np.ones(1), device=backend)
    assert (x * 0.1).tolist() == (x * [0.1]).tolist() == en.maximum([0.1], 0 * x).tolist() == [0.1]
    assert en.tensor([1.9], dtype="int64", device=backend).tolist() == [1]


def test_arrays_of_the_device_are_operands(backend):
    x = en.tensor([1.0, 2.0], device=backend)
    raw = backend.asarray(np.array([3.0, 4.0], "float32"))
    assert (x + raw).tolist() == [4.0, 6.0]
    assert en.maximum(x, raw).tolist() == [3.0, 4.0]


def test_arrays_of_the_other_byte_order(backend):
    x = en.tensor(np.array([1.5, 2.5], ">f8"), device=backend)
    assert (x + en.tensor(np.ones(2), device=backend)).tolist() == [2.5, 3.5]


def test_a_tensor_is_a_copy(backend):
    source = np.ones(2)
    made = en.tensor(source, device=backend)
    source[0] = 5.0
    assert made.tolist() == [1.0, 1.0]
    again = en.tensor(made)
    with en.no_grad():
        made += 1.0
    assert again.tolist() == [1.0, 1.0]
    host = made.numpy()
    host[0] = 9.0
    assert made.tolist() == [2.0, 2.0]
    given = backend.asarray(np.ones(2))
    made = en.tensor(given, device=backend)
    given[0] = 7.0
    assert made.tolist() == [1.0, 1.0]


def test_a_tensor_of_a_tensor_has_no_history(backend):
    x = en.tensor([1.0], requires_grad=True, device=backend)
    made = en.tensor(x * 2.0)
    assert made.is_leaf
    assert not made.requires_grad
    assert made.backend is backend
    assert en.tensor(x, dtype="float64").dtype == "float64"


def test_what_a_tensor_is(backend):
    x = en.tensor([[1.0, 2.0, 3.0]], requires_grad=True, name="x", device=backend)
    assert (x.shape, x.ndim, x.size, len(x), x.dtype, x.device) == ((1, 3), 2, 3, 1, "float32", backend.device)
    assert (x.name, x.requires_grad, x.is_leaf, x.grad) == ("x", True, True, None)
    y = x * 2.0
    assert (y.name, y.requires_grad, y.is_leaf) == (None, True, False)
    y.name = "y"
    assert y.name == "y"
    x.name = "renamed"
    assert x.name == "renamed"


WRONG = {
    "ragged": ([[1.0, 2.0], [3.0]], en.ShapeError, "ragged"),
    "ragged depth": ([[1.0], 2.0], en.ShapeError, "ragged"),
    "a string": ("abc", en.DtypeError, "tensor: str of <U3 was given"),
    "strings": (["a", "b"], en.DtypeError, "give numbers or bools"),
    "number and string": ([1.0, "b"], en.DtypeError, "give numbers or bools"),
    "None": (None, en.DtypeError, "NoneType of object"),
    "objects": ([object()], en.DtypeError, "object"),
    "complex": ([1 + 2j], en.DtypeError, "complex128"),
    "complex array": (np.ones(2, "complex64"), en.DtypeError, "complex64"),
    "dates": (np.array(["2020-01-01"], "datetime64[D]"), en.DtypeError, "datetime64"),
    "huge ints": ([2**70], en.DtypeError, "object"),
    "a dictionary": ({"a": 1}, en.DtypeError, "dict"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_tensor(name):
    data, error, text = WRONG[name]
    with pytest.raises(error, match=text) as caught:
        en.tensor(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["complex64", "foo", "object", "U4", object])
def test_dtypes_that_are_none_of_numbers(dtype):
    with pytest.raises(en.DtypeError, match='allowed are "float32"'):
        en.tensor([1.0], dtype=dtype)


@pytest.mark.parametrize("data", [1, [True], np.ones(2, "int32")], ids=str)
def test_only_floats_require_gradients(data):
    with pytest.raises(en.DtypeError, match="has no gradient; give floats"):
        en.tensor(data, requires_grad=True)
    assert en.tensor(data, requires_grad=True, dtype="float32").requires_grad


def test_requires_grad_can_be_switched():
    x = en.tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad
    y = x.requires_grad_() * 2.0
    assert y.requires_grad_() is y
    with pytest.raises(en.GradientError, match=r"cannot be frozen; use detach\(\)"):
        y.requires_grad_(False)


def test_parameters_know_whether_a_penalty_counts_them():
    assert en.Parameter(np.ones((2, 2))).regularized
    assert not en.Parameter(np.ones(2)).regularized
    assert en.Parameter(np.ones(2), regularized=True).regularized
    assert en.Parameter([1.0]).requires_grad
    assert not en.Parameter([1.0], requires_grad=False).requires_grad


# -- arithmetic ------------------------------------------------------------------------------------------

A = np.array([[1.0, 2.0, 4.0], [8.0, 0.5, 0.25]])
OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
COMPARISONS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
OTHERS = {
    "a number": 2.0,
    "an int": 2,
    "a NumPy number": np.float32(2.0),
    "a NumPy float64": np.float64(2.0),
    "a 0-d array": np.array(2.0),
    "a list": [1.0, 2.0, 3.0],
    "an array": np.array([1.0, 2.0, 3.0], "float32"),
    "a column": np.array([[1.0], [2.0]], "float32"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", [*OPERATORS, *COMPARISONS])
def test_operators_on_both_sides(name, other, backend):
    operate, value = {**OPERATORS, **COMPARISONS}[name], OTHERS[other]
    x = en.tensor(A.astype("float32"), device=backend)
    for result, expected in ((operate(x, value), operate(A, np.array(value))), (operate(value, x), operate(np.array(value), A))):
        assert isinstance(result, en.Tensor)
        assert result.dtype == ("bool" if name in COMPARISONS else "float32")
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [*OPERATORS, *COMPARISONS])
def test_operators_of_two_tensors(name, backend):
    operate = {**OPERATORS, **COMPARISONS}[name]
    b = A[:, :1]
    result = operate(en.tensor(A, device=backend), en.tensor(b, device=backend))
    np.testing.assert_allclose(result.numpy(), operate(A, b))
    assert result.backend is backend


def test_matrix_product_on_both_sides(backend):
    x, w = en.tensor(A, device=backend), np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose((x @ w).numpy(), A @ w)
    np.testing.assert_allclose((w @ x).numpy(), w @ A)
    np.testing.assert_allclose(x.mm(en.tensor(w, device=backend)).numpy(), A @ w)
    np.testing.assert_allclose(en.matmul(x, w).numpy(), A @ w)
    np.testing.assert_allclose(en.mm(A, w).numpy(), A @ w)
    np.testing.assert_allclose(([1.0, 2.0] @ x).numpy(), [1.0, 2.0] @ A)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("number", [2, 0.1, True, np.float64(0.1), np.float32(0.1), np.int64(3)], ids=repr)
def test_numbers_never_change_the_dtype(dtype, number, backend):
    x = en.tensor(np.ones(3), dtype=dtype, device=backend)
    for result in (x + number, number + x, x - number, number - x, x * number, x / number, number / x, x**number, number**x):
        assert result.dtype == dtype
    assert en.maximum(x, number).dtype == en.where(x > 0, number, x).dtype == dtype
    assert x.clip(min=0.1).dtype == dtype


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_whole_numbers_stay_whole(dtype, backend):
    x = en.tensor(np.array([1, 2, 3]), dtype=dtype, device=backend)
    for result in (x + 1, 2 - x, x * 3, x**2, -x, 2**x, x.max(), x.min(axis=0), x[1:], x.reshape(3, 1).T):
        assert result.dtype == dtype
    assert (x**2).tolist() == [1, 4, 9]
    with pytest.raises(en.DtypeError, match="cannot hold"):
        x + 0.5
    with pytest.raises(en.DtypeError, match="/: a tensor of int"):
        1 / x


def test_whole_numbers_beside_floats_become_floats(backend):
    whole, floats = en.tensor([1, 2], device=backend), en.tensor([0.5, 0.5], device=backend)
    for result in (whole + floats, floats + whole, whole * floats, floats**whole, en.maximum(whole, floats)):
        assert result.dtype == "float32"
    assert (whole - floats).tolist() == [0.5, 1.5]
    assert (np.array([1.5, 2.5], "float32") * whole).tolist() == [1.5, 5.0]
    assert (whole * [0.5, 2.0]).tolist() == [0.5, 4.0]
    assert en.concatenate([whole, floats]).tolist() == [1.0, 2.0, 0.5, 0.5]
    assert en.stack([floats, whole]).dtype == "float32"
    x = en.tensor([0.5, 0.5], requires_grad=True, device=backend)
    (whole * x).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_whole_numbers_of_two_widths_take_the_wider(backend):
    narrow, wide = en.tensor(np.array([1, 2], "int8"), device=backend), en.tensor([300, 300], device=backend)
    assert (narrow + wide).tolist() == (wide + narrow - 2 * narrow + narrow + narrow).tolist() == [301, 302]
    assert (narrow + wide).dtype == (wide + narrow).dtype == "int64"
    assert en.concatenate([narrow, wide]).dtype == en.stack([narrow, wide]).dtype == "int64"
    assert en.where(narrow > 1, narrow, wide).tolist() == [300, 2]
    assert (narrow @ wide).item() == 900


def test_bools_are_counted(backend):
    hits = en.tensor([1.0, 2.0, 3.0], device=backend) > 1.5
    assert hits.dtype == "bool"
    assert hits.sum().item() == 2
    assert hits.sum().dtype == "int64"
    assert hits.to(dtype="float32").mean().item() == pytest.approx(2 / 3)
    assert (hits * en.tensor([1, 1, 5], device=backend)).tolist() == [0, 1, 5]
    assert (hits + en.tensor([1, 1, 1], device=backend)).tolist() == [1, 2, 2]
    with pytest.raises(en.DtypeError, match="a tensor of bool meets the number 1"):
        hits + 1
    assert en.tensor(np.full(2, 200, "uint8"), device=backend).sum().item() == 400


def test_comparisons_have_no_history_and_tensors_can_be_keys(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    assert not (x > 1.0).requires_grad
    assert (x == x).tolist() == [True, True]
    assert (x != [1.0, 3.0]).tolist() == [False, True]
    assert {x: 1}[x] == 1
    whole = en.tensor([1, 2], device=backend)
    assert (whole > 1.5).tolist() == [False, True]
    assert (whole == np.int64(2)).tolist() == [False, True]


def test_two_float_dtypes_are_refused():
    a = en.tensor([1.0], name="a")
    b = en.tensor(np.array([1.0]))
    for call in (lambda: a + b, lambda: b * a, lambda: a @ b, lambda: a + np.ones(1), lambda: np.ones(1) - a):
        with pytest.raises(en.DtypeError, match=r'float32.*float64|float64.*float32') as caught:
            call()
        assert '.to(dtype="float' in str(caught.value)
    for call in (lambda: en.maximum(a, b), lambda: en.where(a > 0, a, b), lambda: en.concatenate([a, b])):
        with pytest.raises(en.DtypeError, match="meet; convert one with"):
            call()
    assert "tensor 'a' (1,) of float32" in str(pytest.raises(en.DtypeError, lambda: a + b).value)
    assert (a.to(dtype="float64") + b).item() == 2.0


def test_two_devices_are_refused(fake_device):
    a, b = en.tensor([1.0], name="a"), en.tensor([1.0], device=fake_device)
    calls = [
        lambda: a + b,
        lambda: b - a,
        lambda: a @ b,
        lambda: a < b,
        lambda: a == b,
        lambda: en.maximum(a, b),
        lambda: en.stack([a, b]),
        lambda: en.concatenate([a, b]),
        lambda: a[b > 0],
        lambda: b[en.tensor([0])],
        lambda: a.__setitem__(0, b[0]),
        lambda: a.__iadd__(b),
        lambda: a + b.to(dtype="float64"),
        lambda: en.tensor([1]) + b,
    ]
    for call in calls:
        with pytest.raises(en.DeviceError, match=r"cpu.*fake:0|fake:0.*cpu") as caught:
            call()
        assert "move" in str(caught.value)
    assert (a.to(fake_device) + b).device == "fake:0"
    assert (a + b.to("cpu")).tolist() == [2.0]
    assert (a.to("fake:0") + np.ones(1, "float32")).tolist() == [2.0]


def test_operands_that_are_no_numbers():
    x = en.tensor([1.0, 2.0])
    for other in ("a", None, 1j, np.complex64(1), [1j], {"a": 1}, object()):
        with pytest.raises(en.DtypeError):
            x + other
        with pytest.raises(en.DtypeError):
            other * x


# -- reductions and shapes -------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (-1, 0), [0], (), np.int64(1)], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
def test_reductions(name, axis, keepdims, backend):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = getattr(np, name)(x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)
    for result in (
        getattr(en.tensor(x, device=backend), name)(axis=axis, keepdims=keepdims),
        getattr(en, name)(en.tensor(x, device=backend), axis, keepdims),
    ):
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-15)
        assert result.shape == np.shape(expected)


def test_functions_are_the_methods():
    x = en.tensor(A)
    for name in ("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "softmax", "log_softmax"):
        np.testing.assert_array_equal(getattr(en, name)(A).numpy(), getattr(x, name)().numpy())
    assert en.clip([1.0, 5.0], max=2.0).tolist() == en.clamp([1.0, 5.0], max=2.0).tolist() == [1.0, 2.0]
    assert en.pow([1.0, 2.0], 2).tolist() == [1.0, 4.0]
    assert abs(en.tensor([-1.0])).tolist() == [1.0]
    assert en.reshape([1.0, 2.0], 2, 1).shape == (2, 1)
    assert en.transpose([[1.0, 2.0]]).shape == (2, 1)


def test_maximum_minimum_and_where_take_numbers_lists_and_arrays(backend):
    x = en.tensor([1.0, 4.0], device=backend)
    assert en.maximum(x, 2.0).tolist() == en.maximum(2, x).tolist() == en.maximum([2.0, 2.0], x).tolist() == [2.0, 4.0]
    assert en.minimum(x, np.float32(2.0)).tolist() == [1.0, 2.0]
    assert en.where(x > 2.0, x, 0.0).tolist() == [0.0, 4.0]
    assert en.where([True, False], 7.0, x).tolist() == [7.0, 4.0]
    assert en.where(np.array([[True], [False]]), x, -1.0).tolist() == [[1.0, 4.0], [-1.0, -1.0]]
    assert en.maximum(1.0, 2.0).item() == 2.0


# -- indexing --------------------------------------------------------------------------------------------

INDICES = [
    1,
    -1,
    slice(1, None),
    slice(None, None, -1),
    None,
    Ellipsis,
    (0, 1),
    (0, slice(None), -1),
    (Ellipsis, 0),
    (None, Ellipsis, None),
    [0, 0, 1],
    [],
    ([1, 0], [0, 2]),
    (slice(None), [2, 0, 2]),
    np.array([1, 1]),
    (np.array([[0], [1]]), np.array([[0, 1]])),
    (0, 1, 2),
    np.int64(1),
    True,
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_is_numpys(index, backend):
    x = np.arange(24.0).reshape(2, 3, 4)
    picked = en.tensor(x, device=backend)[index]
    np.testing.assert_array_equal(picked.numpy(), x[index])
    assert picked.shape == np.shape(x[index])


def test_indexing_by_tensors_and_masks(backend):
    x = np.arange(12.0).reshape(3, 4)
    t = en.tensor(x, device=backend)
    np.testing.assert_array_equal(t[en.tensor([2, 0], device=backend)].numpy(), x[[2, 0]])
    np.testing.assert_array_equal(t[en.tensor(1, device=backend)].numpy(), x[1])
    np.testing.assert_array_equal(t[t > 5.0].numpy(), x[x > 5.0])
    np.testing.assert_array_equal(t[x > 5.0].numpy(), x[x > 5.0])
    np.testing.assert_array_equal(t[[True, False, True]].numpy(), x[[True, False, True]])
    np.testing.assert_array_equal(t[:, en.tensor([1], device=backend)].numpy(), x[:, [1]])


def test_assignment(backend):
    x = np.arange(6.0).reshape(2, 3)
    t = en.tensor(x, device=backend)
    steps = [
        ((0, 1), 9.0),
        (slice(None), 2),
        ((slice(None), 0), [7.0, 8.0]),
        ((1, slice(1, None)), np.array([5.0, 6.0])),
        ([0, 1], 1.5),
    ]
    for index, value in steps:
        t[index] = value
        x[index] = value
        np.testing.assert_array_equal(t.numpy(), x)
    t[t > 1.0] = 0.0
    t[0, 0] = t[1, 1] + 4.0
    assert t[0, 0].item() == 4.0


def test_assignment_refuses_what_does_not_fit(backend):
    t = en.tensor([[1.0, 2.0]], device=backend)
    whole = en.tensor([1, 2], device=backend)
    with pytest.raises(en.ShapeError, match=r"the tensor has shape \(1, 2\)"):
        t[3] = 1.0
    with pytest.raises(en.ShapeError, match=r"the tensor has shape \(1, 2\)"):
        t[0] = [1.0, 2.0, 3.0]
    with pytest.raises(en.DtypeError, match="cannot hold"):
        whole[0] = 1.5
    with pytest.raises(en.DtypeError, match="floats were given for a tensor of int64"):
        whole[:] = [1.5, 2.5]
    with pytest.raises(en.DtypeError, match="meets 'a'"):
        t[0, 0] = "a"
    assert t.tolist() == [[1.0, 2.0]]
    assert whole.tolist() == [1, 2]


# -- reading ---------------------------------------------------------------------------------------------


def test_reading_one_value(backend):
    x = en.tensor([[2.5]], device=backend)
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert type(x.item()) is float
    assert type(en.tensor([3], device=backend).item()) is int
    assert type(en.tensor(True, device=backend).item()) is bool
    assert not en.tensor(0.0, device=backend)
    two = en.tensor([1.0, 2.0], device=backend)
    for call, text in ((two.item, r"item: shape \(2,\) has 2 elements"), (lambda: bool(two), r"bool: shape \(2,\)")):
        with pytest.raises(en.ShapeError, match=text):
            call()
    for call in (lambda: float(two), lambda: int(two), lambda: bool(two > 0)):
        with pytest.raises(en.ShapeError):
            call()


def test_length_and_iteration(backend):
    x = en.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, device=backend)
    assert len(x) == 2
    first, second = x
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0], [3.0, 4.0])
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    number = en.tensor(1.0, device=backend)
    for call in (lambda: len(number), lambda: list(number)):
        with pytest.raises(en.ShapeError, match="has no length"):
            call()


def test_as_a_numpy_array(backend):
    x = en.tensor([1.0, 2.0], device=backend)
    assert type(x.numpy()) is np.ndarray
    np.testing.assert_array_equal(np.asarray(x), [1.0, 2.0])
    assert np.asarray(x, dtype="float64").dtype == np.float64
    np.testing.assert_array_equal(np.testing.assert_allclose(x, [1.0, 2.0]) or x.tolist(), [1.0, 2.0])


def test_shown():
    assert repr(en.tensor([1.0, 2.0])) == "Tensor([1. 2.], dtype=float32)"
    assert repr(en.tensor(1)) == "Tensor(1, dtype=int64)"
    shown = repr(en.tensor([[1.0], [2.0]], requires_grad=True, name="x"))
    assert shown == "Tensor([[1.]\n        [2.]], dtype=float32, name='x', requires_grad=True)"
    assert repr(en.Parameter([1.0])) == "Parameter([1.], dtype=float32, requires_grad=True)"
    assert len(repr(en.tensor(np.zeros((1000, 1000))))) < 1000


def test_shown_with_its_device(fake_device):
    assert repr(en.tensor([1.0], device=fake_device)) == "Tensor([1.], dtype=float32, device=fake:0)"


# -- elsewhere and detached ------------------------------------------------------------------------------


def test_to(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, name="x")
    assert x.to("cpu") is x
    assert x.to(dtype="float32") is x
    moved = x.to(backend)
    assert moved.backend is backend
    assert moved.tolist() == [1.0, 2.0]
    assert (moved is x) == (x.backend is backend)
    assert moved.requires_grad
    assert moved.name == "x"
    both = x.to(backend, dtype="float64")
    assert (both.backend, both.dtype) == (backend, "float64")
    assert moved.to("cpu").tolist() == [1.0, 2.0]
    with pytest.raises(en.DtypeError, match="is not one of numbers"):
        x.to(dtype="flaot32")
    with pytest.raises(en.DeviceError, match="is unknown"):
        x.to("gpu")


def test_a_moved_tensor_is_a_copy(fake_device):
    x = en.tensor([1.0, 2.0])
    moved = x.to(fake_device)
    x += 1.0
    assert moved.tolist() == [1.0, 2.0]


def test_detach_shares_the_values(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    detached = x.detach()
    assert not detached.requires_grad
    assert (x * 2.0).detach().is_leaf
    detached[0] = 5.0
    assert x.tolist() == [5.0, 2.0]


def test_clone_is_a_copy_with_a_gradient(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    clone = x.clone()
    with en.no_grad():
        x += 1.0
    assert clone.tolist() == [1.0, 2.0]
    clone.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_in_place_operators_of_plain_tensors(backend):
    with en.no_grad():
        x = en.tensor([1.0, 2.0], device=backend)
        same = x
        x += 1
        x -= [0.5, 0.5]
        x *= 4.0
        x /= np.float32(2.0)
    assert same is x
    assert x.tolist() == [3.0, 5.0]
    assert x.dtype == "float32"
    with en.no_grad(), pytest.raises(en.ShapeError, match=r"\+=: the result is \(2, 2\) float32, which does not fit into \(2,\)"):
        x += en.tensor([[1.0, 1.0], [2.0, 2.0]], device=backend)
    whole = en.tensor([1, 2], device=backend)
    with en.no_grad(), pytest.raises(en.ShapeError, match="does not fit into"):
        whole += en.tensor([0.5, 0.5], device=backend)
    assert whole.tolist() == [1, 2]


def test_the_contracts_in_place_line():
    x = en.tensor([[1.0, 2.0]], requires_grad=True, dtype="float64")
    with en.no_grad():
        x -= 0.1 * x.grad if x.grad is not None else 0.0
    assert x.tolist() == [[1.0, 2.0]]
    (x * x).sum().backward()
    with en.no_grad():
        x -= 0.1 * x.grad if x.grad is not None else 0.0
    np.testing.assert_allclose(x.numpy(), [[0.8, 1.6]])


# -- the default generator -------------------------------------------------------------------------------


def test_the_seed_starts_the_default_generator_anew():
    en.seed(3)
    first = en.default_generator().normal(size=3)
    en.seed(np.int64(3))
    np.testing.assert_array_equal(en.default_generator().normal(size=3), first)
    en.seed(4)
    assert en.default_generator().normal() != first[0]
    for wrong in (-1, 1.5, "a", True, None):
        with pytest.raises(en.EngineError, match="a seed is a whole number, 0 or above"):
            en.seed(wrong)


def test_generators_of_every_form():
    from engine.random import as_generator

    assert as_generator(None) is en.default_generator()
    given = np.random.default_rng(0)
    assert as_generator(given) is given
    assert as_generator(5).normal() == as_generator(np.int64(5)).normal()
    for wrong in (-1, 0.5, "a", True, np.random.RandomState(0)):
        with pytest.raises(en.EngineError, match=r"allowed are a numpy\.random\.Generator and a seed"):
            as_generator(wrong)


def test_unknown_names_come_with_their_neighbours():
    from engine.errors import unknown_name

    error = unknown_name("optimizer", "adm", ["adam", "sgd", "adamw"])
    assert isinstance(error, en.UnknownNameError)
    assert isinstance(error, ValueError)
    assert str(error) == "optimizer 'adm' is unknown; did you mean adam or adamw? Known: adam, adamw, sgd."
    assert str(unknown_name("loss", 3, ["hinge"])) == "loss 3 is unknown; Known: hinge."
