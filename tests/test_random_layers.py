"""Do dropout and stochastic depth draw the same masks on every device, once a training forward?"""

import numpy as np
import pytest

import engine as en

X = np.random.default_rng(0).normal(size=(5, 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_the_same_on_every_device_and_in_every_dtype(dtype, backend):
    reference, layer = en.Dropout(0.3, generator=11), en.Dropout(0.3, generator=11)
    deep, deep_reference = (en.StochasticDepth(en.Tanh(), 0.5, generator=11) for _ in range(2))
    x = np.ones((8, 9))
    for count in range(1, 4):
        np.testing.assert_array_equal(
            layer(en.tensor(x, dtype=dtype, device=backend)).numpy() != 0, reference(en.tensor(x)).numpy() != 0
        )
        np.testing.assert_array_equal(
            deep(en.tensor(x, dtype=dtype, device=backend)).numpy() > 1, deep_reference(en.tensor(x)).numpy() > 1
        )
        assert layer.drawn == deep.drawn == count


def test_every_training_forward_takes_the_next_mask(backend):
    layer = en.Dropout(0.5, generator=0)
    x = en.tensor(np.ones((4, 8)), device=backend)
    masks = [layer(x).numpy() for _ in range(3)]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])
    layer.eval()
    layer(x)
    assert layer.drawn == 3
    layer.train()
    layer.reseed(layer.key, drawn=1)
    np.testing.assert_array_equal(layer(x).numpy(), masks[1])
    np.testing.assert_array_equal(layer(x).numpy(), masks[2])
    layer.reseed((layer.key[0], layer.key[1] + 1))
    assert layer.drawn == 0
    assert not np.array_equal(layer(x).numpy(), masks[0])


def test_dropout_keeps_its_share_and_the_mean(backend):
    x = en.tensor(np.ones((200, 200)), device=backend)
    for rate in (0.1, 0.5, 0.9):
        y = en.Dropout(rate, generator=1)(x).numpy()
        assert set(np.unique(y)) <= {0.0, 1 / (1 - rate)}
        assert abs((y == 0).mean() - rate) < 0.01
        assert abs(y.mean() - 1) < 0.05


def test_dropout_is_the_identity_in_evaluation_and_at_rate_0(backend):
    x = en.tensor(X, device=backend)
    assert en.Dropout(0.5).eval()(x) is x
    assert en.Dropout(0.0)(x) is x


def test_the_mask_of_the_forward_pass_is_the_mask_of_the_gradient(backend):
    layer = en.Dropout(0.5, generator=2)
    x = en.tensor(np.ones((4, 6)), requires_grad=True, device=backend)
    first = layer(x)
    layer(x)  # another mask in between
    first.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), first.numpy())


def test_stochastic_depth_drops_whole_samples(backend):
    layer = en.StochasticDepth(en.Tanh(), drop=0.5, generator=0)
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = layer(en.tensor(x, device=backend)).numpy()
    kept = ~np.isclose(y, x).all(axis=1)
    np.testing.assert_allclose(y[kept], (x + 2 * np.tanh(x))[kept])
    np.testing.assert_array_equal(y[~kept], x[~kept])
    assert 0.4 < kept.mean() < 0.6
    np.testing.assert_allclose(layer.eval()(en.tensor(x, device=backend)).numpy(), x + np.tanh(x))
    assert layer.drawn == 1
    assert en.StochasticDepth(en.ReLU(), drop=0.0)(en.tensor([[1.0]])).tolist() == [[2.0]]


def test_layers_of_chance_follow_the_model_to_its_device(backend):
    layer = en.Dropout(0.5, generator=2)
    layer(X)
    layer.to(backend)
    assert layer.drawn == 1
    layer(en.tensor(X, device=backend))
    assert layer.drawn == 2
    layer(en.tensor(X))  # and their input back
    assert layer.drawn == 3
