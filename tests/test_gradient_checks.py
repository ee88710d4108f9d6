"""Does gradcheck pass what is right, find what is wrong, name it, and keep away from kinks?"""

import re

import numpy as np
import pytest

import engine as en
from engine.checks import gradcheck


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


class Wrong(en.Operation):
    """An operation whose backward is handed over."""

    def __init__(self, forward, backward):
        self.formula, self.gradient = forward, backward

    def forward(self, x):
        y = self.formula(x)
        return y, (x, y)

    def backward(self, saved, incoming_gradient, needed):
        return (self.gradient(*saved, incoming_gradient),)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# -- what is right passes --------------------------------------------------------------------------------


def test_the_contract_line(backend):
    x = en.tensor([[1.0, 2.0]], requires_grad=True, dtype="float64", device=backend)
    w = en.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]], dtype="float64", device=backend)
    report = gradcheck(lambda x: en.tanh(x @ w), [x])
    assert report.ok
    assert report.largest_error < 1e-9
    assert report.checked == 2
    assert report.redrawn == 0
    assert "\n" not in str(report)
    assert str(report).startswith("gradcheck: right; largest relative error")
    assert x.grad is None
    assert x.tolist() == [[1.0, 2.0]]


def test_a_layer_is_checked_with_its_parameters_and_left_alone():
    en.seed(0)
    model = en.Sequential(en.Linear(3, 4), en.BatchNorm(4), en.Dropout(0.3), en.Tanh(), en.Linear(4, 2))
    model.to(dtype="float64")
    before = {name: one.numpy() for name, one in model.state_dict().items()}
    drawn = [layer.drawn for _, layer in model.named_layers() if isinstance(layer, en.Dropout)]
    report = gradcheck(model, numbers(5, 3))
    assert report.checked == 15 + sum(one.size for one in model.parameters())
    assert all(np.array_equal(before[name], one.numpy()) for name, one in model.state_dict().items())
    assert drawn == [layer.drawn for _, layer in model.named_layers() if isinstance(layer, en.Dropout)]
    assert all(one.grad is None for one in model.parameters())


def test_a_loss_over_a_model_names_the_layer_by_parameters():
    model = en.Sequential(en.Linear(3, 4), en.Dropout(0.5), en.Sigmoid(), en.Linear(4, 3)).to(dtype="float64")
    loss, labels = en.CrossEntropy(), np.array([0, 2])
    x = en.tensor(numbers(2, 3), requires_grad=True)
    report = gradcheck(lambda x, y: loss(model(x), y), [x, labels], parameters=model)
    assert report.checked == 6 + sum(one.size for one in model.parameters())


def test_inputs_that_require_a_gradient_are_checked_alone():
    x, w = en.tensor(numbers(2), requires_grad=True), en.tensor(numbers(2))
    assert gradcheck(lambda x, w: x * w, [x, w]).checked == 2
    assert gradcheck(lambda x, w: x * w, [x.detach(), w]).checked == 4


def test_lists_and_other_things_are_handed_on():
    report = gradcheck(lambda x, power, labels: (x**power)[labels], [[0.5, 1.5], 3, np.array([0, 1, 1])])
    assert report.checked == 2


def test_frozen_parameters_are_left_out():
    layer = en.Linear(2, 2).to(dtype="float64")
    layer.bias.requires_grad = False
    assert gradcheck(layer, numbers(1, 2)).checked == 2 + 4


def test_a_parameter_that_is_handed_over_twice_is_checked_once():
    layer = en.Linear(2, 2).to(dtype="float64")
    assert gradcheck(layer, numbers(1, 2), parameters=layer.parameters()).checked == 2 + 6


def test_steep_functions_reach_the_tolerance():
    gradcheck(lambda x: x.log(), np.array([0.02, 0.5, 30.0]))
    gradcheck(lambda x: x.exp(), np.array([-20.0, 8.0]))
    gradcheck(lambda x: 1 / x, np.array([0.1, -5.0]))


def test_an_output_that_does_not_depend_on_the_input_has_the_gradient_zero():
    report = gradcheck(lambda x: x.detach() * 0, numbers(2))
    assert (report.analytic, report.numeric) == (0, 0)


def test_within_no_grad_the_graph_is_recorded_all_the_same():
    with en.no_grad():
        assert gradcheck(lambda x: x * x, numbers(3)).ok


# -- what is wrong is found and named --------------------------------------------------------------------


WRONG = {
    "sign": Wrong(np.tanh, lambda x, y, dy: -(1 - y * y) * dy),
    "factor": Wrong(lambda x: x * x, lambda x, y, dy: x * dy),
    "softmax without the sum": Wrong(softmax, lambda x, y, dy: y * dy),
    "softmax as if alone": Wrong(softmax, lambda x, y, dy: y * (1 - y) * dy),
    "a millionth": Wrong(lambda x: x * x, lambda x, y, dy: 2 * x * dy * (1 + 1e-6)),
    "not a number": Wrong(lambda x: x * x, lambda x, y, dy: dy * np.nan),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_found(name):
    with pytest.raises(en.GradientError, match=r"gradcheck: wrong; largest relative error .* at input 0 'x'\[\d, \d\]"):
        gradcheck(lambda x: en.apply(WRONG[name], x), [en.tensor(numbers(2, 3), name="x")])


def test_a_plain_sum_would_hide_a_softmax_without_its_sum():
    """Why the incoming gradient is random: the gradient of a softmax's plain sum is 0, and so is a wrong one's."""
    scores = en.tensor(numbers(2, 3), requires_grad=True)
    zero = Wrong(softmax, lambda x, y, dy: 0 * dy)
    en.apply(zero, scores).sum().backward()
    assert np.allclose(scores.grad.numpy(), 0)
    gradcheck(lambda x: en.apply(zero, x).sum(), [scores])
    with pytest.raises(en.GradientError, match="gradcheck: wrong"):
        gradcheck(lambda x: en.apply(zero, x), [scores])


def test_the_right_softmax_passes():
    right = Wrong(softmax, lambda x, y, dy: y * (dy - (y * dy).sum(axis=-1, keepdims=True)))
    assert gradcheck(lambda x: en.apply(right, x), numbers(2, 3)).ok


def test_the_worst_element_is_named():
    def gradient(x, y, dy):
        dx = 2 * x * dy
        dx[1, 2] += 0.5
        return dx

    with pytest.raises(en.GradientError, match=re.escape("at input 1[1, 2] (analytic")):
        gradcheck(lambda a, x: a + en.apply(Wrong(np.square, gradient), x), [numbers(2, 3), numbers(2, 3)])


def test_a_wrong_parameter_is_named_and_restored():
    class Doubled(en.Layer):
        def __init__(self):
            super().__init__()
            self.gain = en.Parameter(numbers(2))

        def forward(self, x):
            return x * en.apply(Wrong(lambda w: w * 1, lambda w, y, dy: 2 * dy), self.gain)

    model = en.Sequential(Doubled())
    before = model.parameters()[0].numpy()
    with pytest.raises(en.GradientError, match=r"at parameter '0\.gain'\["):
        gradcheck(model, numbers(3, 2))
    with pytest.raises(en.GradientError, match=r"at parameter 0 'gain'\["):
        gradcheck(lambda x: model(x), numbers(3, 2), parameters=model.parameters())
    assert np.array_equal(model.parameters()[0].numpy(), before)


def test_a_scalar_is_named_without_brackets():
    with pytest.raises(en.GradientError, match=r"at input 0 \(analytic"):
        gradcheck(lambda x: en.apply(WRONG["factor"], x), np.array(2.0))


# -- kinks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e-5, 2e-5, 1 / 3 * 1e-4, 4e-5, 5e-5, 7e-5, 9.9e-5, -3e-5, -8e-5])
def test_points_at_and_beside_a_kink_are_drawn_again(offset):
    report = gradcheck(lambda x: x.relu(), np.array([offset, 1.0]), h=1e-4)
    assert report.ok
    assert report.redrawn >= 1
    assert "drawn again" in str(report)


@pytest.mark.parametrize("slope", [0.1, 0.0, -2.0])
@pytest.mark.parametrize("place", np.linspace(-1, 1, 41))
def test_wherever_the_kink_is_it_is_seen(place, slope):
    assert gradcheck(lambda x: x.relu() + slope * (-x).relu(), np.array([place * 1e-4])).ok


def test_ties_that_share_evenly_agree_with_central_differences():
    assert gradcheck(lambda x: x.max(), np.array([1.0, 1.0, 0.0])).redrawn == 0
    assert gradcheck(lambda x: x.abs(), np.zeros(3)).redrawn == 0


def test_a_parameter_on_a_kink_is_moved_and_restored():
    w = en.tensor(np.zeros(2), requires_grad=True, name="w")
    report = gradcheck(lambda x: (x * w).relu(), numbers(2), parameters=[w])
    assert report.redrawn >= 2
    assert w.tolist() == [0.0, 0.0]


def test_a_wrong_gradient_beside_a_kink_is_still_found():
    wrong = Wrong(lambda x: np.maximum(x, 0), lambda x, y, dy: 2 * dy * (x > 0))
    with pytest.raises(en.GradientError, match="gradcheck: wrong"):
        gradcheck(lambda x: en.apply(wrong, x), np.zeros(8))


def test_a_function_of_nothing_but_kinks_is_an_error():
    steps = Wrong(lambda x: np.abs(np.sin(3e4 * x)), lambda x, y, dy: 7 * dy)
    with pytest.raises(
        en.GradientError, match=r"input 0\[0\] sits beside a kink, also after being drawn again 2 times"
    ):
        gradcheck(lambda x: en.apply(steps, x), np.array([0.30001234]), attempts=2)


# -- what cannot be checked ------------------------------------------------------------------------------


def test_random_functions_are_refused():
    model = en.Sequential(en.Dropout(0.5)).train()
    with pytest.raises(en.GradientError, match=r"two results for one input.*eval\(\)"):
        gradcheck(lambda x: model(x), numbers(20))
    assert gradcheck(lambda x: model(x), numbers(20), parameters=model).ok
    assert gradcheck(model.eval(), numbers(20)).ok


def test_coarse_floats_are_refused():
    with pytest.raises(en.DtypeError, match=r'input 0 is of float32.*\.to\(dtype="float64"\)'):
        gradcheck(lambda x: x, en.tensor([1.0]))
    with pytest.raises(en.DtypeError, match="parameter 'weight' is of float32"):
        gradcheck(en.Linear(1, 1), np.ones((1, 1)))


@pytest.mark.parametrize(
    ("options", "text"),
    [({"h": 0}, "h 0 was given"), ({"tolerance": 0}, "tolerance 0 was given")],
)
def test_bad_settings_are_refused(options, text):
    with pytest.raises(en.ArgumentError, match=text):
        gradcheck(lambda x: x, numbers(1), **options)


def test_nothing_to_check_is_an_error():
    with pytest.raises(en.GradientError, match="nothing is there to check"):
        gradcheck(lambda x: en.tensor(1.0), [np.array([1])])
    with pytest.raises(en.GradientError, match="parameter 0 is no leaf"):
        gradcheck(lambda x: x, numbers(1), parameters=[en.tensor(1.0)])
    with pytest.raises(en.DtypeError, match="must return one Tensor"):
        gradcheck(lambda x: (x, x), numbers(1))
