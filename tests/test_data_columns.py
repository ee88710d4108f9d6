"""Do a table's columns become the right numbers: filled, one for each category, targets as labels?"""

import json

import numpy as np
import pytest

from engine.data.columns import Columns
from engine.data.formats import delimited
from engine.data.table import Table
from engine.data.targets import Target
from engine.errors import ArgumentError, DataError, UnknownNameError

NAN = float("nan")


def table(name="pets.csv", /, **columns):
    rows = len(next(iter(columns.values())))
    return Table(name, list(columns), columns, range(2, rows + 2), True)


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


PETS = table(age=[3, 5, 4, 9], kind=["dog", "cat", "dog", "emu"], weight=[30.5, 4.0, 28.0, 40.0])


def test_features_by_hand():
    columns = Columns.fit(PETS, ["weight", "kind", 0])
    assert columns.inputs == ("weight", "kind", "age")
    assert columns.feature_names == ("weight", "kind=cat", "kind=dog", "kind=emu", "age")
    assert columns.numeric.tolist() == [True, False, False, False, True]
    assert repr(columns) == "Columns(3 columns, 5 features)"
    features = columns(PETS)
    assert features.dtype == np.float64
    expected = [[30.5, 0, 1, 0, 3], [4, 1, 0, 0, 5], [28, 0, 1, 0, 4], [40, 0, 0, 1, 9]]
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(columns(PETS.take([3, 0])), [expected[3], expected[0]])


def test_more_rows_than_are_put_together_at_a_time():
    chance = np.random.default_rng(0)
    x, t = chance.normal(size=(10_000, 3)), chance.integers(0, 5, 10_000)
    rows = table(a=x[:, 0], t=objects(*(f"t{one}" for one in t)), b=x[:, 1], c=x[:, 2])
    features = Columns.fit(rows, rows.names)(rows)
    np.testing.assert_array_equal(features[:, [0, 6, 7]], x)
    np.testing.assert_array_equal(features[:, 1:6], np.eye(5)[t])


@pytest.mark.parametrize(
    ("impute", "number", "text"), [("mean", 4.0, "b"), ("median", 2.5, "b"), ("most-frequent", 2.0, "b")]
)
def test_missing_cells_are_filled(impute, number, text):
    rows = table(x=[2, NAN, 2, 3, 9, NAN], t=["b", "b", "a", "c", None, "a"])
    columns = Columns.fit(rows, ["x", "t"], impute)
    features = columns(rows)
    np.testing.assert_array_equal(features[:, 0], [2, number, 2, 3, 9, number])
    np.testing.assert_array_equal(features[4, 1:], [1, 0, 0])  # of a and b, which are there twice, the first one
    later = columns(table(x=[NAN, 7.0], t=objects(None, "b")))
    np.testing.assert_array_equal(later, [[number, 1, 0, 0], [7, 0, 1, 0]])
    # complete when it was fitted: filled later all the same
    np.testing.assert_array_equal(Columns.fit(PETS, ["kind"], impute)(table(kind=objects(None))), [[0, 1, 0]])
    assert Columns.fit(table(x=[5, 5, 1, 1]), ["x"], "most-frequent")(table(x=[NAN]))[0, 0] == 1  # the smaller one


def test_missing_cells_are_refused():
    rows = table(x=[1, 2, NAN], t=objects("a", None, "a"))
    message = (
        r"^pets\.csv, line 3, column 't': the cell is empty; every input needs a value\. Fill it with impute=\"mean\", "
        r'"median" or "most-frequent", or leave the column out with ignore=\["t"\]\.$'
    )
    with pytest.raises(DataError, match=message):
        Columns.fit(rows, ["x", "t"])
    columns = Columns.fit(PETS, ["age", "kind"])
    with pytest.raises(DataError, match=r"new\.csv, line 3, column 'age': the cell is empty"):
        columns(table("new.csv", age=[1, NAN], kind=["dog", "cat"]))
    with pytest.raises(DataError, match="shown, line 2, column 'kind': the cell is empty"):
        columns(table("shown", age=[1, 2], kind=objects(None, "cat")))
    with pytest.raises(DataError, match=r"column 'x' has no value; .* Leave the column out with ignore=\[\"x\"\]"):
        Columns.fit(table(x=[NAN, NAN]), ["x"], "mean")


def test_a_category_that_was_not_there_is_zeros_and_one_warning():
    columns = Columns.fit(PETS, ["kind", "age"])
    later = table("new.csv", kind=["cow", "cat", "ant", "cow"], age=[1, 2, 3, 4])
    with pytest.warns(
        UserWarning, match="new.csv: column 'kind' has 'ant', 'cow' in 3 rows; the training had no"
    ) as seen:
        features = columns(later)
    assert len(seen) == 1
    np.testing.assert_array_equal(features, [[0, 0, 0, 1], [1, 0, 0, 2], [0, 0, 0, 3], [0, 0, 0, 4]])


def test_what_is_no_feature():
    many = 1_001
    words = objects(*(f"w{row % many}" for row in range(2 * many)))
    with pytest.raises(DataError, match=r"'t' has 1001 different texts in 2002 rows; .*1,000.*ignore=\[\"t\"\]"):
        Columns.fit(table(t=words), ["t"])
    with pytest.raises(DataError, match=r"column 'id' has 3 different texts in 3 rows"):
        Columns.fit(table(id=["a", "b", "c"]), ["id"])
    assert len(Columns.fit(table(t=objects(*(f"w{row % 1000}" for row in range(1001)))), ["t"]).feature_names) == 1000
    with pytest.raises(DataError, match="0 input columns, 4 rows; at least one each"):
        Columns.fit(PETS, [])
    with pytest.raises(UnknownNameError, match="no column 'agee'; did you mean 'age'"):
        Columns.fit(PETS, ["agee"])
    with pytest.raises(UnknownNameError, match="imputation 'meen' is unknown; did you mean mean"):
        Columns.fit(PETS, ["age"], "meen")


def test_another_table():
    columns = Columns.fit(PETS, ["age", "kind"])
    with pytest.raises(DataError, match=r"it has no column 'kind'; the training had 'age', 'kind'\."):
        columns(PETS.chosen(["age", "weight"]))
    with pytest.raises(DataError, match="line 3, column 'age': the cell is 'old'; the training had numbers here"):
        Columns.fit(PETS, ["age"], "mean")(table(age=objects(None, "old")))
    filled = Columns.fit(PETS, ["age"], "mean")
    np.testing.assert_array_equal(filled(table(age=objects(None, None))), [[5.25], [5.25]])
    # categories that look like numbers, in a file where all do
    codes = Columns.fit(table(code=["1", "x", "2.5", "x"]), ["code"])
    np.testing.assert_array_equal(codes(table(code=[2.5, 1.0])), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize("impute", [None, "mean", "most-frequent"])
def test_columns_are_stored_and_built_again(impute):
    columns = Columns.fit(PETS, PETS.names, impute)
    again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    assert again.feature_names == columns.feature_names
    np.testing.assert_array_equal(again.numeric, columns.numeric)
    np.testing.assert_array_equal(again(PETS), columns(PETS))
    if impute is not None:
        empty = table(age=[NAN], kind=objects(None), weight=[NAN])
        np.testing.assert_array_equal(again(empty), columns(empty))


TASKS = [
    # columns, task that is asked for, task that is found, class names, targets
    ({"y": ["b", "a", "b"]}, None, "binary", ("a", "b"), [1, 0, 1]),
    ({"y": ["b", "a", "c"]}, None, "multiclass", ("a", "b", "c"), [1, 0, 2]),
    ({"y": ["b", "a", "b"]}, "multiclass", "multiclass", ("a", "b"), [1, 0, 1]),
    ({"y": [4, 2, 2, 4]}, None, "binary", ("2", "4"), [1, 0, 0, 1]),
    ({"y": [10, -1, 2, 2, -1, 10]}, None, "multiclass", ("-1", "2", "10"), [2, 0, 1, 1, 0, 2]),
    ({"y": [1, 2, 3]}, None, "regression", None, [[1], [2], [3]]),  # fewer than two rows a value
    ({"y": [1, 2, 3]}, "multiclass", "multiclass", ("1", "2", "3"), [0, 1, 2]),
    ({"y": [0, 0, 0.5, 0.5]}, None, "regression", None, [[0], [0], [0.5], [0.5]]),
    ({"y": [1, 0, 1, 0]}, "regression", "regression", None, [[1], [0], [1], [0]]),
    ({"y": list(range(21)) * 3}, None, "regression", None, [[value] for value in list(range(21)) * 3]),
    ({"y": list(range(20)) * 3}, None, "multiclass", tuple(map(str, range(20))), list(range(20)) * 3),
    ({"y": [1, 0], "z": [0, 0]}, None, "multilabel", ("y", "z"), [[1, 0], [0, 0]]),
    ({"y": [1, 0], "z": [0, 2]}, None, "regression", None, [[1, 0], [0, 2]]),
    ({"y": [1, 0], "z": [0, 1]}, "regression", "regression", None, [[1, 0], [0, 1]]),
    ({"y": [1, 0, 0]}, "multilabel", "multilabel", ("y",), [[1], [0], [0]]),
    ({"y": [3, 3]}, "regression", "regression", None, [[3], [3]]),
]


@pytest.mark.parametrize(("columns", "asked", "task", "class_names", "expected"), TASKS)
def test_targets_by_hand(columns, asked, task, class_names, expected):
    rows = table(**columns)
    fitted = Target.fit(rows, list(columns), asked)
    for target in (fitted, Target.from_dict(json.loads(json.dumps(fitted.to_dict())))):
        assert (target.task, target.class_names, target.names) == (task, class_names, tuple(columns))
        y = target(rows)
        assert y.dtype == (np.float64 if task == "regression" else np.int64)
        np.testing.assert_array_equal(y, np.array(expected))
    assert task in repr(fitted)


BAD_TARGETS = [
    ({"y": ["a", None]}, None, r"pets\.csv, line 3, column 'y': the cell is empty; every row needs its target"),
    ({"y": [1.0, NAN]}, "regression", "line 3, column 'y': the cell is empty"),
    ({"y": ["a", "a"]}, None, "column 'y' is 'a' in all rows; at least 2 classes are needed"),
    ({"y": [1, 1]}, None, "column 'y' is '1' in all rows"),
    ({"y": ["a", "b"]}, "regression", "line 2, column 'y': the cell is 'a'; the task \"regression\" needs numbers"),
    ({"y": ["a", "b", "c"]}, "binary", "column 'y' has 3 classes .* Use task=\"multiclass\""),
    (
        {"y": [0, 0.5]},
        "multiclass",
        r"line 3, .* the cell is 0\.5; classes are whole numbers or texts\. .*text=\[\"y\"\]",
    ),
    ({"y": [0, 2]}, "multilabel", 'line 3, .* the cell is 2; labels of the task "multilabel" are 0 or 1'),
    ({"y": ["a", "b"]}, "multilabel", "the cell is 'a'; labels"),
    ({"y": [0, 1], "z": ["a", "b"]}, None, "line 2, column 'z': the cell is 'a'; several targets are numbers"),
    ({"y": [0, 1], "z": [0, 1]}, "binary", r"2 target columns \('y', 'z'\); the task 'binary' has one"),
]


@pytest.mark.parametrize(("columns", "task", "message"), BAD_TARGETS)
def test_targets_that_are_refused(columns, task, message):
    columns = {name: objects(*cells) if None in cells else cells for name, cells in columns.items()}
    with pytest.raises(DataError, match=message):
        Target.fit(table(**columns), list(columns), task)


def test_what_is_no_target():
    with pytest.raises(UnknownNameError, match="task 'regresion' is unknown; did you mean regression"):
        Target.fit(PETS, ["age"], "regresion")
    with pytest.raises(ArgumentError, match="one column or several different ones"):
        Target.fit(PETS, [])
    with pytest.raises(ArgumentError, match="one column or several different ones"):
        Target.fit(PETS, ["age", 0])
    assert Target.fit(PETS, [-1]).names == ("weight",)


def test_targets_of_another_table():
    target = Target.fit(PETS, ["kind"])
    np.testing.assert_array_equal(target(table(kind=["emu", "cat"])), [2, 0])
    unknown = r"^new, line 3, column 'kind': the class 'cow' is none of the training's; they are 'cat', 'dog', 'emu'\."
    with pytest.raises(DataError, match=unknown):
        target(table("new", kind=["cat", "cow"]))
    with pytest.raises(DataError, match="no column 'kind'"):
        target(PETS.chosen(["age"]))
    with pytest.raises(DataError, match="line 2, column 'kind': the cell is empty"):
        target(table(kind=objects(None, "cat")))
    numbers = Target.fit(table(y=[4, 2, 2, 4]), ["y"])
    np.testing.assert_array_equal(numbers(table(y=["2", "4"])), [0, 1])  # read as texts
    with pytest.raises(DataError, match=r"the class '3\.5' is none of the training's"):
        numbers(table(y=[2, 3.5]))
    price = Target.fit(PETS, ["weight"])
    with pytest.raises(DataError, match="the cell is 'heavy'; the training had numbers here"):
        price(table(weight=["heavy", "light"]))
    labels = Target.fit(table(y=[0, 1], z=[1, 1]), ["y", "z"])
    with pytest.raises(DataError, match="line 3, column 'z': the cell is 2; the training had 0 and 1 here"):
        labels(table(y=[0, 1], z=[0, 2]))


# -- real files ------------------------------------------------------------------------------------------


def test_california(real_data):
    housing = delimited.read(real_data / "uci" / "california_housing.csv")
    inputs = [name for name in housing.names if name != "median_house_value"]
    first = int(np.isnan(housing.columns["total_bedrooms"]).argmax())
    with pytest.raises(DataError, match=f"line {first + 2}, column 'total_bedrooms': the cell is empty"):
        Columns.fit(housing, inputs)
    features = Columns.fit(housing, inputs, "median")(housing)
    assert features.shape == (20640, 8 + 5)
    assert np.isfinite(features).all()
    assert features[first, 4] == np.nanmedian(housing.columns["total_bedrooms"])
    np.testing.assert_array_equal(features[:, 8:].sum(axis=1), 1)
    prices = Target.fit(housing, ["median_house_value"])
    assert prices.task == "regression"
    assert prices(housing)[:2].tolist() == [[452600], [358500]]


@pytest.mark.parametrize(
    ("name", "column", "classes", "counts"),
    [
        ("uci/iris.data", -1, ("Iris-setosa", "Iris-versicolor", "Iris-virginica"), [50, 50, 50]),
        ("uci/breast-cancer-wisconsin.data", -1, ("2", "4"), [458, 241]),
        ("uci/wine.data", 0, ("1", "2", "3"), [59, 71, 48]),
        ("uci/wdbc.data", 1, ("B", "M"), [357, 212]),
        ("formats/penguins.csv", "species", ("Adelie", "Chinstrap", "Gentoo"), [152, 68, 124]),
    ],
)
def test_real_classes(real_data, name, column, classes, counts):
    rows = delimited.read(real_data / name)
    target = Target.fit(rows, [column])
    assert target.class_names == classes
    assert target.task == ("binary" if len(classes) == 2 else "multiclass")
    assert np.bincount(target(rows)).tolist() == counts
