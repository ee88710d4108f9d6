"""Do schedules follow their formulas, remember what they must, and refuse what makes no sense?"""

import json
import math

import numpy as np
import pytest

from engine import schedules
from engine.errors import ArgumentError, UnknownNameError
from engine.schedules import Constant, Cosine, Exponential, OneCycle, ReduceOnPlateau, Step, Warmup

STEPS = range(120)
CLOSED = [
    (Constant(0.3), lambda t: 0.3),
    (Step(0.5, every=30, factor=0.2), lambda t: 0.5 * 0.2 ** math.floor(t / 30)),
    (Exponential(0.5, 0.97), lambda t: 0.5 * math.exp(t * math.log(0.97))),
    (Cosine(0.5, 80, final=0.1), lambda t: 0.1 + 0.2 * (1 + math.cos(math.pi * min(t, 80) / 80))),
    (Warmup(10, 0.5), lambda t: min(0.5, 0.5 * (t + 1) / 11)),
    (Warmup(10, Exponential(0.5, 0.9)), lambda t: 0.5 * (t + 1) / 11 if t < 10 else 0.5 * 0.9 ** (t - 10)),
]


@pytest.mark.parametrize(("schedule", "formula"), CLOSED)
def test_closed_formulas(schedule, formula):
    for step in STEPS:
        rate = schedule(step)
        assert type(rate) is float
        assert rate == pytest.approx(formula(step), rel=1e-12, abs=1e-15)


def test_one_cycle_is_pytorchs():
    # the phases as in torch.optim.lr_scheduler.OneCycleLR with three_phase=False
    peak, steps = 0.8, 100
    schedule = OneCycle(peak, steps)
    start = peak / 25
    knots = [(0, start), (0.3 * steps - 1, peak), (steps - 1, start / 1e4)]
    for step in range(steps):
        (begin, low), (end, high) = knots[:2] if step <= knots[1][0] else knots[1:]
        expected = high + (low - high) / 2 * (1 + math.cos(math.pi * (step - begin) / (end - begin)))
        assert schedule(step) == pytest.approx(expected, rel=1e-12)
    assert schedule(steps) == schedule(10 * steps) == start / 1e4
    assert max(range(steps), key=schedule) == 29


@pytest.mark.parametrize("steps", [2, 3, 4, 5])
def test_one_cycle_of_few_steps(steps):
    rates = [OneCycle(1.0, steps)(step) for step in range(steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[-1] == rates[-2] == pytest.approx(1 / 25e4)


def test_numpy_steps():
    assert Cosine(0.5, 80)(np.int64(40)) == pytest.approx(0.25)


def test_plateau_against_a_simulation():
    # the recurrence written down once more: PyTorch's ReduceLROnPlateau, relative threshold, no cooldown
    losses = 1 / np.arange(1, 40) + np.random.default_rng(0).normal(0, 0.02, 39)
    schedule = ReduceOnPlateau(0.4, factor=0.5, patience=2, threshold=1e-2, minimum=0.05)
    rate, best, bad = 0.4, math.inf, 0
    for loss in losses:
        schedule.epoch_end(loss)
        if loss < best * (1 - 1e-2):
            best, bad = loss, 0
        else:
            bad += 1
        if bad > 2:
            rate, bad = max(rate * 0.5, 0.05), 0
        assert schedule(17) == rate
    assert rate == 0.05


def test_plateau_waits_for_patience_and_for_larger_values():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=1, mode="max")
    rates = []
    for accuracy in (0.5, 0.6, 0.6, 0.6, 0.7, math.nan, math.nan):
        schedule.epoch_end(accuracy)
        rates.append(schedule(0))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_plateau_never_raises_the_rate():
    schedule = ReduceOnPlateau(0.1, patience=0, minimum=0.5)
    schedule.epoch_end(1.0)
    schedule.epoch_end(1.0)
    assert schedule(0) == 0.1


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: Warmup(2, inner)])
def test_a_plateau_goes_on_from_its_state(wrap):
    losses = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    whole = wrap(ReduceOnPlateau(1.0, patience=1))
    half = wrap(ReduceOnPlateau(1.0, patience=1))
    for loss in losses[:4]:
        whole.epoch_end(loss)
        half.epoch_end(loss)
    resumed = wrap(ReduceOnPlateau(1.0, patience=1))
    resumed.load_state(json.loads(json.dumps(half.state())))
    for loss in losses[4:]:
        whole.epoch_end(loss)
        resumed.epoch_end(loss)
        assert resumed(5) == whole(5)
    assert resumed.state() == whole.state()
    assert whole(5) < 1


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in CLOSED])
def test_functions_of_the_step_have_no_state(schedule):
    before = [schedule(step) for step in STEPS]
    schedule.epoch_end(1.0)
    assert schedule.state() == {}
    schedule.load_state({})
    assert [schedule(step) for step in STEPS] == before


@pytest.mark.parametrize("schedule", [*(schedule for schedule, _ in CLOSED), OneCycle(1, 9), ReduceOnPlateau(1)])
def test_built_again_from_its_config(schedule):
    again = schedules.from_config(json.loads(json.dumps(schedule.config())))
    assert again == schedule
    assert again is not schedule
    assert repr(again) == repr(schedule)


def test_repr_and_difference():
    assert repr(Warmup(3, Constant(0.1))) == "Warmup(steps=3, then=Constant(value=0.1))"
    assert Constant(0.1) != Constant(0.2)
    assert Constant(0.1) != 0.1


def test_by_name():
    assert schedules.get("cosine", initial=0.1, steps=5) == Cosine(0.1, 5)
    assert set(schedules.names()) >= {"constant", "step", "exponential", "warmup", "one-cycle", "reduce-on-plateau"}
    with pytest.raises(UnknownNameError, match="schedule 'cosin' is unknown; did you mean cosine"):
        schedules.get("cosin")
    with pytest.raises(UnknownNameError, match="parameter of schedule 'step' 'evry' is unknown; did you mean every"):
        schedules.get("step", initial=1, evry=3)
    with pytest.raises(ArgumentError, match="schedule 'step': initial, every was not given"):
        schedules.get("step")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-0.1), "Constant: value -0.1 was given; allowed are finite numbers from 0"),
        (lambda: Constant(math.nan), "value nan"),
        (lambda: Constant(None), "value None"),
        (lambda: Constant("0.1"), "value '0.1'"),
        (lambda: Step(0.1, every=0), "every 0 was given; allowed are whole numbers from 1"),
        (lambda: Step(0.1, every=2.5), "every 2.5"),
        (lambda: Cosine(0.1, steps=True), "steps True"),
        (lambda: Exponential(0.1, factor=1.1), "factor 1.1"),
        (lambda: OneCycle(0.1, 1), "steps 1 was given; allowed are whole numbers from 2"),
        (lambda: OneCycle(0.1, 10, rise=1), "rise 1"),
        (lambda: OneCycle(0.1, 10, start_divisor=0), "start_divisor 0"),
        (lambda: ReduceOnPlateau(0.1, factor=1), "factor 1 "),
        (lambda: ReduceOnPlateau(0.1, mode="least"), "mode of ReduceOnPlateau 'least'"),
        (lambda: Warmup(0, 0.1), "steps 0"),
    ],
)
def test_parameters_that_make_no_sense(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
