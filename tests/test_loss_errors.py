"""Is a prediction, target or setting that does not fit a loss refused, by one line that names it?"""

import math

import numpy as np
import pytest

import engine as en


def logits(*shape, dtype="float32"):
    return en.tensor(np.zeros(shape, dtype))


ONES = np.ones((4, 1), "float32")
REFUSED = {
    "(n,) against (n, 1)": (
        lambda: en.MeanSquaredError()(logits(4, 1), np.zeros(4)),
        en.ShapeError,
        r"MeanSquaredError: target has shape \(4,\), prediction \(4, 1\); they must be .*Use target\.reshape\(4, 1\)\.",
    ),
    "(n, 1) against (n,)": (
        lambda: en.SquaredError()(logits(4), ONES),
        en.ShapeError,
        r"target has shape \(4, 1\), prediction \(4,\); .*target\.reshape\(4\)",
    ),
    "broadcasting targets": (
        lambda: en.Huber()(logits(4, 2), np.zeros((1, 2))),
        en.ShapeError,
        r"Use a target of shape \(4, 2\)",
    ),
    "labels (n, 1)": (
        lambda: en.CrossEntropy()(logits(64, 10), np.zeros((64, 1), int)),
        en.ShapeError,
        r"CrossEntropy: target has shape \(64, 1\), prediction \(64, 10\); labels are \(batch,\)\. Use target\.resh",
    ),
    "too few labels": (lambda: en.Hinge()(logits(4, 2), np.zeros(3, int)), en.ShapeError, r"labels are \(batch,\)"),
    "one number": (lambda: en.CrossEntropy()(logits(4, 2), 1), en.ShapeError, r"target has shape \(\)"),
    "label too large": (
        lambda: en.CrossEntropy()(logits(4, 3), np.array([0, 1, 3, 2])),
        en.DataError,
        "CrossEntropy: label 3 of sample 2 is out of range; with 3 classes labels are 0 to 2",
    ),
    "negative label": (
        lambda: en.Hinge()(logits(2, 3), np.array([0, -1])),
        en.DataError,
        "Hinge: label -1 of sample 1 is out of range",
    ),
    "negative narrow label": (
        lambda: en.CrossEntropy()(logits(2, 300), np.array([0, -1], "int8")),
        en.DataError,
        "label -1 of sample 1",
    ),
    "float labels": (
        lambda: en.CrossEntropy()(logits(2, 3), np.array([0.0, 1.0])),
        en.DtypeError,
        "labels are of float32; give whole numbers, 0 to 2",
    ),
    "bool labels": (
        lambda: en.CrossEntropy()(logits(2, 3), np.array([True, False])),
        en.DtypeError,
        "labels are of bool; give whole numbers",
    ),
    "string labels": (
        lambda: en.CrossEntropy()(logits(2, 3), ["a", "b"]),
        en.DtypeError,
        "target is of <U1; give numbers",
    ),
    "no target": (
        lambda: en.MeanSquaredError()(logits(2, 3), None),
        en.DtypeError,
        "target is of NoneType; give numbers",
    ),
    "one-hot of another width": (
        lambda: en.CrossEntropy()(logits(2, 3), np.eye(2, 4)),
        en.ShapeError,
        r"target has shape \(2, 4\), prediction \(2, 3\)",
    ),
    "one-hot of ints": (lambda: en.CrossEntropy()(logits(2, 3), np.eye(2, 3, dtype=int)), en.ShapeError, "labels are"),
    "hinge of probabilities": (lambda: en.Hinge()(logits(2, 3), np.eye(2, 3)), en.ShapeError, "labels are"),
    "empty batch": (
        lambda: en.CrossEntropy()(logits(0, 3), np.zeros(0, int)),
        en.ShapeError,
        r"the prediction has shape \(0, 3\); it needs one sample at least",
    ),
    "empty batch of outputs": (
        lambda: en.MeanSquaredError()(logits(0, 3), np.zeros((0, 3))),
        en.ShapeError,
        "one sample",
    ),
    "a number as prediction": (lambda: en.MeanSquaredError()(logits(), 0.0), en.ShapeError, "one sample at least"),
    "logits of one axis": (lambda: en.CrossEntropy()(logits(3), 0), en.ShapeError, r"logits are \(batch, classes\)"),
    "scores of three axes": (lambda: en.Hinge()(logits(2, 3, 4), 0), en.ShapeError, r"scores are \(batch, classes\)"),
    "an array as prediction": (
        lambda: en.Hinge()(np.zeros((2, 3)), [0, 1]),
        en.DtypeError,
        "the prediction is ndarray; give the model",
    ),
    "whole predictions": (
        lambda: en.MeanSquaredError()(en.tensor([[1]]), [[1]]),
        en.DtypeError,
        "the prediction is of int64; convert it",
    ),
    "target dtype": (
        lambda: en.MeanSquaredError()(logits(4, 1), en.tensor(np.zeros((4, 1)))),
        en.DtypeError,
        r'target is of float64, prediction of float32; convert one: \.to\(dtype="float32"\)',
    ),
    "logistic target": (
        lambda: en.Logistic()(logits(2, 1), [[1.0], [0.0]]),
        en.DataError,
        "Logistic: a target is 0; allowed are -1 and 1",
    ),
    "NaN target": (lambda: en.Logistic()(logits(2, 1), [[1.0], [np.nan]]), en.DataError, "a target is nan"),
    "binary target": (
        lambda: en.BinaryCrossEntropy(from_logits=True)(logits(2, 1), [[1.0], [-1.0]]),
        en.DataError,
        "BinaryCrossEntropy: a target is -1; allowed are 0 to 1",
    ),
    "NaN binary target": (
        lambda: en.BinaryCrossEntropy(from_logits=True)(logits(2, 1), [[1.0], [np.nan]]),
        en.DataError,
        "a target is nan",
    ),
    "probabilities above 1": (
        lambda: en.BinaryCrossEntropy()(en.tensor([[1.5]]), [[1.0]]),
        en.DataError,
        "a prediction is outside 0 to 1; it takes probabilities. Use from_logits=True",
    ),
    "probabilities below 0": (
        lambda: en.BinaryCrossEntropy()(en.tensor([[-0.5]]), [[1.0]]),
        en.DataError,
        "outside 0 to 1",
    ),
    "sample_weight shape": (
        lambda: en.MeanSquaredError()(logits(4, 2), np.zeros((4, 2)), sample_weight=np.ones((4, 2))),
        en.ShapeError,
        r"sample_weight has shape \(4, 2\); it must be \(4,\), one for each sample",
    ),
    "class_weight length": (
        lambda: en.CrossEntropy(class_weight=[1.0, 2.0])(logits(2, 3), [0, 1]),
        en.ShapeError,
        "class_weight has 2 weights; the prediction has 3 classes",
    ),
    "negative class_weight": (
        lambda: en.CrossEntropy(class_weight=[1.0, -1.0]),
        en.ArgumentError,
        "weights are 0 or above",
    ),
    "class_weight of a name": (
        lambda: en.CrossEntropy(class_weight="balanced"),
        en.ArgumentError,
        r"CrossEntropy: class_weight 'balanced' was given; give one number for each class, .*Balanced ones",
    ),
    "class_weight of a dict": (
        lambda: en.CrossEntropy(class_weight={0: 1.0, 1: 2.0}),
        en.ArgumentError,
        r"class_weight \{0: 1\.0, 1: 2\.0\} was given; give one number for each class",
    ),
    "ragged class_weight": (lambda: en.CrossEntropy(class_weight=[[1.0], [1.0, 2.0]]), en.ArgumentError, "one number"),
    "class_weight of strings": (lambda: en.CrossEntropy(class_weight=np.array(["1"])), en.ArgumentError, "one number"),
    "class_weight of zeros": (lambda: en.CrossEntropy(class_weight=[0.0, 0.0]), en.ArgumentError, "not all 0"),
    "empty class_weight": (lambda: en.CrossEntropy(class_weight=[]), en.ArgumentError, r"class_weight \[\] was given"),
    "NaN class_weight": (lambda: en.CrossEntropy(class_weight=[1.0, np.nan]), en.ArgumentError, "weights are 0 or ab"),
    "infinite class_weight": (lambda: en.CrossEntropy(class_weight=[1.0, np.inf]), en.ArgumentError, "class_weight"),
    "label_smoothing": (lambda: en.CrossEntropy(label_smoothing=1.0), en.ArgumentError, "0 or above and below 1"),
    "negative label_smoothing": (
        lambda: en.CrossEntropy(label_smoothing=-0.1),
        en.ArgumentError,
        "label_smoothing -0.1",
    ),
    "label_smoothing of a string": (
        lambda: en.CrossEntropy(label_smoothing="x"),
        en.ArgumentError,
        "CrossEntropy: label_smoothing 'x' was given; it is 0 or above and below 1.$",
    ),
    "label_smoothing of None": (lambda: en.CrossEntropy(None), en.ArgumentError, "label_smoothing None was given"),
    "a reduction first": (
        lambda: en.CrossEntropy("sum"),
        en.ArgumentError,
        "label_smoothing 'sum' was given; .*Write reduction=\"sum\"",
    ),
    "a reduction first (binary)": (
        lambda: en.BinaryCrossEntropy("none"),
        en.ArgumentError,
        "from_logits 'none' was given; it is True or False. Write reduction=\"none\"",
    ),
    "a reduction first (margin)": (lambda: en.Hinge("mean"), en.ArgumentError, 'Write reduction="mean"'),
    "from_logits": (lambda: en.BinaryCrossEntropy(1), en.ArgumentError, "from_logits 1 was given; it is True or False"),
    "ragged target": (
        lambda: en.MeanSquaredError()(logits(2, 2), [[1.0, 2.0], [3.0]]),
        en.ShapeError,
        "MeanSquaredError: target is ragged; every sample needs as many numbers",
    ),
    "ragged sample_weight": (
        lambda: en.MeanSquaredError()(logits(2, 2), np.zeros((2, 2)), sample_weight=[[1.0, 2.0], [3.0]]),
        en.ShapeError,
        "sample_weight is ragged",
    ),
    "negative sample_weight": (
        lambda: en.MeanSquaredError()(logits(2, 2), np.zeros((2, 2)), sample_weight=[1.0, -2.0]),
        en.DataError,
        "MeanSquaredError: the weight of sample 1 is -2; sample weights are finite numbers, 0 or above",
    ),
    "NaN sample_weight": (
        lambda: en.CrossEntropy(reduction="none")(logits(2, 2), [0, 1], sample_weight=en.tensor([np.nan, 1.0])),
        en.DataError,
        "CrossEntropy: the weight of sample 0 is nan",
    ),
    "infinite sample_weight": (
        lambda: en.TripletMargin()(logits(2, 2), logits(2, 2), logits(2, 2), sample_weight=[np.inf, 1.0]),
        en.DataError,
        "TripletMargin: the weight of sample 0 is inf",
    ),
    "sample_weight of zeros": (
        lambda: en.Hinge()(logits(2, 2), [0, 1], sample_weight=np.zeros(2, int)),
        en.DataError,
        "Hinge: the sample weights are all 0, and a mean divides by their sum",
    ),
    "reduction": (
        lambda: en.CrossEntropy(reduction="average"),
        en.UnknownNameError,
        "CrossEntropy: reduction 'average' is unknown; .*Known: mean, none, sum",
    ),
    "margin": (lambda: en.Hinge(margin=0), en.ArgumentError, "Hinge: margin 0 was given; it is a number above 0"),
    "triplet margin": (lambda: en.TripletMargin(margin=math.nan), en.ArgumentError, "margin nan was given"),
    "delta": (lambda: en.Huber(delta=-1.0), en.ArgumentError, "Huber: delta -1.0 was given"),
    "delta of a string": (lambda: en.Huber(delta="1"), en.ArgumentError, "delta '1' was given"),
    "factor": (lambda: en.SquaredError(factor=True), en.ArgumentError, "factor True was given"),
    "no units": (lambda: en.Loss()(logits(1, 1), [[0.0]]), NotImplementedError, "Loss: define unit_losses"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_one_line(name):
    call, error, text = REFUSED[name]
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_two_devices_are_refused(fake_device):
    here, there = logits(2, 3), en.tensor(np.zeros((2, 3), "float32"), device=fake_device)
    for loss, prediction, target in (
        (en.MeanSquaredError(), here, there),
        (en.MeanSquaredError(), there, here),
        (en.CrossEntropy(), here, en.tensor([0, 1], device=fake_device)),
    ):
        with pytest.raises(en.DeviceError, match=r"target is on .*, prediction on .*; move it with"):
            loss(prediction, target)
    with pytest.raises(en.DeviceError, match="sample_weight is on"):
        en.MeanSquaredError()(here, np.zeros((2, 3)), sample_weight=en.tensor([1.0, 1.0], device=fake_device))


def test_weights_of_zero_are_allowed_where_nothing_is_divided_by_them():
    for reduction in ("sum", "none"):
        loss = en.MeanSquaredError(reduction=reduction)(logits(2, 1), [[1.0], [1.0]], sample_weight=[0.0, 0.0])
        assert loss.numpy().sum() == 0
    assert en.MeanSquaredError()(logits(2, 1), [[1.0], [2.0]], sample_weight=[True, False]).item() == 1


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (en.CrossEntropy(), np.array([0, 1])),
        (en.CrossEntropy(class_weight=[1.0, 2.0]), np.array([0, 1])),
        (en.CrossEntropy(), np.eye(2, dtype="float32")),
        (en.MeanSquaredError(), np.ones((2, 2), "float32")),
        (en.BinaryCrossEntropy(from_logits=True), np.ones((2, 2), "float32")),
        (en.Logistic(), np.ones((2, 2), "float32")),
        (en.SquaredError(), np.ones((2, 2), "float32")),
    ],
)
def test_a_target_that_is_filled_anew_before_backward_changes_nothing(loss, target):
    """A buffer of the user's, taken for the next batch already."""
    gradients = []
    for refilled in (False, True):
        z = en.tensor(np.arange(4, dtype="float32").reshape(2, 2), requires_grad=True)
        given, weight = target.copy(), np.array([1.0, 3.0], "float32")
        value = loss(z, given, sample_weight=weight)
        if refilled:
            given[:], weight[:] = 1 - given, 0
        value.backward()
        gradients.append(z.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_targets_in_another_byte_order():
    z = en.tensor(np.zeros((2, 1)))
    assert en.MeanSquaredError()(z, np.array([[1.0], [2.0]], ">f8")).item() == 2.5
    assert en.CrossEntropy()(logits(2, 3), np.array([0, 1], ">i4")).item() == pytest.approx(math.log(3))


def test_targets_go_where_the_prediction_is(backend):
    z = en.tensor(np.zeros((2, 3)), device=backend)
    for target in (
        np.zeros((2, 3)),
        np.zeros((2, 3), "float32"),
        np.zeros((2, 3), int),
        [[0, 0, 0]] * 2,
        [[0.0] * 3] * 2,
    ):
        loss = en.MeanSquaredError()(z, target)
        assert loss.backend is backend
        assert loss.dtype == "float64"
    bits = en.tensor([[True, False, True]] * 2, device=backend)
    assert en.BinaryCrossEntropy(from_logits=True)(z, bits).item() == pytest.approx(math.log(2))
