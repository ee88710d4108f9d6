"""Do the optimizers do to parameters what their papers say, and keep track of groups, frozen ones and states?"""

import itertools
import math

import numpy as np
import pytest

import engine as en
from engine.optimizers.flat import FlatBuffer

by_name = en.Optimizer.by_name

STEPS = 20
RATE = 0.03


# -- the recurrences, in plain NumPy, as the papers write them -------------------------------------------


def sgd(w, g, s, t, rate, momentum=0.0, nesterov=False, weight_decay=0.0):
    g = g + weight_decay * w
    s["velocity"] = momentum * s.get("velocity", 0.0) + g
    return w - rate * (g + momentum * s["velocity"] if nesterov else s["velocity"])


def adagrad(w, g, s, t, rate, eps=1e-10, weight_decay=0.0):
    g = g + weight_decay * w
    s["sum"] = s.get("sum", 0.0) + g**2
    return w - rate * g / (np.sqrt(s["sum"]) + eps)


def rmsprop(w, g, s, t, rate, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
    g = g + weight_decay * w
    s["v"] = alpha * s.get("v", 0.0) + (1 - alpha) * g**2
    s["velocity"] = momentum * s.get("velocity", 0.0) + g / (np.sqrt(s["v"]) + eps)
    return w - rate * s["velocity"]


def adam(w, g, s, t, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * w
    s["m"] = betas[0] * s.get("m", 0.0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0.0) + (1 - betas[1]) * g**2
    m, v = s["m"] / (1 - betas[0] ** t), s["v"] / (1 - betas[1] ** t)
    return w - rate * m / (np.sqrt(v) + eps)


def adamw(w, g, s, t, rate, weight_decay=1e-2, **options):
    return adam(w * (1 - rate * weight_decay), g, s, t, rate, **options)


def nadam(w, g, s, t, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
    g = g + weight_decay * w
    now, following = (betas[0] * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
    s["product"] = s.get("product", 1.0) * now
    s["m"] = betas[0] * s.get("m", 0.0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0.0) + (1 - betas[1]) * g**2
    root = np.sqrt(s["v"] / (1 - betas[1] ** t)) + eps
    w = w - rate * (1 - now) / (1 - s["product"]) * g / root
    return w - rate * following / (1 - s["product"] * following) * s["m"] / root


def lion(w, g, s, t, rate, betas=(0.9, 0.99), weight_decay=0.0):
    m = s.get("m", 0.0)
    direction = np.sign(betas[0] * m + (1 - betas[0]) * g)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return w * (1 - rate * weight_decay) - rate * direction


CASES = [
    ("sgd", {}),
    ("sgd", {"weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("adagrad", {}),
    ("adagrad", {"weight_decay": 0.1}),
    ("rmsprop", {}),
    ("rmsprop", {"alpha": 0.9, "weight_decay": 0.1}),
    ("rmsprop", {"momentum": 0.8, "weight_decay": 0.1}),
    ("adam", {}),
    ("adam", {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("adamw", {}),
    ("adamw", {"betas": (0.8, 0.95), "weight_decay": 0.3}),
    ("nadam", {}),
    ("nadam", {"betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.2}),
    ("lion", {}),
    ("lion", {"betas": (0.8, 0.95), "weight_decay": 0.1}),
]
NAMES = ["sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]
# Settings that make an optimizer keep all the states it can keep.
FULL = {"sgd": {"momentum": 0.9}, "rmsprop": {"momentum": 0.8}}


def parameters(backend="cpu", shapes=((3, 5), (7,)), dtype="float64"):
    """Parameters of odd sizes, so that every one has a gap behind it."""
    generator = np.random.default_rng(3)
    return [en.Parameter(generator.standard_normal(shape).astype(dtype), device=backend) for shape in shapes]


def pull(members, scale=1.0):
    """Backward of sum of scale (w - 1)^2 + w^4 / 10: a gradient that depends on where the weights are."""
    for w in members:
        (scale * (w - 1.0) * (w - 1.0) + 0.1 * w**4).sum().backward()


def slope(w, scale=1.0):
    return 2 * scale * (w - 1) + 0.4 * w**3


def train(optimizer, members, steps=1):
    for _ in range(steps):
        optimizer.zero_grad()
        pull(members)
        optimizer.step()


def values(members):
    return [one.numpy() for one in members]


def assert_same_bits(given, expected):
    for mine, other in zip(given, expected, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


# -- the recurrences -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_twenty_steps_follow_the_published_recurrence(name, settings, backend):
    members = parameters(backend)
    expected, memories = values(members), [{} for _ in members]
    optimizer = by_name(name, members, learning_rate=RATE, **settings)
    for t in range(1, STEPS + 1):
        train(optimizer, members)
        expected = [
            globals()[name](w, slope(w), memory, t, RATE, **settings)
            for w, memory in zip(expected, memories, strict=True)
        ]
        for parameter, w in zip(members, expected, strict=True):
            np.testing.assert_allclose(parameter.numpy(), w, rtol=1e-11, atol=1e-11)
    assert optimizer.steps == STEPS
    assert all(parameter.backend is backend for parameter in members)


@pytest.mark.parametrize("name", NAMES)
def test_gaps_between_parameters_stay_zero(name):
    members = parameters(shapes=[(1,), (3, 5), (17,), (2, 3, 1)], dtype="float32")
    optimizer = by_name(name, members, weight_decay=0.1, **FULL.get(name, {}))
    train(optimizer, members, 5)
    (buffer,) = optimizer.buffers()
    outside = np.ones(buffer.size, bool)
    for position, parameter in enumerate(buffer.parameters):
        assert buffer.view(buffer.weights, position).ctypes.data % 64 == buffer.weights.ctypes.data % 64
        outside[buffer.starts[position] :][: parameter.size] = False
    assert outside.sum() == buffer.size - sum(one.size for one in members)
    for flat in (buffer.weights, buffer.gradients, *buffer.states.values()):
        assert not flat[outside].any()
    for one in members:
        assert one.array.base is not None
    assert optimizer.gradient_norm() == pytest.approx(
        math.sqrt(sum((one.grad.numpy().astype("float64") ** 2).sum() for one in members)), rel=1e-6
    )


def test_a_parameter_without_elements_is_no_obstacle():
    empty, w = en.Parameter(np.zeros((0, 3))), en.Parameter(np.ones(3))
    for name in NAMES:
        optimizer = by_name(name, [empty, w])
        train(optimizer, [empty, w], 2)
    assert empty.shape == (0, 3)
    assert np.isfinite(w.numpy()).all()


# -- groups and schedules --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_groups_have_their_own_settings(name):
    together, apart = parameters(), parameters()
    decay = {"weight_decay": 0.2}
    optimizer = by_name(
        name,
        [{"params": together[0], "learning_rate": 0.01, **decay}, {"params": [together[1]]}],
        learning_rate=0.05,
        **FULL.get(name, {}),
    )
    own = FULL.get(name, {})
    alone = [
        by_name(name, [apart[0]], learning_rate=0.01, **decay, **own),
        by_name(name, [apart[1]], learning_rate=0.05, **own),
    ]
    for _ in range(5):
        train(optimizer, together)
        for one, parameter in zip(alone, apart, strict=True):
            train(one, [parameter])
    assert_same_bits(values(together), values(apart))
    assert [group.learning_rate(0) for group in optimizer.groups] == [0.01, 0.05]


def test_betas_of_a_group():
    members, alone = parameters(), parameters()
    optimizer = en.Adam([{"params": members[:1], "betas": (0.5, 0.9)}, {"params": members[1:]}], learning_rate=0.1)
    train(optimizer, members, 3)
    train(en.Adam(alone[:1], learning_rate=0.1, betas=(0.5, 0.9)), alone[:1], 3)
    train(en.Adam(alone[1:], learning_rate=0.1), alone[1:], 3)
    assert_same_bits(values(members), values(alone))


def test_schedules_count_steps():
    w = en.Parameter(np.array([0.0]))
    optimizer = en.SGD([w], learning_rate=en.Step(1.0, every=2, factor=0.5))
    seen = []
    for _ in range(5):
        seen.append(optimizer.learning_rate)
        w.grad = np.array([1.0])
        optimizer.step()
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert w.item() == -sum(seen)
    assert optimizer.schedules() == [en.Step(1.0, every=2, factor=0.5)]


def test_one_schedule_of_two_groups_is_listed_once_and_the_rate_can_be_set():
    members = parameters()
    schedule = en.ReduceOnPlateau(0.1)
    optimizer = en.SGD([{"params": [members[0]]}, {"params": [members[1]], "momentum": 0.5}], learning_rate=schedule)
    assert optimizer.schedules() == [schedule]
    optimizer.learning_rate = 0.25
    assert [group.learning_rate(7) for group in optimizer.groups] == [0.25, 0.25]
    assert optimizer.schedules() == []
    with pytest.raises(en.ArgumentError, match="learning_rate -1 was given"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.25


# -- parameters that come, go, are shared ----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_gradient_is_skipped_and_does_not_count(name):
    members, alone = parameters(), parameters()
    settings = {"learning_rate": 0.1, "weight_decay": 0.1, **FULL.get(name, {})}
    optimizer, other = by_name(name, members, **settings), by_name(name, alone[:1], **settings)
    before = members[0].numpy()
    train(optimizer, members[1:], 3)
    assert_same_bits(values(members[:1]), [before])
    train(optimizer, members, 2)
    train(other, alone[:1], 2)
    assert_same_bits(values(members[:1]), values(alone[:1]))  # its first step was a first step
    assert optimizer.state_dict()["settings"]["counts"] == [2, 5]


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_are_left_out_and_set_free_later_with_their_states(name):
    members, plain = parameters(), parameters()
    settings = {"learning_rate": 0.1, "weight_decay": 0.1, **FULL.get(name, {})}
    optimizer, other = by_name(name, members, **settings), by_name(name, plain, **settings)
    train(optimizer, members, 2)
    train(other, plain, 2)
    members[1].requires_grad_(False)
    held = members[1].numpy()
    for _ in range(3):
        optimizer.zero_grad()
        other.zero_grad()
        pull(members[:1])
        pull(plain[:1])
        optimizer.step()
        other.step()
    assert_same_bits(values(members[1:]), [held])
    assert [one for buffer in optimizer.buffers() for one in buffer.parameters] == members[:1]
    members[1].requires_grad_()
    train(optimizer, members, 2)
    train(other, plain, 2)
    assert_same_bits(values(members), values(plain))


def test_one_frozen_while_another_is_set_free():
    members = parameters()
    members[1].requires_grad_(False)
    optimizer = en.SGD(members, learning_rate=0.1, momentum=0.9)
    train(optimizer, members[:1])
    members[0].requires_grad_(False)
    members[1].requires_grad_()
    before = values(members)
    train(optimizer, members[1:])
    assert_same_bits(values(members[:1]), before[:1])
    np.testing.assert_allclose(members[1].numpy(), before[1] - 0.1 * slope(before[1]), rtol=1e-12)


def test_states_of_a_frozen_parameter_are_saved():
    members = parameters()
    optimizer = en.Adam(members)
    train(optimizer, members, 2)
    before = optimizer.state_dict()
    members[0].requires_grad_(False)
    after = optimizer.state_dict()
    assert before["tensors"].keys() == after["tensors"].keys()
    for name, value in before["tensors"].items():
        np.testing.assert_array_equal(value, after["tensors"][name])


def test_all_frozen_is_a_step_that_does_nothing():
    members = parameters()
    optimizer = en.SGD(members)
    for one in members:
        one.requires_grad_(False)
    before = values(members)
    optimizer.step()
    optimizer.clip_norm(1.0)
    assert optimizer.gradient_norm() == 0
    assert_same_bits(values(members), before)


def test_each_parameter_is_taken_once_and_belongs_to_one_group():
    a, b = parameters()
    optimizer = en.SGD([a, b, a], learning_rate=0.1)
    assert optimizer.groups[0].parameters == [a, b]
    before = values([a, b])
    train(optimizer, [a, b])
    np.testing.assert_allclose(a.numpy(), before[0] - 0.1 * slope(before[0]), rtol=1e-12)
    b.name = "b"
    with pytest.raises(en.ArgumentError, match="parameter 'b' is in groups 0 and 1"):
        en.SGD([{"params": [a, b]}, {"params": [b]}])


def test_two_models_under_one_optimizer():
    encoder, decoder = en.Linear(5, 3, dtype="float64"), en.Linear(3, 5, dtype="float64")
    x = np.random.default_rng(0).standard_normal((11, 5))
    w, c, v, d = (one.numpy() for one in (encoder.weight, encoder.bias, decoder.weight, decoder.bias))
    optimizer = en.SGD([*encoder.parameters(), *decoder.parameters()], learning_rate=0.1)
    en.SquaredError()(decoder(encoder(x)), x).backward()
    optimizer.step()
    h = x @ w + c
    dy = 2 * (h @ v + d - x) / 11
    dh = dy @ v.T
    for parameter, start, gradient in (
        (encoder.weight, w, x.T @ dh),
        (encoder.bias, c, dh.sum(0)),
        (decoder.weight, v, h.T @ dy),
        (decoder.bias, d, dy.sum(0)),
    ):
        np.testing.assert_allclose(parameter.numpy(), start - 0.1 * gradient, rtol=1e-12, atol=1e-14)


def test_a_parameter_shared_by_two_layers_gets_both_gradients():
    first, second = en.Linear(4, 4, bias=False, dtype="float64"), en.Linear(4, 4, bias=False, dtype="float64")
    second.weight = first.weight
    model = en.Sequential(first, en.Tanh(), second)
    assert len(model.parameters()) == 1
    x = np.random.default_rng(0).standard_normal((6, 4))
    w = first.weight.numpy()
    optimizer = en.SGD(model.parameters(), learning_rate=0.1)
    model(x).sum().backward()
    optimizer.step()
    h = np.tanh(x @ w)
    ones = np.ones((6, 4))
    gradient = h.T @ ones + x.T @ ((ones @ w.T) * (1 - h * h))
    np.testing.assert_allclose(first.weight.numpy(), w - 0.1 * gradient, rtol=1e-12)
    assert second.weight is first.weight


def test_two_optimizers_take_turns_over_the_same_parameters():
    members, expected = parameters(), values(parameters())
    first, second = en.SGD(members, learning_rate=0.1), en.SGD(members, learning_rate=0.01)
    for _ in range(3):
        train(first, members)
        train(second, members)
        for rate in (0.1, 0.01):
            expected = [w - rate * slope(w) for w in expected]
    for parameter, w in zip(members, expected, strict=True):
        np.testing.assert_allclose(parameter.numpy(), w, rtol=1e-12)


# -- models that are moved, converted, loaded ------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_be_converted_after_the_optimizer_was_made(name):
    model = en.Linear(5, 3, dtype="float64")
    members = model.parameters()
    optimizer = by_name(name, members, learning_rate=0.01, **FULL.get(name, {}))
    train(optimizer, members, 3)
    tensors = optimizer.state_dict()["tensors"]
    model.to(dtype="float32")
    train(optimizer, members)
    assert all(one.dtype == "float32" and one.grad.dtype == "float32" for one in members)
    model.to(dtype="float64")
    assert all(one.grad is None for one in members)
    assert members == model.parameters()
    reference = parameters(shapes=[one.shape for one in members])
    other = by_name(name, reference, learning_rate=0.01, **FULL.get(name, {}))
    state = optimizer.state_dict()
    for key, tensor in tensors.items():
        if name != "adagrad":
            continue
        assert (state["tensors"][key] >= tensor.astype("float32")).all()  # sums went on growing
    other.load_state_dict(state)
    with en.no_grad():
        for one, copy in zip(members, reference, strict=True):
            copy[...] = one
    train(optimizer, members, 2)
    train(other, reference, 2)
    assert_same_bits(values(members), values(reference))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_be_moved_after_the_optimizer_was_made(name, fake_device):
    model, stays = en.Linear(5, 3, generator=0, dtype="float64"), en.Linear(5, 3, generator=0, dtype="float64")
    settings = {"learning_rate": 0.01, **FULL.get(name, {})}
    optimizer, other = by_name(name, model.parameters(), **settings), by_name(name, stays.parameters(), **settings)
    train(optimizer, model.parameters(), 2)
    train(other, stays.parameters(), 4)
    before = model.weight
    model.to(fake_device)
    train(optimizer, model.parameters(), 2)
    assert model.weight is before
    assert model.weight.backend is fake_device
    assert_same_bits(values(model.parameters()), values(stays.parameters()))


def test_loading_weights_into_the_model_keeps_the_optimizer_at_work():
    model = en.Linear(5, 3, dtype="float64")
    members = model.parameters()
    optimizer = en.Adam(members, learning_rate=0.01)
    train(optimizer, members, 2)
    saved = model.state_dict()
    states = optimizer.state_dict()
    train(optimizer, members, 3)
    expected = values(members)
    model.load_state_dict(saved)
    assert [id(one) for one in model.parameters()] == [id(one) for one in members]
    optimizer.load_state_dict(states)
    train(optimizer, members, 3)
    assert_same_bits(values(members), expected)
    assert_same_bits([saved["weight"].numpy()], [en.tensor(saved["weight"]).numpy()])


def test_parameters_of_several_dtypes_and_devices(fake_device):
    w = np.array([1.0, 2.0, 3.0])
    members = [en.Parameter(w), en.Parameter(w.astype("float32")), en.Parameter(w, device=fake_device)]
    optimizer = en.SGD(members, learning_rate=0.1, momentum=0.9)
    train(optimizer, members, 2)
    assert len(optimizer.buffers()) == 3
    assert [one.dtype for one in members] == ["float64", "float32", "float64"]
    assert_same_bits(values(members[:1]), values(members[2:]))
    np.testing.assert_allclose(members[1].numpy(), members[0].numpy(), rtol=1e-5)


# -- gradients -------------------------------------------------------------------------------------------


def test_gradients_that_the_user_holds_do_not_change():
    members = parameters()
    optimizer = en.SGD(members, learning_rate=0.1)
    train(optimizer, members)
    held = [one.grad for one in members]
    copies = [one.numpy() for one in held]
    optimizer.zero_grad()
    assert [one.grad for one in members] == [None, None]
    pull(members, scale=5.0)
    optimizer.clip_norm(1e-3)
    optimizer.step()
    assert_same_bits([one.numpy() for one in held], copies)


def test_gradients_from_before_the_optimizer_are_used():
    members = parameters()
    pull(members)
    before = values(members)
    optimizer = en.SGD(members, learning_rate=0.1)
    optimizer.step()
    for parameter, w in zip(members, before, strict=True):
        np.testing.assert_allclose(parameter.numpy(), w - 0.1 * slope(w), rtol=1e-12)


def test_gradients_add_up_until_they_are_zeroed():
    members = parameters()
    before = values(members)
    optimizer = en.SGD(members, learning_rate=0.1)
    optimizer.step()  # nothing has a gradient yet
    assert_same_bits(values(members), before)
    pull(members)
    pull(members)
    for parameter, w in zip(members, before, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), 2 * slope(w), rtol=1e-12)
    optimizer.zero_grad()
    pull(members)
    for parameter, w in zip(members, before, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), slope(w), rtol=1e-12)


def test_a_step_counts_as_a_change_in_place():
    w = en.Parameter(np.array([2.0]))
    optimizer = en.SGD([w], learning_rate=0.1)
    loss = (w * w).sum()
    loss.backward()
    optimizer.step()
    with pytest.raises(en.GradientError, match="changed in place"):
        loss.backward()


def gradients(backend, dtypes=("float64", "float64")):
    members = [
        en.Parameter(np.zeros(3, dtypes[0]), device=backend),
        en.Parameter(np.zeros((1, 2), dtypes[1]), device=backend),
    ]
    for one, values_ in zip(members, ([3.0, 0.0, -4.0], [[12.0, 0.0]]), strict=True):
        one.grad = en.tensor(np.array(values_, one.dtype), device=backend)
    return members, en.SGD(members, learning_rate=1.0)


@pytest.mark.parametrize("dtypes", [("float64", "float64"), ("float32", "float32"), ("float32", "float64")])
def test_clipping_by_the_common_norm(dtypes, backend):
    members, optimizer = gradients(backend, dtypes)
    assert optimizer.gradient_norm() == 13.0
    optimizer.clip_norm(6.5)
    factor = 6.5 / (13.0 + 1e-6)
    tolerance = 1e-6 if "float32" in dtypes else 1e-14
    np.testing.assert_allclose(members[0].grad.numpy(), np.array([3.0, 0.0, -4.0]) * factor, rtol=tolerance)
    np.testing.assert_allclose(members[1].grad.numpy(), np.array([[12.0, 0.0]]) * factor, rtol=tolerance)
    assert [one.grad.dtype for one in members] == list(dtypes)
    assert optimizer.gradient_norm() == pytest.approx(6.5, rel=1e-6)


def test_short_gradients_are_not_clipped(backend):
    members, optimizer = gradients(backend)
    optimizer.clip_norm(100.0)
    assert members[0].grad.tolist() == [3.0, 0.0, -4.0]


def test_clipping_by_value_and_scaling(backend):
    members, optimizer = gradients(backend)
    optimizer.clip_value(3.5)
    assert [one.grad.tolist() for one in members] == [[3.0, 0.0, -3.5], [[3.5, 0.0]]]
    optimizer.scale_gradients(2.0)
    assert [one.grad.tolist() for one in members] == [[6.0, 0.0, -7.0], [[7.0, 0.0]]]


def test_gradients_of_parameters_that_have_none_do_not_count_for_the_norm():
    members, optimizer = gradients("cpu")
    optimizer.clip_value(100.0)
    optimizer.zero_grad()
    members[1].grad = np.array([[12.0, 5.0]])
    assert optimizer.gradient_norm() == 13.0
    assert [square.tolist() for _, square in optimizer.squared_norms()] == [[169.0]]
    optimizer.clip_norm(13.0 * 0.5)
    np.testing.assert_allclose(members[1].grad.numpy(), [[6.0, 2.5]], rtol=1e-6)
    assert members[0].grad is None


@pytest.mark.parametrize("method", ["clip_norm", "clip_value"])
@pytest.mark.parametrize("limit", [0, -1.0, math.nan, math.inf, "1", None, True])
def test_bounds_of_clipping_are_above_zero(method, limit):
    _, optimizer = gradients("cpu")
    with pytest.raises(en.ArgumentError, match=f"{method}: .* was given; it is a number above 0"):
        getattr(optimizer, method)(limit)


# -- saved and loaded ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_state_goes_on_with_the_same_bits(name, settings, dtype):
    members = parameters(dtype=dtype)
    schedule = en.Cosine(0.1, steps=10)
    optimizer = by_name(name, members, learning_rate=schedule, **settings)
    train(optimizer, members[:1], 1)  # the step counts differ
    train(optimizer, members, 4)
    state = optimizer.state_dict()
    kept = {key: value.copy() for key, value in state["tensors"].items()}
    copies = [en.Parameter(one.numpy()) for one in members]
    train(optimizer, members, 3)
    other = by_name(name, copies, learning_rate=en.Cosine(0.1, steps=10), **settings)
    other.load_state_dict(state)
    assert other.steps == 5
    train(other, copies, 3)
    assert_same_bits(values(copies), values(members))
    for key, value in kept.items():  # the state is a copy: neither optimizer changes it
        np.testing.assert_array_equal(state["tensors"][key], value)


def test_a_loaded_state_brings_its_settings():
    members, copies = parameters(), parameters()
    optimizer = en.SGD(members, learning_rate=0.1, momentum=0.9)
    train(optimizer, members, 2)
    other = en.SGD(copies, learning_rate=0.5)
    with en.no_grad():
        for one, copy in zip(members, copies, strict=True):
            copy[...] = one
    other.load_state_dict(optimizer.state_dict())
    assert other.groups[0].settings == optimizer.groups[0].settings
    train(optimizer, members, 2)
    train(other, copies, 2)
    assert_same_bits(values(copies), values(members))


def test_the_plateau_schedule_is_saved():
    members = parameters()
    optimizer = en.SGD(members, learning_rate=en.ReduceOnPlateau(0.4, factor=0.5, patience=0))
    for value in (1.0, 2.0, 3.0):
        optimizer.schedules()[0].epoch_end(value)
    assert optimizer.learning_rate == 0.1
    other = en.SGD(parameters(), learning_rate=en.ReduceOnPlateau(0.4, factor=0.5, patience=0))
    other.load_state_dict(optimizer.state_dict())
    assert other.learning_rate == 0.1


@pytest.mark.parametrize("own", [0.3, en.Step(0.4, every=2), en.Cosine(0.5, steps=9)], ids=repr)
@pytest.mark.parametrize("saved", [0.2, en.Step(0.4, every=3), en.ReduceOnPlateau(0.1)], ids=repr)
def test_a_saved_learning_rate_wins(saved, own):
    optimizer, other = en.SGD(parameters(), learning_rate=saved), en.SGD(parameters(), learning_rate=own)
    other.load_state_dict(optimizer.state_dict())
    assert other.groups[0].settings["learning_rate"] == saved


def broken(state, change):
    state = {"tensors": dict(state["tensors"]), "settings": dict(state["settings"])}
    change(state)
    return state


def other_group(state):
    state["settings"]["groups"] = [*state["settings"]["groups"], {}]


def missing_tensor(state):
    del state["tensors"]["1.square_average"]


def wrong_shape(state):
    state["tensors"]["0.gradient_average"] = np.zeros((5, 3))


def unknown_tensor(state):
    state["tensors"]["7.gradient_average"] = np.zeros(3)


def other_kind(state):
    state["settings"]["optimizer"] = "SGD"


def fewer_counts(state):
    state["settings"]["counts"] = [1]


def no_settings(state):
    state.clear()


def bad_setting(state):
    state["settings"]["groups"] = [{**state["settings"]["groups"][0], "beta1": 2.0}]


def unknown_schedule(state):
    state["settings"]["groups"] = [{**state["settings"]["groups"][0], "learning_rate": {"name": "own", "state": {}}}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_group, "2 parameters in 2 groups, this Adam 2 in 1"),
        (missing_tensor, "1.square_average is nothing in the state"),
        (wrong_shape, r"0.gradient_average is \(5, 3\) in the state; it must be \(3, 5\)"),
        (unknown_tensor, "7.gradient_average"),
        (other_kind, "the state is of SGD, this optimizer is Adam"),
        (fewer_counts, "1 parameters in 1 groups, this Adam 2 in 1"),
        (no_settings, "not the state of an optimizer"),
        (bad_setting, "beta1 2.0 was given"),
        (unknown_schedule, "schedule 'own' is unknown"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    members = parameters()
    optimizer = en.Adam(members, learning_rate=en.ReduceOnPlateau(0.1))
    train(optimizer, members, 2)
    before, weights = optimizer.state_dict(), values(members)
    with pytest.raises((en.ArgumentError, en.ShapeError), match=message):
        optimizer.load_state_dict(broken(before, change))
    after = optimizer.state_dict()
    assert after["settings"] == before["settings"]
    assert_same_bits(list(after["tensors"].values()), list(before["tensors"].values()))
    assert_same_bits(values(members), weights)


def test_a_state_of_plain_numbers_can_be_written_as_text():
    import json

    members = parameters()
    optimizer = en.Adam(
        members, learning_rate=np.float32(0.25), betas=(np.float32(0.5), np.float64(0.75)), weight_decay=np.float64(0.5)
    )
    train(optimizer, members)
    settings = optimizer.state_dict()["settings"]
    assert json.loads(json.dumps(settings)) == settings
    assert settings["groups"][0]["learning_rate"] == 0.25


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no parameters were given; pass model.parameters()"),
        (en.ReLU().parameters(), "no parameters were given"),
        ([en.tensor([1.0])], "Tensor was given; allowed are Parameters"),
        ([1.0], "float was given; allowed are Parameters"),
        ([("weight", None)], "tuple was given"),
        (en.tensor([1.0]), "Tensor was given"),
        ([{"weights": []}], 'group 0 is .*; a group is a dict with "params"'),
        ([{"params": []}, 3], "group 1 is 3; a group is a dict"),
        ([{"params": [], "lr": 0.1}], "group 0 sets 'lr'; allowed are params, learning_rate"),
        ([{"params": [], "momentum": 2.0}], "momentum 2.0 was given"),
    ],
)
def test_what_is_not_a_list_of_parameters(given, message):
    with pytest.raises(en.ArgumentError, match=message):
        en.SGD(given)


def test_a_model_instead_of_its_parameters():
    with pytest.raises(en.ArgumentError, match=r"Linear was given; pass model.parameters\(\)"):
        en.SGD(en.Linear(2, 1))
    with pytest.raises(en.ArgumentError, match=r"pass model\.parameters"):
        en.SGD(None)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        *[("sgd", {"learning_rate": bad}, "SGD: learning_rate") for bad in (-1, math.nan, math.inf, "0.1", None, True)],
        *[("sgd", {"momentum": bad}, "SGD: momentum") for bad in (1, -0.1, math.nan, "0.9", True, None)],
        ("sgd", {"nesterov": True}, "nesterov=True was given without momentum"),
        ("sgd", {"weight_decay": -1e-4}, "weight_decay -0.0001 was given; it is a number, 0 or above"),
        ("rmsprop", {"alpha": 1.0}, "RMSprop: alpha 1.0 was given; it is a number, 0 or above and below 1"),
        ("rmsprop", {"alpha": np.float32(1.5)}, "RMSprop: alpha"),
        ("adam", {"betas": 0.9}, r"Adam: betas 0.9 was given; give two numbers, such as \(0.9, 0.999\)"),
        ("adam", {"betas": (0.9, 1.0)}, "Adam: beta2 1.0 was given"),
        ("nadam", {"betas": (0.9,)}, "NAdam: betas"),
        ("nadam", {"momentum_decay": "x"}, "NAdam: momentum_decay"),
        ("lion", {"betas": 0.9}, "Lion: betas 0.9 was given"),
        ("lion", {"betas": (0.9, -0.1)}, "Lion: beta2"),
        *[
            (name, {"eps": bad}, "eps .* was given")
            for name in ("adam", "adagrad")
            for bad in (0, -1e-8, "x", math.inf)
        ],
    ],
)
def test_settings_out_of_range(name, settings, message):
    with pytest.raises(en.ArgumentError, match=message):
        by_name(name, parameters(), **settings)


def test_unknown_names():
    with pytest.raises(en.UnknownNameError, match=r"optimizer 'adma' is unknown; did you mean adam or .*\?"):
        by_name("adma", parameters())
    with pytest.raises(en.ArgumentError, match="optimizer sgd: it has no lr; allowed are learning_rate, momentum"):
        by_name("SGD", parameters(), lr=0.1)
    assert set(NAMES) | {"lbfgs"} <= set(en.Optimizer.names())


def test_what_is_printed():
    optimizer = en.Adam(parameters(), learning_rate=en.Step(0.1, every=3))
    assert repr(optimizer) == (
        "Adam(learning_rate=Step(initial=0.1, every=3, factor=0.1), beta1=0.9, beta2=0.999, eps=1e-08, "
        "weight_decay=0.0)"
    )


# -- an optimizer of one's own ---------------------------------------------------------------------------


def test_a_users_optimizer(backend, monkeypatch):
    monkeypatch.setattr(en.Optimizer, "members", dict(en.Optimizer.members))

    class Averaged(en.Optimizer):
        """w <- w - rate (mean of all gradients so far) pull, the count by `corrections`."""

        states = ("total",)
        per_step = ("count",)

        @staticmethod
        def update(xp, w, g, total, *, work, learning_rate, count, pull):
            xp.add(total, g, out=total)
            xp.divide(total, count, out=work[0])
            xp.multiply(work[0], learning_rate, out=work[0])
            xp.multiply(work[0], pull, out=work[0])
            xp.subtract(w, work[0], out=w)

        def corrections(self, count, settings):
            return {"count": float(count)}

    members = parameters(backend)
    expected, totals = values(members), [0.0, 0.0]
    optimizer = Averaged(members, learning_rate=0.1, pull=0.5)
    for count in range(1, 4):
        train(optimizer, members)
        for number, w in enumerate(expected):
            totals[number] = totals[number] + slope(w)
            expected[number] = w - 0.1 * 0.5 * totals[number] / count
    for parameter, w in zip(members, expected, strict=True):
        np.testing.assert_allclose(parameter.numpy(), w, rtol=1e-12)
    assert set(optimizer.state_dict()["tensors"]) == {"0.total", "1.total"}
    assert "averaged" in en.Optimizer.names()


# -- the layout ------------------------------------------------------------------------------------------


def test_parameters_keep_their_identity_and_are_views_of_one_buffer():
    members = parameters()
    before = [id(one) for one in members]
    optimizer = en.SGD(members)
    train(optimizer, members, 2)
    (buffer,) = optimizer.buffers()
    assert [id(one) for one in buffer.parameters] == before
    assert isinstance(buffer, FlatBuffer)
    for one in members:
        assert np.shares_memory(one.array, buffer.weights)
    assert not any(np.shares_memory(a.array, b.array) for a, b in itertools.combinations(members, 2))
    with en.no_grad():
        members[0] -= 1.0
    assert optimizer.buffers() == [buffer]
    assert buffer.valid()
