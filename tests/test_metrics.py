"""Are metrics right, the same for every batching, and clear about what does not fit?"""

import numpy as np
import pytest

from engine import metrics
from engine.errors import ArgumentError, DataError, DeviceError, DtypeError, ShapeError, UnknownNameError
from engine.tensor import Tensor


def _classes(samples=97, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, classes)), generator.integers(0, classes, samples)


def _many(samples=60, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, classes)), generator.integers(0, 2, (samples, classes))


def _values(samples=83, outputs=2, seed=0):
    generator = np.random.default_rng(seed)
    target = generator.normal(1000.0, 3.0, (samples, outputs))
    return target + generator.normal(0, 1.0, target.shape), target


# -- by hand -------------------------------------------------------------------------------------------


def test_accuracy_by_hand():
    scores = [[0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5], [0.9, 0.1, 0.0]]
    assert metrics.accuracy(scores, [2, 0, 1, 0]) == 0.75
    assert metrics.accuracy([2, 0, 2, 0], [2, 0, 1, 0]) == 0.75
    one_hot = np.eye(3)[[2, 0, 1, 0]]
    assert metrics.accuracy(scores, one_hot, multilabel=False) == 0.75
    assert metrics.accuracy([[2.0, -1.0], [3.0, 0.5]], [[1, 0], [0, 0]]) == 0.5


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("labels", [[1, 0, 0, 1], [1, -1, -1, 1], [1.0, 0.0, 0.0, 1.0], [0.9, 0.2, 0.4, 0.8]])
def test_one_output_is_a_yes_above_the_threshold(shape, labels):
    logits = np.array([2.0, -1.0, 0.25, -0.5]).reshape(shape)
    assert metrics.accuracy(logits, labels) == 0.5
    assert metrics.accuracy(logits, np.array(labels).reshape(4, 1), threshold=0.5) == 0.75


def test_top_k_by_hand():
    scores = [[0.1, 0.2, 0.4, 0.3], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]]
    assert [metrics.top_k_accuracy(scores, [3, 3, 1], k) for k in (1, 2, 3, 4)] == pytest.approx([0, 2 / 3, 2 / 3, 1])


def test_scores_that_are_no_numbers_are_in_no_top_k():
    assert metrics.top_k_accuracy([[np.nan, np.nan, np.nan]], [0], k=2) == 0


def test_precision_recall_f1_by_hand():
    predicted, labels = [0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 1]
    np.testing.assert_allclose(metrics.precision(predicted, labels, average=None), [1 / 2, 2 / 3, 0])
    np.testing.assert_allclose(metrics.recall(predicted, labels, average=None), [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(metrics.f1(predicted, labels, average=None), [1 / 2, 4 / 7, 0])
    assert metrics.f1(predicted, labels) == pytest.approx((1 / 2 + 4 / 7) / 3)
    assert metrics.precision(predicted, labels, average="micro") == pytest.approx(1 / 2)


def test_confusion_by_hand():
    np.testing.assert_array_equal(metrics.confusion_matrix([1, 1, 0], [0, 1, 1]), [[0, 1], [1, 1]])
    assert metrics.confusion_matrix([0, 1], [1, 1], classes=4).shape == (4, 4)
    np.testing.assert_array_equal(metrics.confusion_matrix([0, 0], [0, 0], classes=1), [[2]])
    np.testing.assert_array_equal(metrics.confusion_matrix([-0.3, 0.2, 4.0], [0, 0, 1]), [[1, 1], [0, 1]])
    with pytest.raises(ArgumentError, match="classes 2 was given; class number 3 needs 4"):
        metrics.confusion_matrix([0, 3], [0, 1], classes=2)


def test_errors_by_hand():
    assert metrics.mean_absolute_error([[1.0], [5.0]], [[2.0], [2.0]]) == 2
    assert metrics.mean_squared_error([[1.0], [5.0]], [[2.0], [2.0]]) == 5
    assert metrics.r2([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == 0
    assert metrics.r2([5.0, 5.0], [5.0, 5.0]) == 1
    assert metrics.r2([5.0, 6.0], [5.0, 5.0]) == 0
    assert metrics.r2([0.1], [0.1]) == 1


# -- against scikit-learn ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("average", ["macro", "micro", None])
@pytest.mark.parametrize("data", [_classes(), _classes(5, 9), _classes(1), _many(), _many(4, 6)])
def test_counted_metrics_are_scikit_learns(name, average, data):
    reference = pytest.importorskip("sklearn.metrics")
    scores, labels = data
    predicted = scores.argmax(axis=1) if labels.ndim == 1 else (scores > 0).astype(int)
    own = getattr(metrics, name)(scores, labels, average=average)
    theirs = getattr(reference, f"{name}_score")
    if average is None and labels.ndim == 1:
        expected = theirs(labels, predicted, average=None, zero_division=0, labels=range(scores.shape[1]))
    else:
        expected = theirs(labels, predicted, average=average, zero_division=0)
    np.testing.assert_allclose(own, expected, rtol=1e-12)
    if labels.ndim == 1:
        np.testing.assert_array_equal(
            metrics.confusion_matrix(scores, labels),
            reference.confusion_matrix(labels, predicted, labels=range(scores.shape[1])),
        )


def test_the_rest_is_scikit_learns():
    reference = pytest.importorskip("sklearn.metrics")
    scores, labels = _classes(200, 6)
    assert metrics.accuracy(scores, labels) == pytest.approx(reference.accuracy_score(labels, scores.argmax(axis=1)))
    for k in (1, 2, 5):
        assert metrics.top_k_accuracy(scores, labels, k) == pytest.approx(
            reference.top_k_accuracy_score(labels, scores, k=k)
        )
    output, target = _values()
    assert metrics.r2(output, target) == pytest.approx(reference.r2_score(target, output), rel=1e-9)
    assert metrics.mean_absolute_error(output, target) == pytest.approx(reference.mean_absolute_error(target, output))
    assert metrics.mean_squared_error(output, target) == pytest.approx(reference.mean_squared_error(target, output))


# -- batch by batch ------------------------------------------------------------------------------------

WHOLE = [
    ("accuracy", _classes()),
    ("accuracy", _many()),
    ("top-2", _classes()),
    ("top-5", _classes(50, 8)),
    ("precision", _classes()),
    ("recall", _classes()),
    ("f1", _classes()),
    ("f1", _many()),
    ("mae", _values()),
    ("mse", _values()),
    ("r2", _values()),
    ("r2", tuple(part[:, 0] for part in _values())),
]


@pytest.mark.parametrize(("name", "data"), WHOLE)
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_make_no_difference(name, data, batch):
    output, target = data
    whole, parts = metrics.get(name), metrics.get(name)
    whole.update(output, target)
    for start in range(0, len(output), batch):
        parts.update(Tensor(output[start : start + batch]), Tensor(target[start : start + batch]))
    assert type(parts.result()) is float
    assert parts.result() == pytest.approx(whole.result(), rel=1e-10)
    parts.reset()
    parts.update(output[:3], target[:3])
    again = metrics.get(name)
    again.update(output[:3], target[:3])
    assert parts.result() == again.result()


@pytest.mark.parametrize("name", metrics.names())
def test_a_result_needs_a_batch(name):
    with pytest.raises(ArgumentError, match=f"{name}: no batch was given"):
        metrics.get(name).result()
    with pytest.raises(ArgumentError, match="no batch was given"):
        metrics.F1().per_class()


class _Device(np.ndarray):
    """An array that refuses to be read by the host."""

    def _refuse(self, *_):
        raise AssertionError("a value was read from the device")

    __float__ = __int__ = __bool__ = __index__ = item = tolist = _refuse


@pytest.mark.parametrize(("name", "data"), WHOLE)
def test_updates_read_nothing_from_the_device(name, data):
    expected, metric = metrics.get(name), metrics.get(name)
    expected.update(*data)
    metric.update(*(part.view(_Device) for part in data))
    metric.update(*(part.view(_Device) for part in data))
    assert metric.result() == pytest.approx(expected.result())


def test_a_users_function_is_weighted_by_samples():
    def largest(output, target):
        return np.abs(output - target).max()

    metric = metrics.get(largest)
    metric.update(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    metric.update(np.array([5.0]), np.array([1.0]))
    assert (metric.name, metric.result()) == ("largest", (3 * 2 + 4) / 4)
    tensors = metrics.get(lambda output, target: (output - target).mean())
    tensors.update(Tensor([1.0, 2.0]), Tensor([0.0, 0.0]))
    assert tensors.result() == 1.5
    ones = metrics.get(lambda output, target: np.ones((1, 1)))
    ones.update(np.zeros(3), np.zeros(3))
    assert ones.result() == 1


@pytest.mark.parametrize("value", [np.zeros(3), "good", None, [1.0]])
def test_a_users_function_gives_one_number(value):
    metric = metrics.get(lambda output, target: value)
    with pytest.raises(ShapeError, match="one number a batch is needed"):
        metric.update(np.zeros(3), np.zeros(3))


def test_get():
    metric = metrics.Accuracy()
    assert metrics.get(metric) is metric
    assert isinstance(metrics.get(metrics.F1, average="micro"), metrics.F1)
    assert metrics.get("f1", average="micro").average == "micro"
    assert metrics.get("top-3").name == "top-3"
    assert metrics.get("accuracy", threshold=0.5).threshold == 0.5


# -- what does not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("acuracy", {}, "metric 'acuracy' is unknown; did you mean accuracy"),
        ("top-0", {}, "metric 'top-0' is unknown"),
        ("f1", {"avrage": "macro"}, "parameter of metric 'f1' 'avrage' is unknown; did you mean average"),
        ("mse", {"average": "macro"}, "parameter of metric 'mse' 'average' is unknown"),
        ("top-3", {"k": 4}, "parameter of metric 'top-3' 'k' is unknown"),
        ("f1", {"average": "weighted"}, "average 'weighted' is unknown"),
    ],
)
def test_unknown_names(given, options, message):
    with pytest.raises(UnknownNameError, match=message):
        metrics.get(given, **options)
    with pytest.raises(ArgumentError, match="metric: 3 was given"):
        metrics.get(3)


@pytest.mark.parametrize(
    ("function", "output", "target", "error", "message"),
    [
        (metrics.accuracy, np.zeros((3, 4)), [0, 1], ShapeError, "both need the same number of samples"),
        (metrics.accuracy, np.zeros((0, 4)), [], ShapeError, "at least 1"),
        (metrics.accuracy, np.zeros((3, 4)), np.zeros((3, 2)), ShapeError, r"shape \(3, 4\), targets \(3, 2\)"),
        (metrics.accuracy, np.zeros((2, 4)), [0, 4], DataError, "label 4 at row 1; the outputs have 4 classes"),
        (metrics.accuracy, np.zeros((2, 4)), [0, -1], DataError, "label -1 at row 1"),
        (metrics.accuracy, np.zeros((2, 4)), [0.0, 1.0], DtypeError, "labels have dtype float32; allowed are integers"),
        (metrics.accuracy, np.zeros(2), [0, 2], DataError, "targets go from 0 to 2"),
        (metrics.accuracy, np.zeros((2, 2)), [[0, 1], [3, 0]], DataError, "targets go from 0 to 3"),
        (metrics.accuracy, [0, 1], [[0], [1]], ShapeError, r"predictions have shape \(2,\), labels \(2, 1\)"),
        (metrics.f1, [0, -1], [0, 1], DataError, "class numbers count from 0"),
        (metrics.top_k_accuracy, np.zeros((2, 4)), [0, 1], ShapeError, "at least 5 classes"),
        (metrics.r2, np.zeros((2, 1)), np.zeros(2), ShapeError, r"both need the same. Use target.reshape\(2, 1\)"),
        (metrics.mean_squared_error, np.zeros((2, 1)), np.zeros((2, 3)), ShapeError, "both need the same"),
    ],
)
def test_what_is_refused(function, output, target, error, message):
    with pytest.raises(error, match=message) as caught:
        function(output, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, 1.5, True])
def test_k_is_a_whole_number(k):
    with pytest.raises(ArgumentError, match=r"k .* was given"):
        metrics.top_k_accuracy(np.zeros((2, 4)), [0, 1], k)


def test_two_devices_are_refused(monkeypatch):
    monkeypatch.setattr(metrics.forms, "_namespace", lambda array: np if array.ndim == 2 else np.random)
    with pytest.raises(DeviceError, match=r"outputs are numpy arrays, targets numpy\.random arrays"):
        metrics.accuracy(np.zeros((2, 3)), [0, 1])
