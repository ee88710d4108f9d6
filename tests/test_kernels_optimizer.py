"""Do the optimizers follow their published recurrences, option by option, and leave alone what they must not change?"""

import math
from typing import Any

import numpy as np
import pytest

from backends.kernels import optimizer
from backends.kernels.optimizer import NAdam, clip_by_value, scale_by_norm, squared_norm

LEARNING_RATE = 0.03
STEPS = 20


class Recurrences:
    """Each recurrence once more, for a single weight, in plain Python floats, in the order in which papers write it."""

    @staticmethod
    def sgd(w, g, s, t, momentum=0.0, nesterov=False, weight_decay=0.0):
        g = g + weight_decay * w
        s["velocity"] = g if t == 1 else momentum * s["velocity"] + g
        if nesterov:
            return w - LEARNING_RATE * (g + momentum * s["velocity"])
        return w - LEARNING_RATE * (s["velocity"] if momentum else g)

    @staticmethod
    def adagrad(w, g, s, t, eps=1e-10, weight_decay=0.0):
        g = g + weight_decay * w
        s["sum"] = s.get("sum", 0.0) + g**2
        return w - LEARNING_RATE * g / (math.sqrt(s["sum"]) + eps)

    @staticmethod
    def rmsprop(w, g, s, t, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
        g = g + weight_decay * w
        s["v"] = alpha * s.get("v", 0.0) + (1 - alpha) * g**2
        s["buffer"] = momentum * s.get("buffer", 0.0) + g / (math.sqrt(s["v"]) + eps)
        return w - LEARNING_RATE * s["buffer"]

    @staticmethod
    def adam(w, g, s, t, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
        g = g + weight_decay * w
        s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
        m_hat, v_hat = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
        return w - LEARNING_RATE * m_hat / (math.sqrt(v_hat) + eps)

    @staticmethod
    def adamw(w, g, s, t, weight_decay=1e-2, **options):
        return Recurrences.adam(w - LEARNING_RATE * weight_decay * w, g, s, t, **options)

    @staticmethod
    def nadam(w, g, s, t, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
        g = g + weight_decay * w
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        s["product"] = s.get("product", 1.0) * mu
        s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
        denominator = math.sqrt(s["v"] / (1 - beta2**t)) + eps
        w = w - LEARNING_RATE * (1 - mu) / (1 - s["product"]) * g / denominator
        return w - LEARNING_RATE * mu_next / (1 - s["product"] * mu_next) * s["m"] / denominator

    @staticmethod
    def lion(w, g, s, t, beta1=0.9, beta2=0.99, weight_decay=0.0):
        m = s.get("m", 0.0)
        blended = beta1 * m + (1 - beta1) * g
        s["m"] = beta2 * m + (1 - beta2) * g
        return w - LEARNING_RATE * (float(np.sign(blended)) + weight_decay * w)


CASES: list[tuple[str, dict[str, Any], int]] = [  # name, options, how often a step runs over the parameters
    ("SGD", {}, 2),
    ("SGD", {"weight_decay": 0.1}, 4),
    ("SGD", {"momentum": 0.9}, 4),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, 6),
    ("SGD", {"momentum": 0.9, "nesterov": True}, 6),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, 8),
    ("Adagrad", {}, 7),
    ("Adagrad", {"eps": 1e-3, "weight_decay": 0.1}, 9),
    ("RMSprop", {}, 9),
    ("RMSprop", {"momentum": 0.8}, 11),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}, 11),
    ("RMSprop", {"momentum": 0.8, "weight_decay": 0.1}, 13),
    ("Adam", {}, 12),
    ("Adam", {"beta1": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1}, 14),
    ("AdamW", {"weight_decay": 0.0}, 12),
    ("AdamW", {}, 13),
    ("AdamW", {"beta1": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1}, 13),
    ("NAdam", {}, 16),
    ("NAdam", {"beta1": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1, "momentum_decay": 0.2}, 18),
    ("Lion", {}, 8),
    ("Lion", {"beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1}, 9),
]
cases = pytest.mark.parametrize(("name", "options", "passes"), CASES)


class Counting:
    """NumPy, counting the calls that fill an array of more than one element."""

    def __init__(self) -> None:
        self.passes = 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, out: np.ndarray) -> Any:
            self.passes += out.size > 1
            return getattr(np, name)(*args, out=out)

        return call


class Run:
    """An optimizer kernel with its arrays: w, a gradient that may not be written, the states and the work arrays."""

    def __init__(self, name: str, options: dict[str, Any], dtype: str = "float64", size: int = 7, seed: int = 0):
        self.kernel = getattr(optimizer, name)
        self.options = {key: value for key, value in options.items() if key != "momentum_decay"}
        betas = {key: options[key] for key in ("beta1", "beta2", "momentum_decay") if key in options}
        self.corrections = getattr(self.kernel, "corrections", lambda step, **_: {})
        self.correction_options = betas if hasattr(self.kernel, "corrections") else {}
        self.generator = np.random.default_rng(seed)
        self.w = self.generator.normal(size=size).astype(dtype)
        self.states = [np.zeros(size, dtype) for _ in self.kernel.states]
        self.work = tuple(np.full(size, np.nan, dtype) for _ in range(self.kernel.work))

    def step(self, t: int, *, xp: Any = np, as_array: bool = True) -> np.ndarray:
        g = self.generator.normal(size=self.w.size).astype(self.w.dtype)
        g.flags.writeable = False
        scalars = {"learning_rate": LEARNING_RATE, **self.corrections(t, **self.correction_options)}
        assert tuple(scalars)[1:] == self.kernel.per_step
        if as_array:
            scalars = {key: np.array([value], self.w.dtype) for key, value in scalars.items()}
            for scalar in scalars.values():
                scalar.flags.writeable = False
        self.kernel.update(xp, self.w, g, *self.states, work=self.work, **scalars, **self.options)
        return g


@cases
def test_twenty_steps_follow_the_recurrence(name: str, options: dict[str, Any], passes: int) -> None:
    run = Run(name, options)
    recurrence = getattr(Recurrences, name.lower())
    expected, memories = run.w.tolist(), [{} for _ in run.w]
    for t in range(1, STEPS + 1):
        g = run.step(t)
        expected = [recurrence(w, float(d), s, t, **options) for w, d, s in zip(expected, g, memories, strict=True)]
        np.testing.assert_allclose(run.w, expected, rtol=1e-12, atol=1e-12)


@cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 33])
def test_scalars_as_arrays_and_as_floats_give_the_same_bits(
    name: str, options: dict[str, Any], passes: int, dtype: str, size: int
) -> None:
    runs = [Run(name, options, dtype, size) for _ in range(2)]
    for t in range(1, 6):
        for run, as_array in zip(runs, (True, False), strict=True):
            run.step(t, as_array=as_array)
    np.testing.assert_array_equal(runs[0].w, runs[1].w)
    assert runs[0].w.dtype == dtype
    for mine, other in zip(runs[0].states, runs[1].states, strict=True):
        np.testing.assert_array_equal(mine, other)


@cases
def test_float32_stays_near_float64(name: str, options: dict[str, Any], passes: int) -> None:
    single, double = Run(name, options, "float32"), Run(name, options, "float64")
    double.w[:] = single.w
    for t in range(1, STEPS + 1):
        single.step(t)
        double.step(t)
    np.testing.assert_allclose(single.w, double.w, rtol=1e-4, atol=1e-5)


@cases
def test_a_step_takes_as_few_passes_as_promised(name: str, options: dict[str, Any], passes: int) -> None:
    counting = Counting()
    Run(name, options).step(1, xp=counting)
    assert counting.passes == passes


@pytest.mark.parametrize(("name", "states"), [("SGD", 1), ("RMSprop", 2)])
def test_without_momentum_no_velocity_is_needed(name: str, states: int) -> None:
    run, bare = Run(name, {}), Run(name, {})
    bare.states[states - 1] = None
    for t in range(1, 4):
        run.step(t)
        bare.step(t)
    np.testing.assert_array_equal(run.w, bare.w)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "NAdam", "Lion"])
def test_zero_gradients_leave_the_weights_and_nan_passes_through(name: str) -> None:
    run = Run(name, {"weight_decay": 0.0})
    before = run.w.copy()
    scalars = {"learning_rate": LEARNING_RATE, **run.corrections(1)}
    g = np.zeros_like(run.w)
    run.kernel.update(np, run.w, g, *run.states, work=run.work, **scalars, **run.options)
    np.testing.assert_array_equal(run.w, before)
    g[2] = np.nan
    run.kernel.update(np, run.w, g, *run.states, work=run.work, **scalars, **run.options)
    np.testing.assert_array_equal(np.isnan(run.w), np.arange(run.w.size) == 2)


@pytest.mark.parametrize("step", [1, 2, 50, 3000])
@pytest.mark.parametrize("beta1", [0.0, 0.9, 0.999])
def test_nadam_weights_are_those_of_the_running_product(step: int, beta1: float) -> None:
    mu = [beta1 * (1 - 0.5 * 0.96 ** (t * 4e-3)) for t in range(1, step + 2)]
    weights = NAdam.corrections(step, beta1=beta1)
    assert weights["gradient_weight"] == pytest.approx((1 - mu[-2]) / (1 - math.prod(mu[:-1])), rel=1e-13)
    assert weights["momentum_weight"] == pytest.approx(mu[-1] / (1 - math.prod(mu)), rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squared_norm(dtype: str) -> None:
    g = np.random.default_rng(1).normal(size=100_003).astype(dtype)
    g.flags.writeable = False
    out = np.empty(1, dtype)
    squared_norm(np, g, out=out)
    assert out[0] == pytest.approx(math.fsum(float(v) ** 2 for v in g), rel=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("max_norm", [1.0, 5.0, 1e4])
def test_clipping_by_norm_shortens_long_gradients_only(dtype: str, max_norm: float) -> None:
    g = np.random.default_rng(2).normal(size=50).astype(dtype)
    before, norm = g.copy(), float(np.linalg.norm(g.astype("float64")))
    norm_squared = np.empty(1, dtype)
    squared_norm(np, g, out=norm_squared)
    norm_squared.flags.writeable = False
    scale_by_norm(np, g, norm_squared, work=np.empty(1, dtype), max_norm=max_norm)
    np.testing.assert_allclose(
        g, before * min(1.0, max_norm / (norm + 1e-6)), rtol=1e-6 if dtype == "float32" else 1e-13
    )
    if max_norm > norm:
        np.testing.assert_array_equal(g, before)


def test_clipping_a_zero_gradient_and_nan() -> None:
    zero, work = np.zeros(3, "float32"), np.empty(1, "float32")
    scale_by_norm(np, zero, np.zeros(1, "float32"), work=work, max_norm=1.0)
    np.testing.assert_array_equal(zero, 0)
    g = np.array([1.0, np.nan], "float32")
    scale_by_norm(np, g, np.array([np.nan], "float32"), work=work, max_norm=1.0)
    assert np.isnan(g).all()


def test_clip_by_value() -> None:
    g = np.array([-3.0, -0.5, 0.0, 0.5, 3.0, np.inf, np.nan], "float32")
    clip_by_value(np, g, limit=1.0)
    np.testing.assert_array_equal(g, np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 1.0, np.nan], "float32"))
