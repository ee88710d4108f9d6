"""Are batches complete, reproducible, resumable, and refused where they cannot be made?"""

import numpy as np
import pytest

import backends
from engine.data import Batches, Dataset, Noise, batches
from engine.data.batches import Gatherer
from engine.data.rows import Rows
from engine.errors import ArgumentError, DataError, DeviceError, DtypeError
from engine.tensor import Tensor


def _data(samples: int = 10) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(2.0 * samples, dtype=np.float32).reshape(samples, 2), np.arange(samples)


def _rows(made: Batches) -> list[list[int]]:
    return [labels.numpy().tolist() for _, labels in made]


def test_a_pass_shows_every_sample_once_with_its_own_target():
    x, y = _data()
    seen = []
    for features, labels in batches((x, y), batch_size=3):
        assert isinstance(features, Tensor)
        assert features.device == "cpu"
        np.testing.assert_array_equal(features.numpy(), x[labels.numpy()])
        assert (features.dtype, labels.dtype) == (np.float32, np.int64)
        seen += labels.tolist()
    assert sorted(seen) == list(range(10))
    assert seen != list(range(10))


def test_the_order_is_the_documented_function_of_seed_and_pass():
    made = batches(_data(), batch_size=4, seed=7)
    for number in range(3):
        expected = np.random.Generator(np.random.PCG64([7, number])).permutation(10)
        assert sum(_rows(made), []) == expected.tolist()  # noqa: RUF017  # three short lists
        np.testing.assert_array_equal(made.order(number), expected)
    assert made.passes == 3


def test_passes_differ_seeds_differ_and_both_repeat():
    first, again, other = (batches(_data(50), 8, seed=seed) for seed in (0, 0, 1))
    passes = [_rows(first), _rows(first)]
    assert passes[0] != passes[1]
    assert passes == [_rows(again), _rows(again)]
    assert _rows(other) != passes[0]


def test_a_run_goes_on_after_passes_and_within_a_pass():
    whole = batches(_data(), 3, seed=5)
    expected = [_rows(whole) for _ in range(3)]
    resumed = batches(_data(), 3, seed=5, passes=2)
    assert _rows(resumed) == expected[2]
    resumed.passes, resumed.skip = 1, 2
    assert _rows(resumed) == expected[1][2:]
    assert (resumed.passes, resumed.skip) == (2, 0)
    assert _rows(resumed) == expected[2]


def test_passes_count_from_their_start_so_that_two_at_once_differ():
    made = batches(_data(50), 10)
    one, two = iter(made), iter(made)
    assert made.passes == 2
    assert next(one)[1].tolist() != next(two)[1].tolist()


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "sizes"),
    [
        (4, False, [4, 4, 2]),
        (4, True, [4, 4]),
        (5, True, [5, 5]),
        (1, False, [1] * 10),
        (10, False, [10]),
        (64, False, [10]),
        (64, True, [10]),
        ("all", False, [10]),
        (np.int64(6), False, [6, 4]),
    ],
)
def test_sizes(batch_size, drop_last, sizes):
    made = batches(_data(), batch_size, drop_last=drop_last)
    assert [len(rows) for rows in _rows(made)] == sizes
    assert len(made) == len(sizes)


def test_without_shuffling_and_in_one_batch_the_stored_order_is_kept():
    assert _rows(batches(_data(), 4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert _rows(batches(_data(), "all")) == [list(range(10))]


@pytest.mark.parametrize("options", [{"shuffle": False}, {"batch_size": "all"}, {}])
def test_no_batch_can_change_the_data(options):
    x, y = _data()
    before = x.copy()
    for features, _ in batches((x, y), **({"batch_size": 4} | options)):
        if features.array.flags.writeable:
            features.array[:] = -1
    np.testing.assert_array_equal(x, before)
    assert x.flags.writeable


def test_one_array_gives_one_tensor_and_three_give_three():
    x, y = _data()
    assert [part.shape for part in batches(x, 4)] == [(4, 2), (4, 2), (2, 2)]
    for first, second, third in batches((x, x * 2, y), 4):
        np.testing.assert_array_equal(first.numpy() * 2, second.numpy())
        np.testing.assert_array_equal(first.numpy()[:, 0] / 2, third.numpy())


def test_lists_images_and_data_sets():
    assert [part.tolist() for part in batches([[1.0, 2.0], [3.0, 4.0]], 1, shuffle=False)] == [[[1, 2]], [[3, 4]]]
    images = np.zeros((6, 4, 4, 3), np.uint8)
    assert [part.shape for part in batches(images, 4)] == [(4, 4, 4, 3), (2, 4, 4, 3)]
    data = Dataset(*_data())
    assert _rows(batches(data, 4)) == _rows(batches(_data(), 4))


def test_tensors_are_gathered_on_their_device():
    x, y = _data()
    made = batches((Tensor(x), Tensor(y)), 4, seed=3)
    for features, labels in made:
        np.testing.assert_array_equal(features.numpy(), x[labels.numpy()])
    other = backends.Backend("other", "other:0", np)
    with pytest.raises(DeviceError, match="x is on other:0, the batches are for cpu"):
        batches((Tensor.wrap(x, other), y))


def test_floats_are_converted_and_integers_kept():
    for features, labels in batches(_data(), 4, dtype="float64"):
        assert (features.dtype, labels.dtype) == (np.float64, np.int64)
    assert next(iter(batches(np.zeros((3, 2), np.uint8), dtype="float64"))).dtype == np.uint8
    with pytest.raises(DtypeError, match="dtype"):
        batches(_data(), dtype="text")


def test_a_file_larger_than_memory_stays_on_the_disk(tmp_path):
    x, y = _data()
    np.save(tmp_path / "x.npy", x)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    for features, labels in batches((stored, y), 4):
        np.testing.assert_array_equal(features.numpy(), x[labels.numpy()])


class _OtherDevice(backends.Backend):
    """The host's memory under another name, as a device that arrays must be brought to."""

    def __init__(self, free: int) -> None:
        super().__init__("other", "other:0", np)
        self.free, self.copied = free, 0

    def asarray(self, values, dtype=None):
        self.copied += np.asarray(values).nbytes
        return np.array(values, dtype).view(_OtherArray)

    def owns(self, array):
        return isinstance(array, _OtherArray)

    def to_host(self, array):
        return array.view(np.ndarray)

    def memory(self):
        return {"held": 0, "free": self.free}


class _OtherArray(np.ndarray):
    """An array of the other device."""


@pytest.mark.parametrize("free", [0, 1 << 20])
def test_another_device_gets_the_same_order(free):
    device = _OtherDevice(free)
    x, y = _data(100)
    expected = batches((x, y), 32, seed=2)
    made = batches((x, y), 32, seed=2, device=device)
    for _ in range(2):
        assert _rows(made) == _rows(expected)
    once = x.nbytes + y.nbytes
    assert device.copied >= once if free else device.copied == 2 * once


def test_tensors_on_another_device_are_gathered_there():
    device = _OtherDevice(0)
    x, y = _data(9)
    made = batches(tuple(Tensor.wrap(device.asarray(part), device) for part in (x, y)), 4, device=device)
    assert _rows(made) == _rows(batches((x, y), 4))
    with pytest.raises(DataError, match="y has shape"):
        batches((x, Tensor(np.zeros((0,)))))


@pytest.mark.parametrize("batch_size", [0, -1, "foo", 2.5, True, None, "ALL", [4]])
def test_a_batch_size_that_is_none_is_refused(batch_size):
    with pytest.raises(ArgumentError, match=r'batch_size .* was given; allowed are whole numbers from 1 and "all"'):
        batches(_data(), batch_size)


@pytest.mark.parametrize("option", [{"seed": -1}, {"seed": 0.5}, {"passes": -1}])
def test_seeds_and_passes_that_are_none_are_refused(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        batches(_data(), **option)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((), "empty tuple"),
        ((np.zeros((3, 2)), np.zeros(4)), "x has 3 samples, y 4"),
        (np.zeros((0, 2)), "shape \\(0, 2\\); at least one sample"),
        (np.float64(1.0), "shape \\(\\); at least one sample"),
        ((np.array([[1.0], [np.nan]]), np.zeros(2)), "x is nan at row 1, column 0"),
        ((np.zeros((2, 1)), np.array([0, np.inf])), "y is inf at row 1 "),
        (np.array(["a", "b"]), "ndarray of <U1"),
    ],
)
def test_data_that_cannot_be_batched_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        batches(data)


def test_repr():
    assert repr(batches(_data(), 4)) == "Batches(3 of 4, 10 samples, on cpu)"


@pytest.mark.parametrize("size", [1, 4, 7, "all"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
def test_batches_gathered_by_their_rows_are_the_same(size, shuffle, kind, backend, monkeypatch):
    monkeypatch.setattr(backend, "memory", lambda: {"free": 1 << 20})  # a device that holds the data
    x, y, weights = np.arange(44).reshape(11, 2, 2).astype(kind), np.arange(11) % 3, np.linspace(0, 1, 11)
    made = [
        Batches((x, y, weights), size, seed=3, shuffle=shuffle, dtype="float32", device=backend.device)
        for _ in range(2)
    ]
    gatherer = Gatherer()
    gatherer.batches = made[1]
    assert made[1].gatherable
    for skip in (0, 1, 0):
        for one in made:
            one.skip = skip
        expected = [[part.numpy() for part in batch] for batch in made[0]]
        given = [[part.numpy() for part in gatherer.batch(rows)] for rows in made[1].rows()]
        assert len(expected) == len(given)
        for batch, other in zip(expected, given, strict=True):
            for part, same in zip(batch, other, strict=True):
                assert (part.dtype, part.shape, part.tobytes()) == (same.dtype, same.shape, same.tobytes())
    (_, alone) = gatherer.batch(next(made[1].rows()), first=1)
    assert alone.dtype == "float32"
    assert made[0].passes == 3


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_whole_set_is_laid_out_as_it_is_when_iterated(order, kind, backend, monkeypatch):
    monkeypatch.setattr(backend, "memory", lambda: {"free": 1 << 20})  # a device that holds the data
    x = np.arange(24.0).reshape(2, 3, 4).astype(kind).transpose(np.argsort(order))
    made = [Batches((x, np.arange(len(x))), "all", dtype="float32", device=backend.device) for _ in range(2)]
    gatherer = Gatherer()
    gatherer.batches = made[1]
    (rows,) = made[1].rows()
    ((expected, _),) = made[0]
    given, _ = gatherer.batch(rows)
    assert given.array.strides == expected.array.strides  # which decide the last bits of a product
    np.testing.assert_array_equal(given.numpy(), x.astype("float32"))


def test_what_is_not_gathered_by_rows(tmp_path):
    x, y = np.asarray(np.arange(44.0).reshape(11, 4), order="F"), np.arange(11)
    np.save(tmp_path / "x.npy", x)
    rows = Rows(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert not Batches((rows, y), 4).gatherable
    assert not Batches((x, y), 4, augment=[Noise(0.1)]).gatherable
    assert not Batches((x, y), 4, shuffle=False).gatherable  # views, whose strides decide the last bits of a product
    assert Batches((x, y), 4).gatherable
    assert Batches((x, y), "all").gatherable
