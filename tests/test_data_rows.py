"""Do rows of a file give what the array itself would, in every place where data goes, without being in memory?"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engine as en
from engine.data import Batches, Dataset, Rows, Scale, Standardize, preparation, split
from engine.data.dataset import check_finite
from engine.errors import ArgumentError, DataError, DtypeError


@pytest.fixture(params=["array", "file"])
def stored(request, tmp_path):
    """37 samples of 5 features, in memory and in a file."""
    x = np.random.default_rng(0).normal(3.0, 2.0, (37, 5)).astype(np.float32)
    if request.param == "array":
        return x
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


MASK = np.arange(37) % 3 == 0
INDICES = [
    slice(None),
    slice(4, 20, 3),
    slice(None, None, -2),
    [3, 1, 1],
    np.array([-1, 0]),
    MASK,
    MASK.tolist(),
    MASK[:0].nonzero()[0],
]


@pytest.mark.parametrize("index", INDICES)
def test_rows_are_those_of_the_array(stored, index):
    """Taken at once, and from a part of a part; as they are, and prepared."""
    standardize = Standardize.fit(np.asarray(stored))
    plain, prepared = Rows(stored), Rows(stored).prepared([standardize])
    np.testing.assert_array_equal(plain[index], np.asarray(stored)[index])
    np.testing.assert_array_equal(prepared[index], standardize(np.asarray(stored)[index]))
    part = prepared.part(index)
    expected = np.asarray(stored)[index]
    assert (part.shape, part.dtype, part.ndim, part.size) == (expected.shape, np.float32, 2, expected.size)
    assert (len(part), part.nbytes) == (len(expected), expected.nbytes)
    np.testing.assert_array_equal(part[:], standardize(expected))
    np.testing.assert_array_equal(part.part(slice(1, None))[::-1], standardize(expected[1:])[::-1])
    assert isinstance(prepared[index], np.ndarray)
    assert not isinstance(prepared[index], np.memmap)


def test_parts_of_parts_columns_and_single_samples(stored):
    x = np.asarray(stored)
    rows = Rows(stored, [5, 0, 9, 30], columns=[4, 1])
    np.testing.assert_array_equal(rows[:], x[[5, 0, 9, 30]][:, [4, 1]])
    np.testing.assert_array_equal(rows.part([2, 0, 0])[[1, 2]], x[[5, 5]][:, [4, 1]])
    np.testing.assert_array_equal(rows[-1], x[30, [4, 1]])
    np.testing.assert_array_equal(Rows(stored, columns=[1, 2, 3]).part(slice(2, 5))[:], x[2:5, 1:4])
    np.testing.assert_array_equal(np.asarray(rows), rows[:])
    assert rows.index.dtype == np.int32
    assert rows.shape == (4, 2)
    assert repr(rows) == "Rows(float32(4, 2) of float32(37, 5))"


def test_dtypes():
    pixels = np.random.default_rng(1).integers(0, 256, (6, 2, 3), dtype=np.uint8)
    rows = Rows(pixels)
    assert (rows.dtype, rows[:2].dtype, rows.astype("int64")[:2].dtype) == (np.uint8, np.uint8, np.int64)
    scaled = rows.prepared([Scale(1 / 255), Scale(2.0)])
    np.testing.assert_allclose(scaled[:], pixels * (2 / 255), rtol=1e-6)
    double = scaled.astype("float64")
    np.testing.assert_allclose(double[1:], pixels[1:] * (2 / 255), rtol=1e-15)
    assert double.astype("float64", copy=False) is double
    assert rows.prepared([])[:2].dtype == np.float32
    assert Rows(pixels, preparation=[Scale(0.5)]).dtype == np.float32
    big_endian = Rows(np.arange(4, dtype=">i4").reshape(2, 2))
    assert big_endian.dtype.isnative
    assert big_endian[:].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: Rows(np.array(["a"])), ArgumentError, "Rows: an array of <U1 of shape"),
        (lambda: Rows(np.float64(1)), ArgumentError, r"of shape \(\) was given"),
        (lambda: Rows(np.zeros((3, 2)), columns=[2]), ArgumentError, r"columns \[2\] were given"),
        (lambda: Rows(np.zeros((3, 2, 2)), columns=[0]), ArgumentError, "an array with two axes"),
        (lambda: Rows(np.zeros((3, 2))).prepared([Scale(2.0)], "int64"), DtypeError, "int64 was given for prepared"),
        (lambda: Rows(np.zeros((3, 2)), [0, 3]), IndexError, "there are rows from 0 to 2"),
        (lambda: Rows(np.zeros((3, 2)))[[0.5]], IndexError, "allowed are a slice, whole numbers, and 3 of True"),
        (lambda: Rows(np.zeros((3, 2))).part([True, False]), IndexError, "allowed are a slice"),
        (lambda: Dataset(Rows(np.zeros((3, 2))), [0, 1, 1])[[7]], DataError, r"data\[\[7\]\]: rows are a slice"),
        (lambda: Dataset(Rows(np.zeros((3, 2))), [0, 1]), DataError, "x has 3 samples, y 2"),
        (lambda: Dataset(Rows(np.zeros((0, 2))), []), DataError, "at least one sample"),
    ],
)
def test_what_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_a_data_set_stays_in_its_file_and_gives_the_same_batches(stored):
    x, y = np.asarray(stored), np.arange(37) % 2
    parts = []
    for features in (Rows(stored), x):
        rest, held_out = split(Dataset(features, y), 0.3, seed=4)
        standardize = Standardize.fit(rest.x)
        parts.append([part.prepared([standardize]).astype("float32") for part in (rest, held_out)])
    for ours, theirs in zip(*parts, strict=True):
        assert isinstance(ours.x, Rows)
        assert isinstance(ours[3:].x, Rows)
        assert ours.preparation == theirs.preparation
        for options in ({}, {"shuffle": False}, {"batch_size": "all"}, {"dtype": "float64"}):
            for one, other in zip(Batches(ours, **options), Batches(theirs, **options), strict=True):
                assert one[0].dtype == other[0].dtype
                np.testing.assert_array_equal(one[0].numpy(), other[0].numpy())
                np.testing.assert_array_equal(one[1].numpy(), other[1].numpy())


def test_training_evaluation_and_prediction_are_the_same(stored, backend):
    x, y = np.asarray(stored), np.arange(37) % 2
    found = []
    for features in (Rows(stored).prepared([Scale(0.5)]), Scale(0.5)(x)):
        model = en.Linear(5, 2, generator=0)
        trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.SGD(model.parameters()), device=backend)
        history = trainer.fit(Dataset(features, y), epochs=2, batch_size=8, validation=(features, y))
        found.append((history["loss"], trainer.evaluate((features, y)), trainer.predict(features).tolist()))
    assert found[0] == found[1]


def test_a_row_that_is_not_finite_is_found_and_the_file_is_looked_through_once(monkeypatch):
    monkeypatch.setattr(preparation, "_BLOCK", 10)
    x = np.zeros((20, 2))
    x[13, 1] = np.inf
    with pytest.raises(DataError, match="data: x is inf at row 13, column 1"):
        Dataset(Rows(x), np.zeros(20))
    with pytest.raises(DataError, match="batches: x is inf at row 0, column 1"):
        Batches((Rows(x).part([13, 2]), np.zeros(2)))
    rows = Rows(x).part(np.arange(13))
    read = []
    whole = Rows.__getitem__
    monkeypatch.setattr(Rows, "__getitem__", lambda self, index: read.append(index) or whole(self, index))
    data = Dataset(rows, np.zeros(13))
    assert len(read) == 3  # 13 rows in blocks of 5
    for same in (rows, data.x, data[2:].x, data.prepared([Scale(2.0)]).x, rows.astype("float32"), data.x.part([1])):
        check_finite("again", "x", same)
        Batches(same)
    assert len(read) == 3
    check_finite("bytes", "x", Rows(np.zeros((9, 9), np.uint8)).prepared([Scale(2.0)]))
    assert len(read) == 3


def test_standardize_reads_a_file_once(stored, monkeypatch):
    monkeypatch.setattr(preparation, "_BLOCK", 50)
    taken = []
    whole = Rows.__getitem__
    monkeypatch.setattr(
        Rows, "__getitem__", lambda self, index: taken.append(len(range(37)[index])) or whole(self, index)
    )
    standardize = Standardize.fit(Rows(stored))
    assert sum(taken) == 37 + 1  # and the first row, which constant columns are compared with
    np.testing.assert_allclose(standardize.mean, np.asarray(stored, float).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(standardize.scale, np.asarray(stored, float).std(axis=0), rtol=1e-14)


TRAINING = """
import json, sys, threading, numpy as np, engine as en

def own():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1000

over, found = threading.Event(), []

def watch():
    while not over.wait(0.002):
        found.append(own())

x = np.load(sys.argv[1], mmap_mode="r")
x[:1024].sum(), np.random.default_rng(0).permutation(9)  # what is loaded at first use is not the data's
before = own()
thread = threading.Thread(target=watch, daemon=True)
thread.start()
data = en.data.Dataset(en.data.Rows(x), np.arange(len(x)) % 2)
train, test = en.data.split(data, 0.1)
standardize = en.data.Standardize.fit(train.x)
model = en.Sequential(en.Linear(data.features, 8, generator=0), en.ReLU(), en.Linear(8, 2, generator=1))
trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.Adam(model.parameters()), device="cpu")
trainer.fit(train.prepared([standardize]), epochs=1, batch_size=1024, validation=test.prepared([standardize]))
over.set()
thread.join()
print(json.dumps([before, max(found)]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own memory")
def test_a_file_of_300_megabytes_takes_no_100_megabytes_of_memory(tmp_path):
    """Of the process's own: the pages of the file do not count, which the system drops where memory is short."""
    block = np.random.default_rng(0).normal(5.0, 3.0, (15_000, 500)).astype(np.float32)
    with open(tmp_path / "x.npy", "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (150_000, 500)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(10):
            file.write(block.data)
    run = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path / "x.npy")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=Path(en.__file__).parent.parent,
    )
    before, most = json.loads(run.stdout)
    assert most - before < 100
