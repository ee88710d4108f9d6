"""Is what a training takes foretold, and what happens where there is no room? On the CPU and the fake GPU."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make as host
from fake_device import FakeBackend

import backends
import engine as en
from backends.cupy_backend import CupyBackend
from backends.devices import _backends
from bench.peers.engine_memory import arrays_traced
from engine.data import Batches

OPTIMIZERS = {
    "SGD": lambda parameters: en.SGD(parameters, learning_rate=0.01),
    "SGD with momentum": lambda parameters: en.SGD(parameters, learning_rate=0.01, momentum=0.9),
    "Adam": lambda parameters: en.Adam(parameters, learning_rate=0.01),
}


def plain():
    return en.Sequential(en.Linear(300, 200), en.ReLU(), en.Linear(200, 100), en.Tanh(), en.Linear(100, 10))


def rich():
    hidden = [
        en.Linear(300, 200),
        en.BatchNorm(200),
        en.LeakyReLU(),
        en.Dropout(0.2),
        en.Linear(200, 100),
        en.LayerNorm(100),
    ]
    return en.Sequential(*hidden, en.Sigmoid(), en.Linear(100, 10))


# On the fake GPU definitions compute, whose own temporary arrays nobody foretells: of little weight but in tiny steps.
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("device", "make", "batch"),
    [
        *[("cpu", make, batch) for make in (plain, rich) for batch in (64, 1024)],
        *[("fake-device", *case) for case in ((plain, 64), (plain, 1024), (rich, 1024))],
    ],
)
def test_a_trainings_bytes_are_foretold_within_a_tenth(make, batch, optimizer, device):
    backend = backends.get(device) if device == "cpu" else host(device)
    x = en.tensor(np.zeros((batch, 300), "float32"), device=backend)
    y = en.tensor(np.zeros(batch, int), device=backend)
    warm(make, x[:8], y[:8], backend)
    with arrays_traced():
        model, step = made(make, optimizer, backend)
        for _ in range(4):
            step(x, y)
        assert step.reason is None
        tracemalloc.reset_peak()
        for _ in range(2):
            step(x, y)
        measured = tracemalloc.get_traced_memory()[1]
    told = en.summary(model, 300, batch_size=batch).training_bytes[optimizer]
    assert told == pytest.approx(measured, rel=0.1)


@pytest.mark.gpu
def test_a_gpus_bytes_are_foretold_within_a_tenth(cuda_backend):
    backend, batch = cuda_backend, 8192
    x = en.tensor(np.zeros((batch, 300), "float32"), device=backend)
    y = en.tensor(np.zeros(batch, int), device=backend)
    warm(plain, x[:8], y[:8], backend)
    backend.give_back()
    before = backend.memory()["held"]
    model, step = made(plain, "Adam", backend)
    for _ in range(6):
        step(x, y)
    measured = backend.memory()["held"] - before
    assert en.summary(model, 300, batch_size=batch).training_bytes["Adam"] == pytest.approx(measured, rel=0.1)


@pytest.fixture
def cuda_backend():
    from conftest import NO_GPU

    if NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    return backends.get("cuda")


def made(make, optimizer, backend):
    model = make().to(device=backend)
    adam, loss_function = OPTIMIZERS[optimizer](model.parameters()), en.CrossEntropy()

    @en.capture
    def step(x, y):
        adam.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        adam.step()
        return loss

    return model, step


def warm(make, x, y, backend):
    """What is made once for all: not a training's."""
    _, step = made(make, "Adam", backend)
    for _ in range(3):
        step(x, y)


def test_the_summary_says_it_for_each_optimizer():
    told = en.summary(plain(), 300, batch_size=8)
    parameters = 4 * (301 * 200 + 201 * 100 + 101 * 10)
    sizes = told.training_bytes
    assert sizes["SGD with momentum"] - sizes["SGD"] == parameters
    assert sizes["SGD"] >= 2 * parameters + told.step_bytes
    assert told.to_dict()["training_bytes"] == sizes
    assert "training in all   SGD " in str(told)


def test_a_model_that_cannot_be_recorded_takes_what_an_eager_step_does():
    class Reading(en.Layer):
        def forward(self, x):
            return x * float(x.sum())

    told = en.summary(Reading(), 3)
    assert told.training_bytes["SGD"] == told.peak_activation_bytes


# -- where the data is -----------------------------------------------------------------------------------


class Sized(FakeBackend):
    """A fake GPU with little memory, as its allocator tells it."""

    def __init__(self, free=1 << 20, used=0, held=0):
        super().__init__()
        self.device, self.told = "fake:sized", {"held": held, "used": used, "free": free}
        self.given_back = 0

    def memory(self):
        return self.told

    def give_back(self):
        self.given_back += 1


@pytest.fixture
def sized(monkeypatch):
    def make(**sizes):
        device = Sized(**sizes)
        monkeypatch.setitem(_backends, device.device, device)
        return device

    return make


def data(samples):
    return np.ones((samples, 30), np.float32), np.arange(samples) % 3


def trainer(device):
    model = en.Sequential(en.Linear(30, 40, generator=0), en.ReLU(), en.Linear(40, 3, generator=1))
    optimizer = en.SGD(model.parameters(), learning_rate=0.01)
    return en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device=device)


@pytest.mark.parametrize(
    ("samples", "placement"),
    [
        (1000, "0.1 MiB of data, all on fake:sized"),
        (
            20_000,
            "2.4 MiB of data on the host, copied to fake:sized batch by batch, each while the one before it is used",
        ),
    ],
)
def test_data_that_fits_goes_to_the_device_and_that_is_said(sized, samples, placement):
    ours = trainer(sized())
    x, y = data(samples)
    ours.fit((x, y.astype(np.int32)), batch_size=500)
    assert ours.placement == placement
    assert np.isfinite(ours.history["loss"]).all()


def test_on_the_cpu_nothing_is_said_of_it():
    ours = trainer("cpu")
    ours.fit(data(20), batch_size=10)
    assert ours.placement is None
    assert Batches(data(20), 5).placement() is None


def test_the_log_of_a_run_says_where_the_data_is(engine, here, sized, monkeypatch):
    sized(free=1 << 30)
    monkeypatch.setattr(
        "engine.commands.report.choose_device", lambda name: (backends.get("fake:sized"), "a small GPU")
    )
    code, printed, said = engine("train", "--data", "xor", "--samples", "60", "--epochs", "1", "--output", "run")
    assert (code, said) == (0, "")
    line = next(line for line in printed.splitlines() if line.startswith("memory"))
    assert line == "memory  0.0 MiB of data, all on fake:sized"
    assert line in (here / "run" / "log.txt").read_text()


# -- no room ---------------------------------------------------------------------------------------------


def full_from(device, elements):
    """Let every array of more elements fail, as the device's allocator would."""
    make = FakeBackend.empty

    def empty(shape, dtype):
        if np.prod(shape) > elements:
            raise MemoryError(f"asked {np.prod(shape) * 4} bytes")
        return make(device, shape, dtype)

    device.empty = device.allocated = empty


def test_no_room_for_a_step_is_one_line_with_a_batch_size_that_fits(sized):
    device = sized(free=200_000, used=300_000, held=320_000)
    ours = trainer(device)
    full_from(device, 20_000)
    with pytest.raises(en.OutOfMemoryError) as raised:
        ours.fit(data(4000), batch_size=1000)
    each = en.summary(ours.model, 30, batch_size=1024)
    each = max(each.step_bytes, each.peak_activation_bytes) / 1024 + 2 * (30 * 4 + 8)  # and two batches from the host
    (fitting,) = [one for one in (1 << n for n in range(20)) if one * each <= 0.9 * 220_000 < 2 * one * each]
    assert str(raised.value) == (
        "fake:sized is out of memory: asked 120000 bytes. "
        f"Instead of batch size 1000, use {fitting}, for which there should be room."
    )
    assert raised.value.__cause__ is None
    assert device.given_back == 1
    ours.fit(data(4000), batch_size=fitting)  # and there is


def test_where_not_one_sample_fits_a_smaller_model_is_asked_for(sized):
    device = sized(free=10)
    ours = trainer(device)
    full_from(device, 1400)
    with pytest.raises(en.OutOfMemoryError, match="not even one sample fits"):
        ours.fit(data(400), batch_size=50)


@pytest.mark.parametrize(
    ("size", "advice"), [(8, "Use a smaller batch size than 8, such as 4."), (1, "Use a smaller model.")]
)
def test_where_the_device_does_not_tell_half_is_suggested(sized, size, advice):
    device = sized()
    device.told = {}
    ours = trainer(device)
    full_from(device, 0)
    with pytest.raises(en.OutOfMemoryError) as raised:
        ours.fit(data(20), batch_size=size)
    assert str(raised.value).endswith(advice)


def test_evaluation_and_prediction_tell_it_too(sized):
    device = sized(free=500_000)
    ours = trainer(device)
    full_from(device, 20_000)
    x, y = data(3000)
    with pytest.raises(en.OutOfMemoryError, match="Instead of batch size 1024"):
        ours.evaluate((x, y))
    with pytest.raises(en.OutOfMemoryError, match="Instead of batch size 1024"):
        ours.predict(x)


def test_other_errors_stay_what_they_are(sized):
    ours = trainer(sized())
    ours.model.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        ours.predict(data(3)[0])


def test_the_error_is_a_device_error_and_a_memory_error():
    error = en.OutOfMemoryError("cuda:0 is out of memory: asked 5 MiB.", "Rest.")
    assert isinstance(error, en.DeviceError)
    assert isinstance(error, MemoryError)
    assert str(error) == "cuda:0 is out of memory: asked 5 MiB. Rest."
    import pickle

    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.facts) == (str(error), error.facts)


@pytest.mark.gpu
def test_a_gpu_without_room_tells_its_numbers(cuda_backend):
    free = cuda_backend.memory()["free"]
    with pytest.raises(en.OutOfMemoryError, match=r"asked \d+ MiB for shape .*, held \d+ MiB, used \d+ MiB, free \d+"):
        cuda_backend.empty((free,), "float32")
    with pytest.raises(Exception, match="emory") as raised:
        cuda_backend.xp.empty(free, "float32")
    assert " MiB, free " in cuda_backend.shortage(raised.value)


# -- CuPy's error, by a stand-in for CuPy --------------------------------------------------------------------


class CupysError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError, in its words."""


@pytest.fixture
def cupys(monkeypatch):
    """A CupyBackend whose allocator never has room."""

    def refuse(shape, dtype):
        raise CupysError("Out of memory allocating 8,388,608 bytes (allocated so far: 1,048,576 bytes).")

    memory = SimpleNamespace(OutOfMemoryError=CupysError)
    pool = SimpleNamespace(total_bytes=lambda: 3 << 20, used_bytes=lambda: 2 << 20, free_all_blocks=list)
    runtime = SimpleNamespace(memGetInfo=lambda: (1 << 20, 9 << 20))
    cuda = SimpleNamespace(memory=memory, runtime=runtime)
    backend = object.__new__(CupyBackend)
    backend.xp = SimpleNamespace(cuda=cuda, empty=refuse, zeros=refuse, get_default_memory_pool=lambda: pool)
    backend.device, backend.index, backend._current = "cuda:0", 0, lambda: 0
    return backend


def test_cupys_error_tells_what_was_asked_held_used_and_free(cupys):
    for make in (cupys.empty, cupys.zeros):
        with pytest.raises(en.OutOfMemoryError) as raised:
            make((1024, 1024), "float64")
        assert str(raised.value) == (
            "cuda:0 is out of memory: asked 8 MiB for shape (1024, 1024), held 3 MiB, used 2 MiB, free 1 MiB. "
            "Use a smaller model or batch size."
        )
        assert cupys.shortage(raised.value) == raised.value.facts
    with pytest.raises(CupysError) as raised:
        cupys.xp.empty(1, "float32")
    assert cupys.shortage(raised.value) == "cuda:0 is out of memory: asked 8 MiB, held 3 MiB, used 2 MiB, free 1 MiB."
    assert cupys.shortage(CupysError("no number")) == "cuda:0 is out of memory: no number."
    assert cupys.shortage(ValueError("8 bytes")) is None
    cupys.give_back()
