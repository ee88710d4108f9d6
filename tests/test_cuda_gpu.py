"""Do the fused kernels of a real GPU compute what their definitions say, at small sizes and at large ones?

The cases of test_cuda_kernels.py, which sees to the same on an emulated GPU; outputs and work arrays begin as NaN.
"""

import threading

import cuda_cases
import numpy as np
import pytest
from conftest import NO_GPU

import backends
from backends.cuda import LEFT
from backends.native.table import TABLE

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(NO_GPU is not None, reason=f"no CUDA device: {NO_GPU}")]

DTYPES = ("float32", "float64")
LARGE = ((513, 1000), (3, 50_000), (70_001, 3))
HUGE = (4_000, 1_001)


@pytest.fixture(scope="module")
def backend():
    backend = backends.get("cuda")
    if backend.fused.problem is not None:
        pytest.skip(f"no fused kernels: {backend.fused.problem}")
    return backend


def check(backend, case):
    kernel = backend.kernel(case.replaced)
    assert kernel is not case.replaced
    case.check(case.run(TABLE[case.replaced].compiled, backend.asarray, backend.to_host))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", cuda_cases.SHAPES, ids=str)
@pytest.mark.parametrize("family", cuda_cases.FAMILIES, ids=lambda one: one.__name__)
def test_kernels_agree_with_their_definitions(backend, family, shape, dtype):
    for case in family(shape, dtype):
        check(backend, case)


LIMITED = (cuda_cases.sums, cuda_cases.averages)  # some of these leave large sums to CuPy


@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize(
    "family", [one for one in cuda_cases.FAMILIES if one not in LIMITED], ids=lambda one: one.__name__
)
def test_large_arrays(backend, family, shape):
    for case in family(shape, "float32"):
        check(backend, case)


def test_more_elements_than_threads_at_once(backend):
    for case in cuda_cases.curves(HUGE, "float32"):
        check(backend, case)


def test_elements_have_the_bits_that_the_cpu_gives_them(backend):
    for family in (cuda_cases.curves, cuda_cases.units):
        for dtype in DTYPES:
            for case in family((300, 257), dtype):
                ours = case.run(TABLE[case.replaced].compiled, lambda one: one, lambda one: one)
                theirs = case.run(backend.kernel(case.replaced).compiled, backend.asarray, backend.to_host)
                for one, other in zip(ours, theirs, strict=True):
                    np.testing.assert_array_equal(other, one, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_an_array_begins_changes_no_bit(backend, dtype):
    def between(host):  # at no multiple of 16 bytes
        longer = backend.empty((host.size + 1,), host.dtype)[1:].reshape(host.shape)
        longer[...] = backend.asarray(host)
        return longer

    for family in (cuda_cases.curves, cuda_cases.steps, cuda_cases.masks):
        for case in family((301, 257), dtype):
            kernel = backend.kernel(case.replaced).compiled
            for one, other in zip(
                case.run(kernel, backend.asarray, backend.to_host),
                case.run(kernel, between, backend.to_host),
                strict=True,
            ):
                np.testing.assert_array_equal(other, one, strict=True)


def test_what_is_not_taken_goes_to_cupy(backend):
    x = backend.asarray(np.arange(24, dtype="float32").reshape(4, 6) - 9)[:, ::2]
    y = backend.empty(x.shape, "float32")
    relu = backend.kernel(cuda_cases.activation.ReLU.forward)
    assert relu.compiled(x, y=y) is False
    relu(backend.xp, x, y=y)
    np.testing.assert_array_equal(backend.to_host(y), np.maximum(backend.to_host(x), 0))
    long = backend.asarray(np.ones(100_000, "float32"))
    value = backend.empty((), "float32")
    backend.kernel(cuda_cases.averaging.Average.forward)(backend.xp, long, value=value, count=100_000)
    assert backend.to_host(value) == 1


def test_kernels_run_on_the_current_stream(backend):
    relu = backend.kernel(cuda_cases.activation.ReLU.forward)
    x, y = backend.asarray(np.full(1 << 22, -2.0)), backend.zeros((1 << 22,), "float64")
    backend.synchronize()
    stream = backend.xp.cuda.Stream(non_blocking=True)
    with stream:
        for _ in range(20):
            backend.xp.add(x, 1, out=x)  # 18 at the end, however late
        relu(backend.xp, x, y=y)
    stream.synchronize()
    assert backend.to_host(y).min() == 18


def test_another_thread_can_launch_first(backend):
    relu = backend.kernel(cuda_cases.activation.ReLU.forward)
    x, y, errors = backend.asarray(np.arange(-4.0, 4.0)), backend.zeros((8,), "float64"), []

    def launch():
        try:
            assert relu.compiled(x, y=y) is True
            backend.synchronize()
        except Exception as error:
            errors.append(error)

    other = threading.Thread(target=launch)
    other.start()
    other.join()
    assert errors == []
    np.testing.assert_array_equal(backend.to_host(y), np.maximum(np.arange(-4.0, 4.0), 0))


def test_the_gpu_describes_its_kernels(backend):
    check(backend, next(cuda_cases.curves((3, 3), "float32")))
    assert backend.describe()["fused kernels"].startswith("in use, compiled by NVRTC")
    assert set(backend.overrides) == set(TABLE) - LEFT
