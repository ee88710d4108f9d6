"""Are matrix products through cuBLASLt the definitions'? By a fake library, which does what the real one promises."""

import numpy as np
import pytest
from fake_cublaslt import numbers, unwritten
from fake_device import FakeArray, FakeBackend

import engine as en
from backends.cuda.layouts import layouts
from backends.kernels.linear import Linear, MatrixProduct

SIZES = ((1, 1, 1), (7, 5, 3), (1, 33, 4), (33, 1, 17), (2, 9, 1), (16, 64, 32), (65, 31, 129))
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


# -- every product ---------------------------------------------------------------------------------------


@dtypes
@sizes
def test_a_linear_map_and_its_gradients(machine, size, dtype):
    batch, inputs, outputs = size
    x, w, b = numbers((batch, inputs), dtype), numbers((inputs, outputs), dtype, 1), numbers(outputs, dtype, 2)
    dy = numbers((batch, outputs), dtype, 3)
    table = machine.products().overrides()
    for bias in (b, None):
        y = FakeArray(unwritten((batch, outputs), dtype))
        given = None if bias is None else FakeArray(bias)
        table[Linear.forward](machine.cupy, FakeArray(x), FakeArray(w), given, y=y)
        np.testing.assert_array_equal(y._host, x @ w + (0 if bias is None else bias))
    made = {name: FakeArray(unwritten(one.shape, dtype)) for name, one in (("dx", x), ("dw", w), ("db", b))}
    table[Linear.backward](machine.cupy, FakeArray(dy), FakeArray(x), FakeArray(w), **made)
    np.testing.assert_array_equal(made["dx"]._host, dy @ w.T)
    np.testing.assert_array_equal(made["dw"]._host, x.T @ dy)
    np.testing.assert_array_equal(made["db"]._host, dy.sum(axis=0))
    for name, before in made.items():  # each alone
        one = FakeArray(unwritten(before.shape, dtype))
        table[Linear.backward](machine.cupy, FakeArray(dy), FakeArray(x), FakeArray(w), **{name: one})
        np.testing.assert_array_equal(one._host, before._host)


STACKS = {
    "one stack": ((3,), (3,)),
    "two axes": ((2, 3), (2, 3)),
    "no stack": ((), ()),
    "a shared matrix on the right": ((4,), ()),
    "a shared matrix on the left": ((), (4,)),
    "a stack of one": ((1,), (5,)),
    "two stacks of one": ((1, 3), (1, 3)),
}


@dtypes
@sizes
@pytest.mark.parametrize("stacks", STACKS.values(), ids=STACKS)
def test_stacks_of_matrices_and_their_gradients(machine, stacks, size, dtype):
    rows, inner, columns = size
    a, b = numbers((*stacks[0], rows, inner), dtype), numbers((*stacks[1], inner, columns), dtype, 1)
    table, y = machine.products().overrides(), a @ b
    made = FakeArray(unwritten(y.shape, dtype))
    table[MatrixProduct.forward](machine.cupy, FakeArray(a), FakeArray(b), y=made)
    np.testing.assert_array_equal(made._host, y)
    dy = numbers(y.shape, dtype, 2)
    stack = y.shape[:-2]
    da, db = (FakeArray(unwritten((*stack, *one.shape[-2:]), dtype)) for one in (a, b))
    table[MatrixProduct.backward](machine.cupy, FakeArray(dy), FakeArray(a), FakeArray(b), da=da, db=db)
    np.testing.assert_array_equal(da._host, dy @ b.swapaxes(-1, -2))
    np.testing.assert_array_equal(db._host, a.swapaxes(-1, -2) @ dy)
    assert machine["products"] >= 3


VIEWS = {
    "as they are": lambda a: a,
    "transposed in memory": lambda a: np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2),
    "rows of a wider matrix": lambda a: np.pad(a, ((0, 0), (0, 4)))[:, :-4],
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "columns of a longer one": lambda a: np.pad(a.T, ((0, 0), (0, 4)))[:, :-4].T,
}


@dtypes
@sizes
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_whose_rows_or_columns_are_whole(machine, view, size, dtype):
    rows, inner, columns = size
    a, b = view(numbers((rows, inner), dtype)), view(numbers((inner, columns), dtype, 1))
    wide = unwritten((rows, columns + 4), dtype)
    y = wide[:, :columns]
    assert machine.products().multiply(FakeArray(a), FakeArray(b), FakeArray(y)) is True
    np.testing.assert_array_equal(y, a @ b)
    assert np.isnan(wide[:, columns:]).all()


@dtypes
def test_a_product_is_added_to_what_is_there(machine, dtype):
    a, b, y = numbers((6, 5), dtype), numbers((5, 7), dtype, 1), numbers((6, 7), dtype, 2)
    made = FakeArray(y.copy())
    ours = machine.products()
    for times in (1, 2):  # the first one is timed
        assert ours.multiply(FakeArray(a), FakeArray(b), made, beta=1) is True
        np.testing.assert_array_equal(made._host, y + times * (a @ b))


def strange(array, axis):
    return array[::-1] if axis == 0 else array[:, ::-1]


REFUSED = {
    "other types": lambda: (numbers((4, 4), "float16"), numbers((4, 4), "float16"), unwritten((4, 4), "float16")),
    "two types": lambda: (numbers((4, 4), "float32"), numbers((4, 4), "float64"), unwritten((4, 4), "float64")),
    "backwards": lambda: (strange(numbers((4, 4), "float32"), 0), numbers((4, 4), "float32"), unwritten((4, 4), "f")),
    "every second": lambda: (numbers((4, 8), "float32")[:, ::2], numbers((4, 4), "float32"), unwritten((4, 4), "f")),
    "repeated": lambda: (np.broadcast_to(numbers(4, "f"), (4, 4)), numbers((4, 4), "f"), unwritten((4, 4), "f")),
    "a result by columns": lambda: (numbers((4, 4), "f"), numbers((4, 4), "f"), unwritten((4, 4), "f").T),
    "no rows": lambda: (numbers((0, 4), "f"), numbers((4, 4), "f"), unwritten((0, 4), "f")),
    "nothing to add up": lambda: (numbers((4, 0), "f"), numbers((0, 4), "f"), unwritten((4, 4), "f")),
    "an uneven stack": lambda: (
        numbers((2, 3, 4, 4), "f")[:, :2],
        numbers((2, 2, 4, 4), "f"),
        unwritten((2, 2, 4, 4), "f"),
    ),
    "a result without the stack": lambda: (numbers((1, 4, 4), "f"), numbers((4, 4), "f"), unwritten((4, 4), "f")),
    "stacks that do not fit": lambda: (numbers((3, 4, 4), "f"), numbers((4, 4), "f"), unwritten((2, 4, 4), "f")),
    "stacks across": lambda: (numbers((2, 1, 4, 4), "f"), numbers((1, 2, 4, 4), "f"), unwritten((2, 2, 4, 4), "f")),
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_what_is_not_taken_goes_to_the_definition(machine, given):
    a, b, y = given()
    ours = machine.products()
    assert ours.multiply(FakeArray(a), FakeArray(b), FakeArray(y)) is False
    assert np.isnan(y).all()
    assert machine["products"] == 0
    if np.matmul(a, b).shape == y.shape:
        ours.overrides()[MatrixProduct.forward](machine.cupy, FakeArray(a), FakeArray(b), y=FakeArray(y))
        np.testing.assert_array_equal(y, np.matmul(a, b))


@pytest.mark.parametrize(
    ("a", "b", "y"),
    [
        (((4, 3), (4, 4)), ((3, 5), (20, 4)), ((4, 5), (20, 4))),
        (((4, 3), (0, 4)), ((3, 5), (20, 4)), ((4, 5), (20, 4))),
        (((4, 3), (12, 4)), ((3, 5), (20, 4)), ((4, 5), (16, 4))),
        (((4, 3), (14, 4)), ((3, 5), (20, 4)), ((4, 5), (20, 4))),
        (((4, 0), (4, 4)), ((0, 5), (20, 4)), ((4, 5), (20, 4))),
        (((0, 3), (12, 4)), ((3, 5), (20, 4)), ((0, 5), (20, 4))),
        (((2, 4, 3), (48, 12, 4)), ((3, 5), (20, 4)), ((2, 4, 5), (40, 20, 4))),
        (((3,), (4,)), ((3, 5), (20, 4)), ((1, 5), (20, 4))),
        (((4, 2), (12, 4)), ((3, 5), (20, 4)), ((4, 5), (20, 4))),
    ],
    ids=(
        "rows over rows",
        "one row",
        "results over results",
        "between numbers",
        "nothing",
        "no rows",
        "stacked results",
        "a vector",
        "sizes",
    ),
)
def test_what_cannot_be_laid_out(a, b, y):
    assert layouts((*a, 4), (*b, 4), (*y, 4)) is None
    assert layouts(((4, 3), (12, 4), 4), ((3, 5), (20, 4), 4), ((4, 5), (20, 4), 4)) is not None


def test_numbers_that_are_none_go_through(machine):
    a, b = numbers((3, 4), "float32"), numbers((4, 5), "float32", 1)
    a[1, 2], b[0, 3] = np.nan, np.inf
    y = FakeArray(unwritten((3, 5), "float32"))  # and what was there does not
    assert machine.products().multiply(FakeArray(a), FakeArray(b), y)
    np.testing.assert_array_equal(y._host, a @ b)


def at(array, offset):
    """A copy that starts `offset` bytes after a multiple of 64."""
    room = np.zeros(array.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def test_arrays_at_odd_places_are_computed_by_the_same_choice(machine):
    a, b, bias = numbers((6, 5), "float32"), numbers((5, 7), "float32", 1), numbers(7, "float32", 2)
    ours = machine.products()
    queries = None
    for offset in (4, 0, 8):
        y = FakeArray(at(unwritten((6, 7), "float32"), 0))
        assert ours.multiply(*(FakeArray(at(one, offset)) for one in (a, b)), y, FakeArray(at(bias, offset)))
        np.testing.assert_array_equal(y._host, a @ b + bias)
        assert queries in (None, machine["queries"])
        queries = machine["queries"]
    turned = ours.multiply(
        FakeArray(at(a, 4)).T, FakeArray(at(numbers((6, 3), "float32"), 0)), machine.empty((5, 3), "f")
    )
    assert turned is True
    queries = machine["queries"]
    assert ours.multiply(
        FakeArray(at(a, 0)).T, FakeArray(at(numbers((6, 3), "float32"), 0)), machine.empty((5, 3), "f")
    )
    assert machine["queries"] == queries
    odd = FakeArray(at(unwritten((6, 7), "float32"), 4))
    assert ours.multiply(FakeArray(a), FakeArray(b), odd) is False  # a result is not moved


class Trained:
    """A small training on the fake device; `steps` takes five steps, at once or recorded."""

    def __init__(self, overrides=None):
        self.backend = FakeBackend(overrides)
        en.seed(3)
        self.model = en.Sequential(en.Linear(6, 9), en.ReLU(), en.Linear(9, 4)).to(self.backend)
        self.optimizer = en.SGD(self.model.parameters(), learning_rate=0.1)
        self.rows = np.random.default_rng(1).normal(size=(11, 6)).astype("float32")

    def step(self, x, labels):
        loss = en.CrossEntropy()(self.model(x), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def steps(self, recorded=False):
        x, labels = en.tensor(self.rows, device=self.backend), en.tensor(np.arange(11) % 4, device=self.backend)
        step = en.capture(self.step) if recorded else self.step
        for _ in range(5):
            step(x, labels)
        return [self.backend.to_host(parameter.array) for parameter in self.model.parameters()]


def test_a_training_on_these_products_is_that_on_the_definitions(machine):
    ours = Trained(machine.products().overrides()).steps()
    for one, other in zip(ours, Trained().steps(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert machine["products"] > 5 * 5


def test_recorded_steps_have_the_bits_of_steps_at_once(machine):
    at_once = Trained(machine.products().overrides()).steps()
    before = machine["products"]
    for one, other in zip(Trained(machine.products().overrides()).steps(recorded=True), at_once, strict=True):
        np.testing.assert_array_equal(one, other)
    assert machine["products"] == before + 5 * 5
