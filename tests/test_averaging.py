"""Does the moving average of weights follow its formula, and give the weights back untouched?"""

import numpy as np
import pytest

import engine as en


def moving(parameters, start, steps):
    for step in range(steps):
        with en.no_grad():
            for one in parameters:
                one += start + step
        yield


def test_the_average_follows_its_formula(backend):
    generator = np.random.default_rng(0)
    members = [en.Parameter(generator.standard_normal(shape), device=backend) for shape in ((3, 2), (5,))]
    ema = en.ExponentialMovingAverage(members, decay=0.8)
    expected = None
    for _ in moving(members, 0.5, 6):
        ema.update()
        own = [one.numpy() for one in members]
        expected = own if expected is None else [0.8 * a + 0.2 * w for a, w in zip(expected, own, strict=True)]
    with ema.applied():
        inside = [one.numpy() for one in members]
        assert [one.backend for one in members] == [backend, backend]
    for given, mean, one, before in zip(inside, expected, members, own, strict=True):
        np.testing.assert_allclose(given, mean, rtol=1e-13)
        np.testing.assert_array_equal(one.numpy(), before)


def test_before_the_first_update_the_weights_are_their_own():
    w = en.Parameter([1.0])
    ema = en.ExponentialMovingAverage([w])
    with ema.applied():
        assert w.item() == 1.0
    assert ema.state() == {}


def test_the_weights_come_back_after_an_error():
    w = en.Parameter([1.0])
    ema = en.ExponentialMovingAverage([w], decay=0.5)
    ema.update()
    with en.no_grad():
        w += 1.0

    def fails():
        with ema.applied():
            assert w.item() == 1.0
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert w.item() == 2.0


def test_it_works_beside_an_optimizer():
    model = en.Linear(3, 2)
    members = model.parameters()
    optimizer = en.SGD(members, learning_rate=0.1)
    ema = en.ExponentialMovingAverage(members, decay=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        model(np.ones((4, 3), "float32")).sum().backward()
        optimizer.step()
        ema.update()
        with ema.applied():
            arrays = [one.array for one in members]
    assert all(one.array is array for one, array in zip(members, arrays, strict=True))
    assert all(buffer.valid() for buffer in optimizer.buffers())


def test_a_backward_over_swapped_weights_is_refused():
    w = en.Parameter([1.0])
    ema = en.ExponentialMovingAverage([w])
    ema.update()
    loss = (w * w).sum()
    with ema.applied(), pytest.raises(en.GradientError, match="changed in place"):
        loss.backward()


def test_state_is_a_copy_and_goes_on_with_the_same_bits():
    w, other = en.Parameter(np.array([1.0, 2.0])), en.Parameter(np.array([1.0, 2.0]))
    ema = en.ExponentialMovingAverage([w], decay=0.7)
    for _ in moving([w, other], 1.0, 3):
        ema.update()
    state = ema.state()
    kept = state["0"].copy()
    following = en.ExponentialMovingAverage([other], decay=0.7)
    following.load_state(state)
    for _ in moving([w, other], 2.0, 3):
        ema.update()
        following.update()
    np.testing.assert_array_equal(ema.state()["0"], following.state()["0"])
    np.testing.assert_array_equal(state["0"], kept)
    following.load_state({})
    assert following.state() == {}


def test_it_follows_a_model_that_is_moved_or_converted(fake_device):
    layer = en.Linear(3, 2, dtype="float64")
    ema = en.ExponentialMovingAverage(layer.parameters(), decay=0.5)
    ema.update()
    before = [one.copy() for one in ema.state().values()]
    layer.to(dtype="float32")
    ema.update()
    assert all(one.dtype == "float32" for one in ema.state().values())
    layer.to(fake_device)
    ema.update()
    with ema.applied():
        assert layer.weight.backend is fake_device
        np.testing.assert_allclose(layer.weight.numpy(), before[0], rtol=1e-6)
    state = ema.state()
    assert all(isinstance(one, np.ndarray) for one in state.values())


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9", True, None, np.nan])
def test_the_decay_is_below_one(decay):
    with pytest.raises(en.ArgumentError, match="it is 0 or above and below 1"):
        en.ExponentialMovingAverage([], decay=decay)
