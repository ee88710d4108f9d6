"""Do penalties count what they should, with the lecture's values and gradients?"""

import numpy as np
import pytest
from differences import assert_close, assert_gradients

import engine as en

PENALTIES = [
    (en.L2(0.3), lambda w: 0.3 * (w**2).sum(), lambda w: 2 * 0.3 * w),
    (en.L1(0.3), lambda w: 0.3 * np.abs(w).sum(), lambda w: 0.3 * np.sign(w)),
    (
        en.ElasticNet(0.3, beta=0.7),
        lambda w: 0.3 * (0.7 * w**2 + np.abs(w)).sum(),
        lambda w: 0.3 * (2 * 0.7 * w + np.sign(w)),
    ),
]
penalties = pytest.mark.parametrize(("penalty", "value", "slope"), PENALTIES, ids=lambda one: type(one).__name__)


@penalties
def test_values_and_gradients(penalty, value, slope, backend):
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal((3, 5)), generator.standard_normal((2, 2)), np.array([[0.0, -0.0, 2.0]])]
    weights = [en.Parameter(array, device=backend) for array in arrays]
    result = penalty(weights)
    assert result.shape == ()
    assert result.backend is backend
    np.testing.assert_allclose(result.item(), sum(value(array) for array in arrays), rtol=1e-13)
    result.backward(en.tensor(np.array(2.0), device=backend))
    for weight, array in zip(weights, arrays, strict=True):
        np.testing.assert_allclose(weight.grad.numpy(), 2 * slope(array), rtol=1e-13, atol=0)


@penalties
def test_gradients_by_differences(penalty, value, slope, backend):
    arrays = [np.random.default_rng(1).standard_normal((3, 2)), np.full((2, 2), 1.5)]

    def of(*weights):
        for one in weights:
            one.regularized = True
        return penalty(list(weights))

    given = assert_gradients(of, arrays, backend)
    assert_close(given, sum(value(array) for array in arrays))


@penalties
def test_only_weights_are_counted(penalty, value, slope):
    model = en.Sequential(
        en.Linear(3, 4), en.BatchNorm(4), en.LayerNorm(4), en.Maxout(4, 2, pieces=3), en.Residual(en.Linear(2, 2))
    ).to(dtype="float64")
    counted = [model[0].weight, model[3].weight, model[4].branch.weight]
    with en.no_grad():
        for one in model.parameters():
            one += 0.5
    result = penalty(model)
    np.testing.assert_allclose(result.item(), sum(value(one.numpy()) for one in counted), rtol=1e-13)
    result.backward()
    for one in model.parameters():
        if any(one is other for other in counted):
            np.testing.assert_allclose(one.grad.numpy(), slope(one.numpy()), rtol=1e-13)
        else:
            assert one.grad is None


@penalties
def test_frozen_weights_count_without_a_gradient(penalty, value, slope):
    model = en.Sequential(en.Linear(3, 3, bias=False), en.Linear(3, 2, bias=False))
    model[0].weight.requires_grad_(False)
    result = penalty(model)
    result.backward()
    assert model[0].weight.grad is None
    np.testing.assert_allclose(model[1].weight.grad.numpy(), slope(model[1].weight.numpy()), rtol=1e-6)
    np.testing.assert_allclose(result.item(), sum(value(one.numpy()) for one in model.parameters()), rtol=1e-5)


@penalties
def test_a_model_without_weights_costs_nothing(penalty, value, slope):
    assert penalty(en.ReLU()).item() == 0.0
    assert penalty([]).item() == 0.0
    nothing = penalty(en.BatchNorm(3).to(dtype="float64"))
    assert not nothing.requires_grad
    assert nothing.dtype == "float64"


def test_a_shared_weight_counts_once():
    first, second = en.Linear(2, 2), en.Linear(2, 2)
    second.weight = first.weight
    expected = (first.weight.numpy() ** 2).sum()
    assert en.L2(1.0)(en.Sequential(first, second)).item() == pytest.approx(expected, rel=1e-6)


def test_the_slope_of_the_absolute_value_at_zero_is_zero():
    w = en.Parameter([[0.0, -0.0, 3.0, -3.0]])
    en.L1(1.0)([w]).backward()
    assert w.grad.tolist() == [[0.0, 0.0, 1.0, -1.0]]


def test_the_lecture_s_two_weight_vectors():
    """x = (1, 1, 1, 1), w1 = (1, 0, 0, 0), w2 = (1/4, ...): one score; L2 prefers w2, L1 does not care."""
    x = en.tensor([[1.0, 1.0, 1.0, 1.0]])
    w1, w2 = en.Parameter([[1.0], [0.0], [0.0], [0.0]]), en.Parameter([[0.25]] * 4)
    assert (x @ w1).item() == (x @ w2).item() == 1.0
    assert en.L2(1.0)([w1]).item() == 1.0
    assert en.L2(1.0)([w2]).item() == 0.25
    assert en.L1(1.0)([w1]).item() == en.L1(1.0)([w2]).item() == 1.0
    assert en.ElasticNet(1.0, beta=2.0)([w1]).item() == 3.0
    assert en.ElasticNet(1.0, beta=2.0)([w2]).item() == 1.5


@pytest.mark.parametrize(
    ("data_loss", "w", "total"), [(2.0, [1.0, 0.0], 3.0), (2.0, [3.0, 4.0], 7.0), (3.0, [0.3, 0.4], 3.5)]
)
def test_loss_and_norm_together(data_loss, w, total):
    """The lecture's L + ||w||: 3, 7 and 3.5, as a penalty of the user's own."""

    class Norm(en.Penalty):
        def of_weights(self, weights):
            return sum((one * one).sum() for one in weights).sqrt()

    weight = en.Parameter(np.array([w]))
    result = data_loss + Norm()([weight])
    assert result.item() == pytest.approx(total, rel=1e-12)
    result.backward()
    np.testing.assert_allclose(weight.grad.numpy(), np.array([w]) / np.linalg.norm(w))


def test_a_penalty_of_one_s_own_needs_its_number():
    class Empty(en.Penalty):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty: define of_weights\(self, weights\)"):
        Empty()([en.Parameter([[1.0]])])


def test_float32_stays_float32(backend):
    w = en.Parameter(np.array([[0.1, 0.2]], "float32"), device=backend)
    result = en.ElasticNet(np.float64(0.1), beta=2)([w])
    result.backward()
    assert result.dtype == w.grad.dtype == "float32"


@pytest.mark.parametrize("kind", [en.L1, en.L2, en.ElasticNet])
@pytest.mark.parametrize("strength", [-1.0, np.nan, np.inf, "1", None, True])
def test_strengths_are_numbers_from_zero(kind, strength):
    with pytest.raises(en.ArgumentError, match=f"{kind.__name__}: strength .* was given; it is a number, 0 or above"):
        kind(strength)


def test_what_is_printed_and_a_strength_of_zero():
    assert repr(en.ElasticNet(0.5, beta=2)) == "ElasticNet(strength=0.5, beta=2.0)"
    with pytest.raises(en.ArgumentError, match="ElasticNet: beta -1"):
        en.ElasticNet(1.0, beta=-1)
    w = en.Parameter([[2.0]])
    result = en.L2(0)([w])
    result.backward()
    assert (result.item(), w.grad.item()) == (0.0, 0.0)
