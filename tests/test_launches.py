"""Does a program whose kernels are launched together compute the same as one by one? On a fake GPU, and on one."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import GPU, graphing, make
from fake_device import GraphingBackend
from test_capture import LAYERS, LOSSES, OPTIMIZERS
from test_trainer_recorded import net, rich, samples

import engine as en
from backends.cupy_backend import CupyBackend
from backends.devices import _backends

STEPS, BATCH = 12, 8


@pytest.fixture(params=["fake", "fake without matmul", "fused", "cublaslt", GPU])
def device(request, monkeypatch):
    """The name of a device that makes one launch of many, where it can."""
    return graphing(request.param, request, monkeypatch)


def trained(device, captured, layers=tuple, loss=None, optimizer=None, target="labels", model=None):
    """The losses of some steps and the weights after them; what was captured."""
    en.seed(0)
    model = net(*layers()) if model is None else model()
    model.to(device)
    loss = en.CrossEntropy() if loss is None else loss
    optimizer = en.SGD(model.parameters(), 0.05) if optimizer is None else optimizer(list(model.parameters()))

    def step(x, y):
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    run = en.capture(step) if captured else step
    x, y = (en.tensor(part, device=device) for part in samples(target, count=STEPS * BATCH))
    losses = [run(x[i : i + BATCH], y[i : i + BATCH]).numpy().tobytes() for i in range(0, STEPS * BATCH, BATCH)]
    return losses, {name: one.numpy().tobytes() for name, one in model.state_dict().items()}, run


def compare(device, **parts):
    """The same bits, launched together and as it stands; the program's calls."""
    expected, found = trained(device, False, **parts), trained(device, True, **parts)
    assert found[:2] == expected[:2]
    assert found[2].reason is None
    (program,) = found[2].programs
    return program


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, device):
    compare(device, layers=LAYERS[name])


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, device):
    make_loss, target = LOSSES[name]
    compare(device, loss=make_loss(), target=target)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, device):
    compare(device, optimizer=OPTIMIZERS[name])


def test_all_that_a_forward_changes_by_itself(device):
    compare(device, model=rich, optimizer=OPTIMIZERS["adam"])


def test_a_trainer_ends_with_the_same_bits(device):
    ends = []
    for record in (False, True):
        en.seed(1)
        model = rich()
        trainer = en.Trainer(
            model,
            loss=en.CrossEntropy(),
            optimizer=en.Adam(model.parameters(), 0.01),
            metrics=["accuracy"],
            clip_norm=1.0,
            penalty=en.L2(1e-3),
            record=record,
            device=device,
        )
        history = trainer.fit(samples(), epochs=3, batch_size=BATCH)
        ends.append((history["loss"], history["accuracy"], [one.numpy().tobytes() for one in model.parameters()]))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(("refused", "fewest", "most"), [((), 1, 3), (("matmul",), 3, 20), (("multiply",), 2, 20)])
def test_kernels_beside_each_other_are_launched_as_one(refused, fewest, most, monkeypatch):
    backend = GraphingBackend(refused)
    monkeypatch.setitem(_backends, backend.device, backend)
    program = compare(backend.device, layers=lambda: (en.ReLU(),), optimizer=OPTIMIZERS["momentum"])
    replays = program.replays - 1  # the first was call by call
    assert replays >= STEPS - 4
    assert fewest <= backend.launches / replays <= most


def test_products_of_cublaslt_are_launched_with_their_neighbours(machine, monkeypatch):
    backend = GraphingBackend(("matmul",))
    monkeypatch.setitem(_backends, backend.device, backend)
    backend.overrides.update(machine.products().overrides())
    program = compare(backend.device, layers=lambda: (en.ReLU(),), optimizer=OPTIMIZERS["momentum"])
    assert 1 <= backend.launches / (program.replays - 1) <= 3


def test_what_is_captured_is_computed_by_the_launch_alone(monkeypatch):
    """The fake GPU is as strict as one: while it captures nothing is computed, and each launch computes all."""
    backend = GraphingBackend()
    monkeypatch.setitem(_backends, backend.device, backend)
    x, y, total = (backend.zeros((3,), "float32") for _ in range(3))
    x.fill(2.0)

    def run():
        backend.xp.add(x, x, out=y)
        backend.xp.copyto(total, backend.xp.sum(y * y) + total)

    launch = backend.graph(run)
    np.testing.assert_array_equal(backend.to_host(y), 0)
    for count in (1, 2):
        launch()
        np.testing.assert_array_equal(backend.to_host(total), 48.0 * count)
    refusing = GraphingBackend(("add",))
    assert refusing.graph(run) is None
    assert en.tensor([1.0], device=backend.device).numpy() == 1.0


class Cuda:
    """As much of cupy.cuda as a capture touches; what happens is noted."""

    runtime = SimpleNamespace(CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}))

    class MemoryPool:
        malloc = "the pool's"

    def __init__(self, broken=False):
        self.noted, self.broken, self.Stream = [], broken, self.stream

    def stream(self, non_blocking):
        assert non_blocking, "the null stream waits for no capture"
        return self

    @contextlib.contextmanager
    def using_allocator(self, allocator):
        self.noted.append(allocator)
        yield

    def __enter__(self):
        self.noted.append("on the stream")

    def __exit__(self, *error):
        self.noted.append("off the stream")

    def begin_capture(self):
        self.noted.append("begin")

    def end_capture(self):
        self.noted.append("end")
        if self.broken:
            raise self.runtime.CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return SimpleNamespace(launch=lambda: self.noted.append("launch"))


def gpu_of(cuda):
    backend = CupyBackend.__new__(CupyBackend)
    backend.index, backend.xp = 0, SimpleNamespace(cuda=cuda)
    backend._current = lambda: 0
    return backend


def test_a_gpu_captures_from_a_stream_and_a_pool_of_its_own():
    cuda = Cuda()
    launch = gpu_of(cuda).graph(lambda: cuda.noted.append("run"))
    assert cuda.noted == ["on the stream", "the pool's", "begin", "run", "end", "off the stream"]
    launch()
    launch()
    assert cuda.noted[-2:] == ["launch", "launch"]


@pytest.mark.parametrize("broken", [False, True])
def test_what_a_gpu_cannot_capture_leaves_no_capture_open(broken):
    cuda = Cuda(broken)

    def run():
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")

    assert gpu_of(cuda).graph(run) is None
    assert cuda.noted[-3:] == ["begin", "end", "off the stream"]
    assert not broken or gpu_of(cuda).graph(lambda: None) is None


def test_a_cpu_makes_no_launches():
    assert not make("numpy").graphs
    assert make("numpy").graph(lambda: None) is None
