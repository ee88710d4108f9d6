"""Does L-BFGS follow its recurrence, find minima, and keep to the conditions of its line search?"""

import itertools

import numpy as np
import pytest

import engine as en
from engine.optimizers.line_search import ENOUGH_DECREASE, ENOUGH_FLATNESS, Point, strong_wolfe


def bowl(seed=0, size=5):
    """A positive definite matrix, the minimum of 1/2 x A x - b x, and b."""
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((size, size))
    a = root @ root.T + np.eye(size)
    b = generator.standard_normal(size)
    return a, np.linalg.solve(a, b), b


def closure_of(optimizer, loss_of, seen=None):
    def closure():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        if seen is not None:
            seen.append(loss.item())
        return loss

    return closure


def rosenbrock(point):
    """100 (y - x^2)^2 + (1 - x)^2, at its lowest, 0, in (1, 1)."""
    x, y = point[0], point[1]
    return 100.0 * (y - x * x) ** 2 + (1.0 - x) ** 2


def quadratic(parameters, a, b, backend):
    matrix, line = en.tensor(a, device=backend), en.tensor(b, device=backend)

    def loss_of():
        x = en.concatenate(parameters, axis=0)
        return 0.5 * (x * (matrix @ x.reshape(-1, 1)).reshape(-1)).sum() - (line * x).sum()

    return loss_of


def test_a_quadratic_is_solved_in_a_few_steps(backend):
    a, solution, b = bowl()
    members = [en.Parameter(np.zeros(2), device=backend), en.Parameter(np.zeros(3), device=backend)]
    optimizer = en.LBFGS(members, line_search="strong-wolfe", tolerance_gradient=1e-12, tolerance_change=1e-15)
    seen = []
    closure = closure_of(optimizer, quadratic(members, a, b, backend), seen)
    first = optimizer.step(closure)
    assert first.item() == seen[0] == 0.0
    optimizer.step(closure)
    found = np.concatenate([one.numpy() for one in members])
    np.testing.assert_allclose(found, solution, atol=1e-6)
    assert len(seen) < 100
    assert optimizer.steps == 2


def test_rosenbrock_with_line_search():
    point = en.Parameter(np.array([-1.2, 1.0]))
    optimizer = en.LBFGS([point], line_search="strong-wolfe", max_iterations=100, tolerance_change=1e-16)
    seen = []
    optimizer.step(closure_of(optimizer, lambda: rosenbrock(point), seen))
    np.testing.assert_allclose(point.numpy(), [1.0, 1.0], atol=1e-6)
    assert rosenbrock(point).item() < 1e-12
    assert len(seen) < 200


def plain_lbfgs(x, gradient_of, loss_of, steps, rate, history, a_step=lambda g: min(1.0, 1.0 / np.abs(g).sum())):
    """Nocedal and Wright, algorithm 7.4, as PyTorch runs it without a line search: x after every step."""
    moves, changes, path = [], [], []
    g = gradient_of(x)
    for step in range(steps):
        q, alphas = -g, []
        for s, y in reversed(list(zip(moves, changes, strict=True))):
            alpha = s @ q / (y @ s)
            q = q - alpha * y
            alphas.append(alpha)
        d = q * (moves[-1] @ changes[-1] / (changes[-1] @ changes[-1]) if moves else 1.0)
        for s, y, alpha in zip(moves, changes, reversed(alphas), strict=True):
            d = d + s * (alpha - y @ d / (y @ s))
        length = rate * (a_step(g) if step == 0 else 1.0)
        x = x + length * d
        path.append(x)
        following = gradient_of(x)
        if (length * d) @ (following - g) > 1e-10:
            moves, changes = [*moves, length * d][-history:], [*changes, following - g][-history:]
        g = following
    return path


@pytest.mark.parametrize("history", [2, 100])
@pytest.mark.parametrize("per_call", [1, 4, 20])
def test_twenty_steps_follow_the_recurrence(history, per_call, backend):
    a, _, b = bowl(seed=1, size=6)
    members = [en.Parameter(np.zeros(1), device=backend), en.Parameter(np.zeros(5), device=backend)]
    optimizer = en.LBFGS(
        members,
        learning_rate=0.4,
        max_iterations=per_call,
        history=history,
        tolerance_gradient=0.0,
        tolerance_change=0.0,
    )
    closure = closure_of(optimizer, quadratic(members, a, b, backend))
    path = plain_lbfgs(np.zeros(6), lambda x: a @ x - b, None, 20, 0.4, history)
    for call in range(20 // per_call):
        optimizer.step(closure)
        found = np.concatenate([one.numpy() for one in members])
        np.testing.assert_allclose(found, path[(call + 1) * per_call - 1], rtol=1e-8, atol=1e-10)


def test_a_schedule_counts_calls():
    a, _, b = bowl()
    results = []
    for rate in (en.Step(0.4, every=1, factor=0.5), None):
        w = en.Parameter(np.zeros(5))
        optimizer = en.LBFGS([w], learning_rate=rate or 0.4, max_iterations=1)
        for call in range(3):
            if rate is None:
                optimizer.learning_rate = 0.4 * 0.5**call
            optimizer.step(closure_of(optimizer, quadratic([w], a, b, "cpu")))
        results.append(w.numpy())
    np.testing.assert_array_equal(*results)


def test_at_a_minimum_nothing_moves():
    w = en.Parameter(np.array([1.0]))
    optimizer = en.LBFGS([w])
    seen = []
    optimizer.step(closure_of(optimizer, lambda: ((w - 1.0) ** 2).sum(), seen))
    assert w.item() == 1.0
    assert len(seen) == 1


# -- the line search -------------------------------------------------------------------------------------

CURVES = {
    "parabola": (lambda t: (t - 3.0) ** 2, lambda t: 2 * (t - 3.0)),
    "far away": (lambda t: (t / 1000 - 1.0) ** 2, lambda t: (t / 1000 - 1.0) / 500),
    "near": (lambda t: (1000 * t - 1.0) ** 2, lambda t: 2000 * (1000 * t - 1.0)),
    "quartic": (lambda t: (t - 1) ** 4 - 2 * (t - 1) ** 2 - 0.5 * t, lambda t: 4 * (t - 1) ** 3 - 4 * (t - 1) - 0.5),
    "waves": (lambda t: np.sin(5 * t) / 5 + 0.1 * (t - 6) ** 2, lambda t: np.cos(5 * t) + 0.2 * (t - 6)),
    "wall": (lambda t: -t - np.log(4 - t) if t < 4 else np.inf, lambda t: -1 + 1 / (4 - t) if t < 4 else np.nan),
}


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", CURVES)
def test_the_line_search_ends_where_both_conditions_hold(name, first):
    loss, slope = CURVES[name]
    start = Point(0.0, loss(0.0), slope(0.0))
    assert start.slope < 0
    tried = []

    def evaluate(length):
        tried.append(length)
        return Point(length, loss(length), slope(length))

    found = strong_wolfe(evaluate, start, first)
    assert found.length in tried
    assert found.loss <= start.loss + ENOUGH_DECREASE * found.length * start.slope
    assert abs(found.slope) <= ENOUGH_FLATNESS * abs(start.slope)
    assert len(tried) <= 25


def test_a_line_search_that_finds_nothing_stays():
    def evaluate(length):
        return Point(length, 1.0 + length, -1.0)  # rises although its slope says otherwise

    found = strong_wolfe(evaluate, Point(0.0, 1.0, -1.0), 1.0)
    assert found.length == 0.0


def test_an_endless_slope_gives_the_farthest_point():
    found = strong_wolfe(lambda t: Point(t, -t, -1.0), Point(0.0, 0.0, -1.0), 1.0)
    assert found.loss < -1e6
    assert np.isfinite(found.length)


def test_iterations_do_not_go_up():
    point = en.Parameter(np.array([-1.2, 1.0]))
    optimizer = en.LBFGS([point], line_search="strong-wolfe", max_iterations=1)
    losses = []
    for _ in range(30):
        losses.append(optimizer.step(closure_of(optimizer, lambda: rosenbrock(point))).item())
    assert all(after <= before for before, after in itertools.pairwise(losses))


# -- saved, moved ----------------------------------------------------------------------------------------


def run(members, optimizer, a, b, calls):
    for _ in range(calls):
        optimizer.step(closure_of(optimizer, quadratic(members, a, b, members[0].backend)))


@pytest.mark.parametrize("line_search", [None, "strong-wolfe"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_state_goes_on_with_the_same_bits(line_search, dtype):
    a, _, b = (one.astype(dtype) for one in bowl(seed=2))
    settings = {"learning_rate": 0.3, "line_search": line_search, "max_iterations": 2, "history": 3}
    members = [en.Parameter(np.zeros(2, dtype)), en.Parameter(np.zeros(3, dtype))]
    optimizer = en.LBFGS(members, **settings)
    run(members, optimizer, a, b, 3)
    state = optimizer.state_dict()
    copies = [en.Parameter(one.numpy()) for one in members]
    other = en.LBFGS(copies, learning_rate=0.7)
    other.load_state_dict(state)
    run(members, optimizer, a, b, 2)
    run(copies, other, a, b, 2)
    for one, copy in zip(members, copies, strict=True):
        np.testing.assert_array_equal(one.numpy(), copy.numpy())
    assert other.steps == 5
    assert all(np.isfinite(one).all() for one in state["tensors"].values())


def test_a_fresh_state_can_be_loaded():
    members = [en.Parameter(np.zeros(2))]
    optimizer = en.LBFGS(members)
    optimizer.load_state_dict(en.LBFGS(members, learning_rate=0.2).state_dict())
    assert optimizer.learning_rate == 0.2


def test_a_state_of_float32_fits_float64():
    a, solution, b = bowl(seed=2)
    low, high = [en.Parameter(np.zeros(5, "float32"))], [en.Parameter(np.zeros(5))]
    optimizer, other = en.LBFGS(low, line_search="strong-wolfe", max_iterations=3), en.LBFGS(high)
    run(low, optimizer, a.astype("float32"), b.astype("float32"), 1)
    other.load_state_dict(optimizer.state_dict())
    for _ in range(20):
        run(high, other, a, b, 1)
    np.testing.assert_allclose(high[0].numpy(), solution, atol=1e-4)


def test_the_past_moves_with_the_parameters(fake_device):
    a, _, b = bowl(seed=3)
    results = []
    for moved in (False, True):
        layer = en.Layer()
        layer.first, layer.second = en.Parameter(np.zeros(2)), en.Parameter(np.zeros(3))
        optimizer = en.LBFGS(layer.parameters(), learning_rate=0.3, max_iterations=1)
        run(layer.parameters(), optimizer, a, b, 4)
        if moved:
            layer.to(fake_device)
        run(layer.parameters(), optimizer, a, b, 2)
        results.append(np.concatenate([one.numpy() for one in layer.parameters()]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)


def test_converted_and_frozen_parameters():
    a, _, b = bowl(seed=3)
    layer = en.Layer()
    layer.first, layer.second = en.Parameter(np.zeros(2)), en.Parameter(np.zeros(3))
    members = layer.parameters()
    optimizer = en.LBFGS(members, line_search="strong-wolfe", max_iterations=2)
    run(members, optimizer, a, b, 2)
    layer.to(dtype="float32")
    run(members, optimizer, a.astype("float32"), b.astype("float32"), 2)
    assert members[0].dtype == "float32"
    layer.to(dtype="float64")
    held = members[0].requires_grad_(False).numpy()
    for _ in range(10):
        run(members, optimizer, a, b, 2)
    np.testing.assert_array_equal(members[0].numpy(), held)
    best = np.linalg.solve(a[2:, 2:], b[2:] - a[2:, :2] @ held)
    np.testing.assert_allclose(members[1].numpy(), best, atol=1e-4)


def test_a_state_that_does_not_fit_changes_nothing():
    a, _, b = bowl()
    members = [en.Parameter(np.zeros(5))]
    optimizer = en.LBFGS(members, learning_rate=0.5)
    run(members, optimizer, a, b, 1)
    before = optimizer.state_dict()
    other = en.LBFGS([en.Parameter(np.zeros(6))])
    with pytest.raises(en.ShapeError, match=r"gradient is \(5,\) in the state; it must be \(6,\)"):
        other.load_state_dict(before)
    assert other.learning_rate == 1.0
    assert other.steps == 0
    damaged = {**before, "tensors": {k: v for k, v in before["tensors"].items() if k != "changes.0"}}
    with pytest.raises(en.ShapeError, match=r"changes\.0 is nothing in the state"):
        optimizer.load_state_dict(damaged)
    with pytest.raises(en.ArgumentError, match="the state is of SGD, this optimizer is LBFGS"):
        optimizer.load_state_dict(en.SGD(members).state_dict())
    assert optimizer.state_dict()["settings"] == before["settings"]


# -- errors ----------------------------------------------------------------------------------------------


def test_what_it_refuses():
    w = en.Parameter(np.zeros(2), name="w")
    with pytest.raises(en.ArgumentError, match="needs a closure"):
        en.LBFGS([w]).step()
    with pytest.raises(en.GradientError, match=r"parameter 'w' got no gradient from the closure; call backward\(\)"):
        en.LBFGS([w]).step(lambda: 1.0)
    with pytest.raises(en.ArgumentError, match="2 groups were given"):
        en.LBFGS([{"params": [w]}, {"params": [en.Parameter([1.0])]}])
    with pytest.raises(en.UnknownNameError, match="line search 'wolfe' is unknown"):
        en.LBFGS([w], line_search="wolfe")
    for settings in ({"max_iterations": 0}, {"history": 1.5}, {"max_iterations": True}):
        with pytest.raises(en.ArgumentError, match="is a whole number, 1 or above"):
            en.LBFGS([w], **settings)
    with pytest.raises(en.ArgumentError, match="tolerance_gradient -1"):
        en.LBFGS([w], tolerance_gradient=-1)
    mixed = [en.Parameter(np.zeros(2)), en.Parameter(np.zeros(2, "float32"))]
    optimizer = en.LBFGS(mixed)
    with pytest.raises(en.ArgumentError, match="of 2 dtypes or devices"):
        optimizer.step(closure_of(optimizer, lambda: (mixed[0].to(dtype="float32") * mixed[1]).sum()))


def test_a_closure_may_return_a_number():
    w = en.Parameter(np.array([2.0]))
    optimizer = en.LBFGS([w], line_search="strong-wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert abs(w.item()) < 1e-6
