"""Which operators and functions take tensors, in which dtypes, and what do they refuse?"""

import numpy as np
import pytest

import engine as en

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
    for result, expected in (
        (operate(x, value), operate(A, np.array(value))),
        (operate(value, x), operate(np.array(value), A)),
    ):
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
    for result in (
        x + number,
        number + x,
        x - number,
        number - x,
        x * number,
        x / number,
        number / x,
        x**number,
        number**x,
    ):
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
        with pytest.raises(en.DtypeError, match=r"float32.*float64|float64.*float32") as caught:
            call()
        assert '.to(dtype="float' in str(caught.value)
    for call in (lambda: en.maximum(a, b), lambda: en.where(a > 0, a, b), lambda: en.concatenate([a, b])):
        with pytest.raises(en.DtypeError, match="meet; convert one with"):
            call()
    with pytest.raises(en.DtypeError, match=r"a tensor 'a' \(1,\) of float32 and a tensor \(1,\) of float64 meet"):
        a + b
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
