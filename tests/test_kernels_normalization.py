"""Do BatchNorm and LayerNorm standardise, and are their gradients those of central differences?"""

from typing import Any

import numpy as np
import pytest

from backends.kernels.normalization import BatchNorm, BatchNormEvaluation, LayerNorm, update_running

EPS = 1e-5
SHAPES = [(2, 1), (2, 3), (7, 4), (5, 9)]
AFFINE = [(True, True), (True, False), (False, True), (False, False)]
affine = pytest.mark.parametrize(("with_gain", "with_bias"), AFFINE)


class Case:
    """One kernel pair with read-only inputs drawn at random; forward and backward allocate every output."""

    def __init__(self, pair: Any, shape: tuple[int, int], with_gain: bool = True, with_bias: bool = True):
        generator = np.random.default_rng(sum(shape))
        features = shape[1]
        self.pair = pair
        self.x, self.dy = (generator.normal(1.0, 2.0, size=shape) for _ in range(2))
        self.gain = generator.normal(size=features) if with_gain else None
        self.bias = generator.normal(size=features) if with_bias else None
        self.running = (generator.normal(size=features), generator.uniform(0.5, 2.0, size=features))
        self.lock()

    def lock(self) -> None:
        for array in (self.x, self.dy, self.gain, self.bias, *self.running):
            if array is not None:
                array.flags.writeable = False

    def astype(self, dtype: str) -> "Case":
        for name in ("x", "dy", "gain", "bias"):
            if (array := getattr(self, name)) is not None:
                setattr(self, name, array.astype(dtype))
        self.running = (self.running[0].astype(dtype), self.running[1].astype(dtype))
        self.lock()
        return self

    def forward(self, **changed: np.ndarray) -> dict[str, np.ndarray]:
        x, gain, bias = (changed.get(name, getattr(self, name)) for name in ("x", "gain", "bias"))
        batch, features = x.shape
        out = {"y": np.empty_like(x), "normalized": np.empty_like(x)}
        row = (batch, 1) if self.pair is LayerNorm else (features,)
        out["inverse_deviation"] = np.empty(row, x.dtype)
        if self.pair is BatchNorm:
            out |= {"mean": np.empty(row, x.dtype), "variance": np.empty(row, x.dtype)}
        running = self.running if self.pair is BatchNormEvaluation else ()
        self.pair.forward(np, x, gain, bias, *running, **out, eps=EPS)
        return out

    def backward(self, saved: dict[str, np.ndarray], wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        out = {name: np.empty_like(self.x if name == "dx" else self.x[0]) for name in wanted}
        work = tuple(np.full_like(self.x, np.nan) for _ in range(self.pair.backward_work))
        for array in saved.values():
            array.flags.writeable = False
        self.pair.backward(np, self.dy, saved["normalized"], self.gain, saved["inverse_deviation"], **out, work=work)
        return out

    def numerical(self, name: str, h: float = 1e-5) -> np.ndarray:
        """The gradient of sum(dy y) to x, gain or bias, by central differences."""
        values = np.array(getattr(self, name))
        gradient = np.empty_like(values)
        for index in np.ndindex(values.shape):
            ends = []
            for shift in (h, -h):
                moved = values.copy()
                moved[index] += shift
                ends.append(float((self.dy * self.forward(**{name: moved})["y"]).sum()))
            gradient[index] = (ends[0] - ends[1]) / (2 * h)
        return gradient


PAIRS = pytest.mark.parametrize("pair", [BatchNorm, BatchNormEvaluation, LayerNorm])


@PAIRS
@affine
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_central_differences(
    pair: Any, shape: tuple[int, int], with_gain: bool, with_bias: bool
) -> None:
    case = Case(pair, shape, with_gain, with_bias)
    gradients = case.backward(case.forward(), ("dx", "dgain", "dbias"))
    np.testing.assert_allclose(gradients["dx"], case.numerical("x"), rtol=1e-5, atol=1e-6)
    if with_gain:
        np.testing.assert_allclose(gradients["dgain"], case.numerical("gain"), rtol=1e-6, atol=1e-7)
    if with_bias:
        np.testing.assert_allclose(gradients["dbias"], case.numerical("bias"), rtol=1e-6, atol=1e-7)


@PAIRS
@affine
def test_each_gradient_alone_has_the_same_bits(pair: Any, with_gain: bool, with_bias: bool) -> None:
    case = Case(pair, (6, 5), with_gain, with_bias)
    together = case.backward(case.forward(), ("dx", "dgain", "dbias"))
    for wanted in [("dx",), ("dgain",), ("dbias",), ("dx", "dgain"), ("dx", "dbias"), ("dgain", "dbias"), ()]:
        for name, gradient in case.backward(case.forward(), wanted).items():
            np.testing.assert_array_equal(gradient, together[name])


@PAIRS
@affine
def test_forward_is_the_formula(pair: Any, with_gain: bool, with_bias: bool) -> None:
    case = Case(pair, (7, 4), with_gain, with_bias)
    out = case.forward()
    axis = 1 if pair is LayerNorm else 0
    mean, variance = case.x.mean(axis, keepdims=True), case.x.var(axis, keepdims=True)
    if pair is BatchNormEvaluation:
        mean, variance = case.running
    normalized = (case.x - mean) / np.sqrt(variance + EPS)
    gain, bias = 1 if case.gain is None else case.gain, 0 if case.bias is None else case.bias
    np.testing.assert_allclose(out["normalized"], normalized, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(out["y"], gain * normalized + bias, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        out["inverse_deviation"].reshape(-1), 1 / np.sqrt(variance + EPS).reshape(-1), rtol=1e-12
    )
    if pair is BatchNorm:
        np.testing.assert_allclose(out["mean"], case.x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(out["variance"], case.x.var(0), rtol=1e-12)


@PAIRS
@pytest.mark.parametrize("shape", [(2, 3), (64, 32), (33, 257)])
def test_float32_stays_near_float64(pair: Any, shape: tuple[int, int]) -> None:
    single = Case(pair, shape).astype("float32")
    double = Case(pair, shape).astype("float32").astype("float64")  # the same rounded inputs
    wanted = ("dx", "dgain", "dbias")
    for run in (lambda case: case.forward(), lambda case: case.backward(case.forward(), wanted)):
        for name, expected in run(double).items():
            got = run(single)[name]
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("pair", [BatchNorm, LayerNorm])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, -80.0, 1e4, 1e6])
def test_a_constant_is_normalized_to_exactly_zero(pair: Any, dtype: str, value: float) -> None:
    case = Case(pair, (100, 3) if pair is BatchNorm else (3, 100)).astype(dtype)
    case.x = np.full_like(case.x, value)
    out = case.forward()
    np.testing.assert_array_equal(out["normalized"], 0)
    np.testing.assert_allclose(out["inverse_deviation"], EPS**-0.5, rtol=1e-6)
    gradients = case.backward(out, ("dx", "dgain", "dbias"))
    np.testing.assert_array_equal(gradients["dgain"], 0)
    assert np.isfinite(gradients["dx"]).all()


@pytest.mark.parametrize("pair", [BatchNorm, LayerNorm])
def test_a_small_spread_around_a_large_mean_survives_in_float32(pair: Any) -> None:
    case = Case(pair, (64, 48))
    case.x = (1e4 + case.x).astype("float32")
    expected = case.x.astype("float64")
    case.x.flags.writeable = False
    axis = 1 if pair is LayerNorm else 0
    centered = expected - expected.mean(axis, keepdims=True)
    normalized = centered / np.sqrt((centered**2).mean(axis, keepdims=True) + EPS)
    case.gain = case.bias = None
    np.testing.assert_allclose(case.forward()["y"], normalized, rtol=1e-4, atol=1e-5)


@PAIRS
def test_nan_stays_in_its_own_feature_or_sample(pair: Any) -> None:
    case = Case(pair, (6, 4))
    case.x = case.x.copy()
    case.x[2, 1] = np.nan
    expected = np.zeros((6, 4), bool)
    affected: dict[Any, tuple[Any, Any]] = {
        BatchNorm: (slice(None), 1),
        LayerNorm: (2, slice(None)),
        BatchNormEvaluation: (2, 1),
    }
    expected[affected[pair]] = True
    np.testing.assert_array_equal(np.isnan(case.forward()["y"]), expected)


@affine
def test_evaluation_without_saving_has_the_same_bits(with_gain: bool, with_bias: bool) -> None:
    case = Case(BatchNormEvaluation, (5, 3), with_gain, with_bias)
    y, inverse_deviation = np.empty_like(case.x), np.empty(3)
    BatchNormEvaluation.forward(
        np, case.x, case.gain, case.bias, *case.running, y=y, inverse_deviation=inverse_deviation, eps=EPS
    )
    np.testing.assert_array_equal(y, case.forward()["y"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
def test_running_estimates_take_the_unbiased_variance(dtype: str, momentum: float) -> None:
    case = Case(BatchNorm, (7, 4)).astype(dtype)
    out = case.forward()
    for name in ("mean", "variance"):
        out[name].flags.writeable = False
    mean, variance = (running.copy() for running in case.running)
    update_running(
        np,
        out["mean"],
        out["variance"],
        running_mean=mean,
        running_variance=variance,
        momentum=momentum,
        batch=7,
        work=np.empty(4, dtype),
    )
    expected_mean = (1 - momentum) * case.running[0] + momentum * case.x.mean(0)
    expected_variance = (1 - momentum) * case.running[1] + momentum * case.x.var(0, ddof=1)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)
    assert mean.dtype == variance.dtype == dtype
