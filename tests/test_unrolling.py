"""Without compiled C, does a replay make NumPy's calls in the kernels' stead, and only where that is the same?"""

import numpy as np
import pytest

import engine as en
from backends.kernels.loss import CrossEntropy, Hinge, WeightedCrossEntropy
from backends.kernels.optimizer import Adam
from backends.numpy_kernels import TABLE
from engine.errors import DataError
from engine.recording.joining import Call
from engine.recording.quick import Quick
from engine.recording.unrolling import MOST_TEMPORARY, unrolled

pytestmark = pytest.mark.usefixtures("without_compiler")


def call(function, *inputs, **options):
    return Call(0, function, (np, *inputs), options)


def is_kept_whole(one):
    entries = unrolled(one)
    return len(entries) == 1 and getattr(entries[0][0], "func", entries[0][0]) is one.function


def ours(function):
    """A kernel as if it were one of the engine's."""
    function.__module__ = "backends.kernels.made_up"
    return function


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 8), (8, 1), (3, 8), (0, 4)])
@pytest.mark.parametrize("other", [2.5, 3, np.float32(0.3), np.array([0.1], np.float32), "row", "alike", "transposed"])
def test_whatever_the_shapes_the_bits_are_the_kernels(shape, other):
    x = normal(*shape)
    x = np.array(x, np.float32)
    if isinstance(other, str):
        if len(shape) != 2:
            pytest.skip("for matrices")
        transposed = normal(*shape[::-1]).T
        other = {"row": normal(shape[1], seed=1), "alike": normal(*shape, seed=1), "transposed": transposed}[other]
    if shape == () and np.ndim(other):
        pytest.skip("an element has no axis")

    @ours
    def kernel(xp, x, other, *, y, whole):
        xp.multiply(x, other, out=y)
        xp.add(y, x, out=y)
        y[...] = 0.1 - xp.maximum(y, 0.01)
        y += x
        xp.subtract(y, other, out=y)
        xp.sqrt(xp.abs(y), out=y)
        y.sum(out=whole)
        xp.divide(whole, 3, out=whole)
        xp.tanh(whole, out=whole)

    (y, whole), wanted = [(np.full(shape, np.nan, np.float32), np.empty((), np.float32)) for _ in range(2)]
    kernel(np, x, other, y=wanted[0], whole=wanted[1])
    entries = unrolled(call(kernel, x, other, y=y, whole=whole))
    assert len(entries) >= 11
    assert np.isnan(y).all()  # nothing was computed yet
    for _ in range(2):
        y.fill(np.nan)
        for function, inputs in entries:
            function(*inputs)
        np.testing.assert_array_equal(y, wanted[0])
        np.testing.assert_array_equal(whole, wanted[1])


def test_what_is_picked_is_picked_anew():
    x, rows, numbers = normal(4, 3), np.arange(4), np.array([0, 2, 1, 9])  # a batch that is not there yet
    losses, work = np.empty(4, np.float32), np.empty((4, 3), np.float32)
    one = call(Hinge.forward, x, numbers, rows, losses=losses, work=(work,), margin=1.0)
    entries = unrolled(one)
    assert len(entries) > 4
    numbers[...] = [0, 2, 1, 1]
    for function, inputs in entries:
        function(*inputs)
    wanted = np.empty_like(losses)
    Hinge.forward(np, x, numbers, rows, losses=wanted, work=(work,), margin=1.0)
    np.testing.assert_array_equal(losses, wanted)


@pytest.mark.filterwarnings("error")
def test_stand_ins_raise_no_warning_and_change_nothing():
    x = np.full((3, 2), -1.0, np.float32)
    labels, rows, weight = np.zeros(3, int), np.arange(3), np.ones(2, np.float32)
    losses, probabilities = np.full(3, 7, np.float32), np.full((3, 2), -np.inf, np.float32)
    for kernel, more in ((WeightedCrossEntropy.forward, {"label_smoothing": 0.1}), (TABLE[CrossEntropy.forward], {})):
        given = (x, labels, rows, *([weight] if more else []))
        assert len(unrolled(call(kernel, *given, losses=losses, probabilities=probabilities, **more))) > 5
    assert losses.tolist() == [7, 7, 7]
    assert (probabilities == -np.inf).all()


def test_an_optimizer_is_nothing_but_numpys_functions():
    arrays = [normal(100, seed=seed) for seed in range(6)]
    scalars = {name: np.ones(1, np.float32) for name in ("learning_rate", "first_correction", "second_correction")}
    entries = unrolled(call(TABLE[Adam.update], *arrays[:4], work=tuple(arrays[4:]), **scalars))
    assert all(isinstance(function, np.ufunc) for function, _ in entries)
    assert all((isinstance(one, np.ndarray) and not one.ndim) or one.shape == (100,) for _, x in entries for one in x)


def reads(xp, x, *, y):
    xp.add(x, float(x[0]), out=y)


def branches(xp, x, *, y):
    xp.add(x, 1, out=y) if x[0] > 0 else xp.subtract(x, 1, out=y)


def masks(xp, x, *, y):
    y.fill(0)
    y[: len(x[x > 0])] = x[x > 0]


def silences(xp, x, *, y):
    with np.errstate(divide="ignore"):
        xp.divide(1, x, out=y)


def draws(xp, x, *, y):
    xp.add(x, xp.random.default_rng().standard_normal(x.shape), out=y)


def converts(xp, x, *, y):
    y[...] = np.asarray(x)


def computes_elsewhere(xp, x, *, y):
    y[...] = np.cumsum(x)


@pytest.mark.parametrize(
    "kernel", [reads, branches, masks, silences, draws, converts, computes_elsewhere], ids=lambda one: one.__name__
)
def test_a_kernel_that_does_more_is_called_as_it_stands(kernel, monkeypatch):
    monkeypatch.setattr(kernel, "__module__", "backends.kernels.made_up")
    assert is_kept_whole(call(kernel, normal(5), y=np.empty(5, np.float32)))


def test_a_users_kernel_is_called_as_it_stands():
    def kernel(xp, x, *, y):
        xp.add(x, 1, out=y)

    assert is_kept_whole(call(kernel, normal(5), y=np.empty(5, np.float32)))
    assert not is_kept_whole(call(ours(kernel), normal(5), y=np.empty(5, np.float32)))


def test_large_temporary_arrays_are_not_held():
    @ours
    def kernel(xp, x, *, y):
        y[...] = x + 1

    few, many = np.ones(10, np.float32), np.ones(MOST_TEMPORARY // 4 + 1, np.float32)
    assert not is_kept_whole(call(kernel, few, y=np.empty_like(few)))
    assert is_kept_whole(call(kernel, many, y=np.empty_like(many)))


# -- the whole replay ------------------------------------------------------------------------------------------


class Noisy(en.Optimizer, abstract=True):
    """Draws by NumPy, so that a recording of its calls would repeat the first draws."""

    @staticmethod
    def update(xp, w, g, *, work, learning_rate):
        xp.add(w, np.random.default_rng().standard_normal(w.size).astype(w.dtype), out=w)


def test_a_users_update_draws_anew_at_every_replay():
    model = en.Linear(3, 2, generator=0)
    optimizer = Noisy(model.parameters())

    @en.capture
    def step(x):
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    x, seen = en.tensor(normal(4, 3)), set()
    for _ in range(8):
        step(x)
        seen.add(model.parameters()[0].numpy().tobytes())
    assert step.reason is None
    assert len(seen) == 8


def training():
    model = en.Sequential(en.Linear(4, 5, generator=0), en.ReLU(), en.Linear(5, 3, generator=0))
    optimizer, loss_function = en.Adam(model.parameters(), learning_rate=0.01), en.CrossEntropy()

    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_function(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def batches(steps):
    return en.tensor(normal(steps, 6, 4)), en.tensor(np.random.default_rng(1).integers(0, 3, (steps, 6)))


def test_many_steps_in_a_call_are_those_of_a_loop():
    (one, _, by_hand), (other, optimizer, step) = training(), training()
    captured = en.capture(step)
    x, labels = batches(20)
    losses = [by_hand(x[k], labels[k]).item() for k in range(20)]
    found = [captured(x[k], labels[k]).item() for k in range(4)]
    found += captured.over(x[4:], labels[4:]).tolist()
    assert found == losses
    assert optimizer.steps == 20
    assert isinstance(captured._quick[0][1], Quick)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_an_error_within_many_steps_leaves_the_steps_before_it():
    (one, _, by_hand), (other, optimizer, step) = training(), training()
    captured = en.capture(step)
    x, labels = batches(12)
    for k in range(12):
        if k < 9:
            by_hand(x[k], labels[k])
        if k < 4:
            captured(x[k], labels[k])
    labels.array[9, 2] = 3  # no class
    outputs = np.zeros(12, np.float32)
    with pytest.raises(DataError, match="label 3 of sample 2"):
        captured.run_over(outputs, x, labels, first=4)
    assert optimizer.steps == 9
    assert (outputs[:4] == 0).all()
    assert (outputs[4:9] != 0).all()
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def recorded():
    model, optimizer, step = training()
    captured = en.capture(step)
    x, labels = batches(4)
    for k in range(4):
        captured(x[k], labels[k])
    _, quick = captured._quick[0]
    assert isinstance(quick, Quick)
    return model, optimizer, quick, x[0], labels[0]


def test_all_kernels_of_a_network_are_unrolled():
    _, _, step = training()
    captured = en.capture(step)
    x, labels = batches(4)
    for k in range(4):
        captured(x[k], labels[k])
    (program,) = captured.programs
    kernels = [one for one in program.calls if one.kernel is not None]
    assert len(kernels) > 10
    assert not any(is_kept_whole(one) for one in kernels)


def test_a_replay_that_fits_is_one_call():
    _, optimizer, quick, x, labels = recorded()
    loss = quick(x, labels)
    assert isinstance(loss, en.Tensor)
    assert optimizer.steps == 5
    assert quick(x, labels).item() < loss.item()


@pytest.mark.parametrize(
    "change",
    [
        lambda x, labels: (x,),
        lambda x, labels: (x, labels, labels),
        lambda x, labels: (x[:3], labels[:3]),
        lambda x, labels: (x.to(dtype="float64"), labels),
        lambda x, labels: (x.clone().requires_grad_(), labels),
        lambda x, labels: (x.numpy(), labels),
        lambda x, labels: (x, 1),
        lambda x, labels: (en.tensor(np.asfortranarray(x.numpy())), labels),
    ],
    ids=["fewer", "more", "shorter", "wider", "with gradient", "an array", "a number", "other strides"],
)
def test_other_arguments_do_not_fit(change):
    _, optimizer, quick, x, labels = recorded()
    assert quick(*change(x, labels)) is NotImplemented
    assert optimizer.steps == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda model, optimizer: model.parameters()[0].requires_grad_(False),
        lambda model, optimizer: model.to(dtype="float64"),
    ],
    ids=["a frozen weight", "another precision"],
)
def test_another_state_does_not_fit(change):
    model, optimizer, quick, x, labels = recorded()
    change(model, optimizer)
    assert quick(x, labels) is NotImplemented
    assert optimizer.steps == 4


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.5), ("weight_decay", 0.5), ("eps", 1e-3), ("betas", (0.5, 0.9))]
)
def test_a_number_that_is_set_counts_at_once(name, value):
    (one, theirs, by_hand), (other, ours, step) = training(), training()
    captured = en.capture(step)
    x, labels = batches(10)
    for k in range(10):
        if k == 6:
            setattr(theirs, name, value)
            setattr(ours, name, value)
        by_hand(x[k], labels[k])
        captured(x[k], labels[k])
    assert isinstance(captured._quick[0][1], Quick)
    for mine, expected in zip(other.parameters(), one.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), expected.numpy())


def test_the_same_tensor_twice_is_another_recording():
    both = en.capture(lambda a, b: a * b)
    a, b = en.tensor([1.0, 2.0]), en.tensor([3.0, 4.0])
    for _ in range(3):
        assert both(a, b).tolist() == [3.0, 8.0]
    quick = both._quick[0][1]
    assert quick(a, a) is NotImplemented
    assert both(a, a).tolist() == [1.0, 4.0]


def test_several_outputs_and_numbers_among_the_arguments():
    halves = en.capture(lambda x, factor: {"sum": (x * factor).sum(), "parts": [x - factor, x + factor]})
    x = en.tensor([1.0, 2.0])
    for factor in (2.0, 2.0, 2.0, 3.0, 2.0):
        found = halves(x, factor)
        assert found["sum"].item() == 3 * factor
        assert [one.tolist() for one in found["parts"]] == [[1 - factor, 2 - factor], [1 + factor, 2 + factor]]
