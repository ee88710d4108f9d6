"""Do batches of data that the device does not hold come whole and in order, ahead of their steps, and end cleanly?"""

import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import NO_GPU, make
from fake_device import FakeArray, FakeBackend
from test_trainer_recorded import net, samples

import backends
import engine as en
from backends.cuda import lane as cuda_lane
from backends.devices import _backends
from engine.data import Batches, Flip, Noise, feeding
from engine.data.rows import Rows
from engine.tensor import Tensor

WAYS = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "float64": {"dtype": "float64"},
    "one by one": {"batch_size": 1},
}


@pytest.fixture
def device(monkeypatch):
    """A fake GPU of a test's own, with no room for data; its copies come when somebody waits for them."""
    device = FakeBackend()
    device.device = "fake:fed"
    monkeypatch.setitem(_backends, device.device, device)
    yield device
    assert [one.name for one in threading.enumerate() if one.name.startswith("batches")] == []
    assert device.to_it.under_way == {}


def data(count=53):
    generator = np.random.default_rng(0)
    return generator.standard_normal((count, 6, 4), dtype="float32"), np.arange(count), generator.uniform(size=count)


def numbers(made):
    """Every batch of a pass, when the last one is there."""
    return [
        [(part.numpy().tobytes(), part.shape, part.dtype) for part in batch] for batch in [tuple(one) for one in made]
    ]


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_batches_are_those_of_the_cpu(device, way, pieces, monkeypatch):
    if pieces:  # several threads gather
        monkeypatch.setattr(feeding, "LEAST", 40)
        monkeypatch.setattr(feeding, "THREADS", 3)
    options = {"batch_size": 8, "seed": 3} | WAYS[way]
    ours, theirs = (Batches(data(), device=one, **options) for one in (device, "cpu"))
    for skip in (0, 2, len(ours) - 1, 0):
        ours.skip = theirs.skip = skip
        assert numbers(ours) == numbers(theirs)
    assert device.to_it.sent == 2 * len(ours) + len(ours) - 2  # a pass of one batch has nothing to be ahead of


def test_augmented_batches_of_data_here_and_there(device):
    x, y, weights = data()
    augment = (Flip(), Noise(0.1))
    theirs = Batches((x, y, weights), 8, augment=augment, device="cpu")
    ours = Batches((x, Tensor(y, device=device), weights), 8, augment=augment, device=device)
    for _ in range(2):
        for batch, other in zip(ours, theirs, strict=True):
            for part, same in zip(batch[1:], other[1:], strict=True):
                np.testing.assert_array_equal(part.numpy(), same.numpy())
            np.testing.assert_array_equal(batch[0].numpy(), other[0].numpy())
    assert all(type(part.array) is FakeArray for part in batch)


def test_rows_of_a_file_and_one_array_alone(device, tmp_path):
    x, _, _ = data()
    np.save(tmp_path / "x.npy", x)
    rows = Rows(np.load(tmp_path / "x.npy", mmap_mode="r"))
    for shuffle in (True, False):
        expected = [one.numpy() for one in Batches(x, 8, shuffle=shuffle)]
        found = [one.numpy() for one in Batches(rows, 8, shuffle=shuffle, device=device)]
        assert [one.tobytes() for one in found] == [one.tobytes() for one in expected]


def test_the_next_one_is_on_its_way_and_no_other(device):
    coming = iter(Batches(data(), 8, device=device))
    for used in range(1, 6):
        next(coming)
        until = time.monotonic() + 10
        while device.to_it.sent <= used and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.005)
        assert device.to_it.sent == used + 1
        assert len(device.to_it.under_way) == 2
    coming.close()


@pytest.mark.parametrize("used", [1, 3, 7])
def test_a_pass_that_ends_early_leaves_nothing_behind(device, used):
    for count, _ in enumerate(Batches(data(), 8, device=device), 1):
        if count == used:
            break


def test_an_error_of_the_gathering_comes_in_its_turn(device):
    class Broken(Rows):
        def __getitem__(self, rows):
            if isinstance(rows, np.ndarray) and 20 in rows:
                raise OSError("the disk is gone")
            return super().__getitem__(rows)

    x, y, _ = data()
    order = Batches((x, y), 8).order(0)
    good = int(np.flatnonzero(order == 20)[0]) // 8
    assert good > 0
    coming = iter(Batches((Broken(x), y), 8, device=device))
    seen = [next(coming)[1].numpy() for _ in range(good)]
    np.testing.assert_array_equal(np.concatenate(seen), order[: 8 * good])
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


def test_without_room_for_two_batches_they_come_one_after_the_other(device):
    held = []

    def allocated(shape, dtype):
        held[:] = [one for one in held if one() is not None]
        if len(held) >= 3:  # the parts of one batch
            raise MemoryError("no room")
        array = FakeBackend.allocated(device, shape, dtype)
        held.append(weakref.ref(array._host))
        return array

    device.allocated = allocated
    expected = numbers(Batches(data(), 8, seed=1))
    found = []
    for batch in Batches(data(), 8, seed=1, device=device):
        found.append([(part.numpy().tobytes(), part.shape, part.dtype) for part in batch])
        del batch
    assert found == expected
    held += [lambda: device] * 3
    with pytest.raises(MemoryError, match="no room"):  # not even for one
        next(iter(Batches(data(), 8, device=device)))


# -- trainings -------------------------------------------------------------------------------------------


def trainer(device, **options):
    en.seed(0)
    model = net(en.ReLU(), en.Dropout(0.2))
    optimizer = en.Adam(model.parameters(), 0.01)
    return en.Trainer(
        model, loss=en.CrossEntropy(), optimizer=optimizer, device=device, metrics=["accuracy"], **options
    )


def ends(trainer):
    return [one.numpy().tobytes() for one in trainer.model.parameters()], trainer.history["loss"]


@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"record": False}], ids=str)
def test_a_training_ends_with_the_bits_of_data_on_the_device(device, options, monkeypatch):
    found = []
    for free in (0, 1 << 30):
        monkeypatch.setattr(device, "memory", lambda free=free: {"free": free})
        before = device.to_it.sent
        ours = trainer(device.device, **options)
        ours.fit(samples(count=60), epochs=3, batch_size=8, validation=samples(count=20))
        assert (device.to_it.sent > before) == (free == 0)
        found.append((ends(ours), ours.evaluate(samples(count=2000)), ours.predict(samples()[0], 16).tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("record", [True, False])
def test_a_training_has_two_batches_on_the_device_and_no_more(device, record):
    alive, most = [], 0

    def allocated(shape, dtype):
        nonlocal most
        array = FakeBackend.allocated(device, shape, dtype)
        alive[:] = [one for one in alive if one() is not None]
        alive.append(weakref.ref(array._host))
        most = max(most, len(alive))
        return array

    device.allocated = allocated
    ours = trainer(device.device, record=record)
    ours.fit(samples(count=60), epochs=2, batch_size=8)
    assert most == 4  # samples and targets of two
    ours.evaluate(samples(count=60), batch_size=8)
    ours.predict(samples(count=60)[0], batch_size=8)
    assert most == 4
    assert all(one() is None for one in alive)


def test_a_training_that_goes_on_within_an_epoch(device, tmp_path):
    class Saver(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if trainer.step == 11:
                trainer.save(tmp_path / "state")
                trainer.stop("enough")

    whole = trainer(device.device)
    whole.fit(samples(count=60), epochs=3, batch_size=8)
    first = trainer(device.device, callbacks=[Saver()])
    first.fit(samples(count=60), epochs=3, batch_size=8)
    assert first.step == 11
    second = trainer(device.device)
    second.load(tmp_path / "state")
    second.fit(samples(count=60), epochs=2, batch_size=8)
    assert ends(second)[0] == ends(whole)[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_goes_on_after_an_error(device, error):
    class Breaking(en.Callback):
        def batch_end(self, trainer, batch, loss):
            raise error("now")

    ours = trainer(device.device, callbacks=[Breaking()])
    with pytest.raises(error) as raised:
        ours.fit(samples(count=60), epochs=3, batch_size=8)
    assert [one.name for one in threading.enumerate() if one.name.startswith("batches")] == []
    assert raised.value is not None  # its traceback still refers to the loop


def test_a_recorded_function_that_goes_through_batches(device):
    x, y, _ = data(16)
    made = Batches((x, y), 8, shuffle=False, device=device)

    @en.capture
    def total(scale):
        return sum((features.sum() * scale for features, _ in made), start=scale * 0.0)

    two, expected = en.tensor(2.0, device=device), 2 * x.sum(dtype="float64")
    with pytest.warns(RuntimeWarning, match="its calls differ from call to call"):
        found = [total(two).numpy() for _ in range(8)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# -- a GPU's lane ------------------------------------------------------------------------------------------


class Cuda:
    """As much of cupy.cuda as a lane touches; what is asked of it is noted."""

    runtime = SimpleNamespace(CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}))

    def __init__(self, pins=True):
        self.noted, self.events, self.pins = [], 0, pins
        self.Stream, self.Event = self.new_stream, self.new_event

    def new_stream(self, non_blocking):
        assert non_blocking, "others would wait for the null stream"
        return self._stream("copies")

    def get_current_stream(self):
        return self._stream("current")

    def _stream(self, name):
        return SimpleNamespace(name=name, wait_event=lambda event: self.noted.append((name, "waits for", event.number)))

    def new_event(self, block, disable_timing):
        assert block
        assert disable_timing
        self.events += 1
        event = SimpleNamespace(number=self.events)
        event.record = lambda stream: self.noted.append((stream.name, "reaches", event.number))
        event.synchronize = lambda: self.noted.append(("host", "waits for", event.number))
        return event

    def alloc_pinned_memory(self, size):
        if not self.pins:
            raise self.runtime.CUDARuntimeError("cudaErrorMemoryAllocation")
        return memoryview(bytearray(-(-size // 512) * 512))  # CuPy rounds up


def lane_of(cuda):
    def empty(shape, dtype):
        def copy(address, size, stream):
            cuda.noted.append((stream.name, "copies", size))

        return SimpleNamespace(data=SimpleNamespace(copy_from_host_async=copy))

    return cuda_lane.CudaLane(SimpleNamespace(cuda=cuda), lambda: cuda.noted.append("on its GPU"), empty)


def test_a_gpu_copies_between_what_came_before_and_what_comes_after():
    cuda = Cuda()
    lane = lane_of(cuda)
    array, after = lane.empty((3,), "float32"), lane.mark()
    host = lane.staging(12).view("float32")
    end = lane.send([host, host[:1]], [array, array], after)
    lane.follow(end)
    lane.wait(end)
    assert [one for one in cuda.noted if one != "on its GPU"] == [
        ("current", "reaches", 1),
        ("copies", "waits for", 1),
        ("copies", "copies", 12),
        ("copies", "copies", 4),
        ("copies", "reaches", 2),
        ("current", "waits for", 2),
        ("host", "waits for", 2),
    ]
    assert cuda.noted.count("on its GPU") == 6  # each thread says so before it asks for anything


@pytest.mark.parametrize("pins", [True, False])
def test_memory_that_cannot_be_pinned_is_the_hosts(pins):
    staged = lane_of(Cuda(pins)).staging(100)
    assert (staged.shape, staged.dtype) == ((100,), np.uint8)
    staged[:] = 7


def test_it_can_be_switched_off(monkeypatch):
    assert cuda_lane.problem() is None
    monkeypatch.setenv("ENGINE_CUDA_LANE", "0")
    assert cuda_lane.problem() == "switched off by ENGINE_CUDA_LANE=0"


def test_a_cpu_has_none():
    assert make("numpy").lane() is None
    assert Batches(data(), 8).bytes_beside() == 0


@pytest.mark.gpu
@pytest.mark.skipif(NO_GPU is not None, reason=f"no CUDA device: {NO_GPU}")
@pytest.mark.parametrize("batch", [7, 512])
def test_a_gpus_batches_are_those_of_the_cpu_while_it_computes(batch, monkeypatch):
    backend = backends.get("cuda")
    monkeypatch.setattr(backend, "memory", dict)  # no room for the data
    x = np.random.default_rng(0).standard_normal((5000, 300), dtype="float32")
    y, square = np.arange(5000), backend.asarray(np.full((1024, 1024), 1e-3, "float32"))
    for _ in range(2):
        kept, expected = [], [[part.numpy() for part in one] for one in Batches((x, y), batch)]
        for features, labels in Batches((x, y), batch, device=backend):
            for _ in range(3):  # the device is behind the host
                square = square @ square
            kept.append((features, labels, features.array * 2))
        for (features, labels, twice), (first, second) in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(features.numpy(), first)
            np.testing.assert_array_equal(labels.numpy(), second)
            np.testing.assert_array_equal(backend.to_host(twice), 2 * first)
