"""Are shapes, axes, indices and dtypes that do not fit refused, by one line that names them?"""

import numpy as np
import pytest

import engine as en
from engine.operations import arithmetic, linear


def ones(*shape, dtype="float32"):
    return en.tensor(np.ones(shape, dtype))


REFUSED = {
    "broadcast": (lambda: ones(2) + ones(3), en.ShapeError, r"\+: shapes \(2,\) and \(3,\) do not fit"),
    "matmul": (lambda: ones(2, 3) @ ones(2, 3), en.ShapeError, r"@: shapes \(2, 3\) and \(2, 3\) do not fit"),
    "matmul of a number": (lambda: ones() @ ones(3), en.ShapeError, "@: shapes"),
    "stacks": (lambda: ones(2, 1, 3) @ ones(3, 3, 1), en.ShapeError, "the stacks of"),
    "mm": (lambda: ones(2, 2, 2).mm(ones(2, 2)), en.ShapeError, "both must be matrices"),
    "mm of a vector": (lambda: ones(2, 2).mm(ones(2)), en.ShapeError, "both must be matrices"),
    "mm of a list": (lambda: ones(2, 2).mm([1.0, 2.0]), en.ShapeError, "both must be matrices"),
    "reshape": (lambda: ones(2, 3).reshape(4), en.ShapeError, "6 elements, which do not fill"),
    "reshape -1": (lambda: ones(2, 3).reshape(-1, 4), en.ShapeError, "do not fill"),
    "reshape two -1": (lambda: ones(2, 3).reshape(-1, -1), en.ShapeError, "do not fill"),
    "reshape -2": (lambda: ones(2, 3).reshape(-2, -3), en.ShapeError, "reshape"),
    "reshape float": (lambda: ones(2, 3).reshape(2.0, 3), en.ShapeError, "whole numbers"),
    "transpose": (lambda: ones(2, 3).transpose(0), en.ShapeError, "name each of its 2 axes"),
    "transpose twice": (lambda: ones(2, 3).transpose(0, 0), en.ArgumentError, "names an axis twice"),
    "transpose axis": (lambda: ones(2, 3).transpose(0, 2), en.ShapeError, "allowed are -2 to 1"),
    "axis": (lambda: ones(2, 3).sum(axis=2), en.ShapeError, "sum: axis 2 was given for shape"),
    "axis type": (lambda: ones(2, 3).sum(axis="rows"), en.EngineError, "axis"),
    "axis float": (lambda: ones(2, 3).sum(axis=1.0), en.EngineError, "axis"),
    "axis twice": (lambda: ones(2, 3).mean(axis=(0, -2)), en.ArgumentError, "twice"),
    "softmax axis": (lambda: ones(2, 3).softmax(axis=5), en.ShapeError, "softmax: axis 5"),
    "index": (lambda: ones(2, 3)[5], en.ShapeError, "does not fit shape"),
    "too many indices": (lambda: ones(2, 3)[0, 0, 0], en.ShapeError, "does not fit shape"),
    "index of floats": (lambda: ones(2, 3)[ones(2)], en.ShapeError, "does not fit shape"),
    "mask shape": (lambda: ones(2, 3)[ones(3, dtype=bool)], en.ShapeError, "does not fit shape"),
    "broken index pair": (lambda: ones(2, 3)[[0, 1], [0, 1, 2]], en.ShapeError, "does not fit shape"),
    "concatenate": (lambda: en.concatenate([ones(2, 3), ones(2, 4)]), en.ShapeError, "differ outside axis 0"),
    "concatenate ranks": (lambda: en.concatenate([ones(2, 3), ones(2)]), en.ShapeError, "concatenate"),
    "concatenate nothing": (lambda: en.concatenate([]), en.ArgumentError, "one tensor or more"),
    "concatenate a tensor": (lambda: en.concatenate(ones(2)), en.ArgumentError, "list of one tensor or more"),
    "concatenate dtypes": (
        lambda: en.concatenate([ones(2), ones(2, dtype="float64")]),
        en.DtypeError,
        "float32 .*float64",
    ),
    "stack": (lambda: en.stack([ones(2), ones(3)]), en.ShapeError, "they must be equal"),
    "stack axis": (lambda: en.stack([ones(2)], axis=3), en.ShapeError, "stack: axis 3"),
    "where of numbers": (lambda: en.where(ones(2), 1.0, 2.0), en.ShapeError, "must be of bools"),
    "clip without bounds": (lambda: ones(2).clip(), en.ShapeError, "no bound was given"),
    "exp of ints": (lambda: en.tensor([1, 2]).exp(), en.DtypeError, r"exp: a tensor of int64"),
    "mean of ints": (lambda: en.tensor([1, 2]).mean(), en.DtypeError, "mean: a tensor of int64"),
    "division of ints": (lambda: en.tensor([1, 2]) / 2, en.DtypeError, "/: a tensor of int64"),
    "a string": (lambda: ones(2) + "a", en.DtypeError, "a tensor meets 'a'"),
    "None": (lambda: ones(2) * None, en.DtypeError, "a tensor meets None"),
    "comparison shapes": (lambda: ones(2) < ones(3), en.ShapeError, "less: shapes"),
    "no tensor": (lambda: en.apply(arithmetic.ADD, 1.0, 2.0), en.DtypeError, "no input is a Tensor"),
    "linear": (lambda: en.apply(linear.LINEAR, ones(2, 3), ones(4, 2), None), en.ShapeError, "must be 4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_one_line(name):
    call, error, text = REFUSED[name]
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)
