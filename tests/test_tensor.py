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
    with (
        en.no_grad(),
        pytest.raises(en.ShapeError, match=r"\+=: the result is \(2, 2\) float32, which does not fit into \(2,\)"),
    ):
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
