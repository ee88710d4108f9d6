"""Which algorithm multiplies matrices on a GPU? The fastest, one for a process, kept on disk; what switches it off."""

import hashlib
import threading
import time

import numpy as np
import pytest
from fake_cublaslt import numbers, unwritten
from fake_device import FakeArray

from backends.cuda import products
from backends.cuda.cublaslt import Library, LtError
from backends.kernels.linear import Linear


def given(machine, rows=6, biased=False, dtype="float32"):
    """Arrays of one product: a, b, y and perhaps a bias."""
    arrays = numbers((rows, 5), dtype), numbers((5, 7), dtype, 1), unwritten((rows, 7), dtype)
    return [FakeArray(one) for one in (*arrays, *([numbers(7, dtype, 2)] if biased else []))]


def test_the_fastest_algorithm_is_taken_and_no_other(machine):
    machine.costs((9, 2, 5, 1))  # the last one needs arrays that are better aligned than is asked for
    ours, arrays = machine.products(), given(machine)
    assert ours.multiply(*arrays) is True
    timed = machine["products"]
    assert machine["last"] == 1
    assert timed > 3 * products.ROUNDS
    machine.costs((1, 9, 5, 1))
    assert ours.multiply(*arrays) is True
    assert (machine["last"], machine["products"]) == (1, timed + 1)
    assert machine["queries"] == 1
    assert machine["preferences"] == 0


def test_a_little_faster_is_not_enough(machine):
    machine.costs((100, 96, 97, 1))
    assert machine.products().multiply(*given(machine)) is True
    assert machine["last"] == 0


def test_a_long_product_is_timed_a_few_times_only(machine):
    machine.costs((1000, 2000, 3000, 1))  # a second and more
    assert machine.products().multiply(*given(machine)) is True
    assert machine["products"] == 3 * (2 + products.ROUNDS) + 1


def test_an_algorithm_that_does_not_run_is_not_taken(machine):
    machine.each("runs", 1, 0, 1, 1)
    machine.costs((9, 1, 5, 1))
    assert machine.products().multiply(*given(machine)) is True
    assert machine["last"] == 2
    machine.each("runs", 0, 0, 0, 0)
    ours = machine.products()
    assert ours.multiply(*given(machine, rows=8)) is False
    assert "left to CuPy's matmul: 1 of 1 shapes" in ours.describe()


def test_a_product_that_fails_later_is_the_definitions_from_then_on(machine):
    ours, arrays = machine.products(), given(machine)
    assert ours.multiply(*arrays) is True
    machine.each("runs", 0, 0, 0, 0)
    assert ours.multiply(*arrays) is False
    machine.each("runs", 1, 1, 1, 1)
    assert ours.multiply(*arrays) is False


@pytest.mark.parametrize(
    ("plain", "biased", "adding", "within"),
    [((9, 9, 9, 9), (9, 9, 8, 9), 5, True), ((2, 2, 2, 2), (9, 9, 9, 9), 5, False)],
    ids=["the bias within", "a kernel for the bias"],
)
def test_a_bias_is_added_in_the_faster_way(machine, plain, biased, adding, within):
    machine.costs(plain, biased)
    machine.adding = adding
    ours, arrays = machine.products(), given(machine, biased=True)
    a, b, y, bias = arrays
    assert ours.multiply(*arrays) is True
    added = machine.added
    for seed in (2, 5, 5, 6):  # another bias, the same, another: each time the one that is given
        bias._host[...] = numbers(7, "float32", seed)
        other = FakeArray(bias._host + 1)
        for one in (bias, other):
            y._host[...] = np.nan
            assert ours.multiply(a, b, y, one) is True
            np.testing.assert_array_equal(y._host, a._host @ b._host + one._host)
    assert machine["with_bias"] == within
    assert machine.added == added + (0 if within else 8)


def test_a_bias_that_the_library_does_not_add_is_added_after_it(machine):
    arrays = given(machine, biased=True, dtype="float64")
    assert machine.products().multiply(*arrays) is True
    assert machine["with_bias"] == 0
    np.testing.assert_array_equal(arrays[2]._host, arrays[0]._host @ arrays[1]._host + arrays[3]._host)


def test_a_bias_that_is_no_row_is_not_taken(machine):
    a, b, y, _ = given(machine, biased=True)
    ours = machine.products()
    for bias in (np.zeros(14, "float32")[::2], np.zeros((1, 7), "float32"), np.zeros(7), np.zeros(1, "float32")):
        assert ours.multiply(a, b, y, FakeArray(bias)) is False


@pytest.mark.parametrize("biased", [False, True])
def test_the_product_is_the_same_with_a_bias_of_its_own_kernel_beside_it(machine, biased):
    """However the algorithms' times change from one choice to the next."""
    machine.costs((9, 2, 5, 1), (90, 90, 90, 90))
    ours, arrays = machine.products(), given(machine, biased=biased)
    assert ours.multiply(*arrays) is True
    machine.costs((1, 9, 9, 9), (90, 90, 90, 90))
    assert ours.multiply(*given(machine, biased=not biased)) is True
    assert machine["last"] == 1
    a, b, y, bias = given(machine, biased=True)
    assert ours.within(a, b, y, bias) is False
    assert machine.products().within(a, b, y, bias) is True  # nothing is known there: nobody may count on it


def gradients(dtype="float32", seed=0):
    """x, dy, dw, db of a linear map."""
    arrays = numbers((6, 5), dtype, seed), numbers((6, 7), dtype, seed + 1)
    return [FakeArray(one) for one in (*arrays, unwritten((5, 7), dtype), unwritten(7, dtype))]


@pytest.mark.parametrize(
    ("plain", "beside", "summing", "within"),
    [((9, 9, 9, 9), (9, 9, 8, 9), 5, True), ((2, 2, 2, 2), (9, 9, 9, 9), 5, False)],
    ids=["the sums within", "a kernel for the sums"],
)
def test_the_gradient_of_a_bias_is_summed_up_in_the_faster_way(machine, tmp_path, plain, beside, summing, within):
    machine.costs(plain, beside)
    machine.summing = summing
    for process in range(2):  # the second one takes what is on the disk
        ours = machine.products()
        backward = ours.overrides()[Linear.backward]
        queries = machine["queries"]
        x, dy, dw, db = gradients()
        backward(machine.cupy, dy, x, None, dw=dw, db=db)  # the first one is timed
        for seed in (0, 3, 3):
            x, dy, dw, db = gradients(seed=seed)
            summed = machine.summed
            backward(machine.cupy, dy, x, None, dw=dw, db=db)
            assert (machine["with_sums"], machine.summed > summed) == (within, not within)
            np.testing.assert_array_equal(dw._host, x._host.T @ dy._host)
            np.testing.assert_array_equal(db._host, dy._host.sum(axis=0))
        assert machine["queries"] == (queries if process else 2)
        assert ours.within(x.T, dy, dw, sums=db) is within
    assert len(kept(tmp_path)) == 2


def test_a_gradient_that_is_no_number_stays_so_within_the_product(machine):
    machine.costs((9, 9, 9, 9), (1, 9, 9, 9))
    x, dy, dw, db = gradients()
    dy._host[3, 2], dy._host[1, 4] = np.nan, np.inf
    machine.products().overrides()[Linear.backward](machine.cupy, dy, x, None, dw=dw, db=db)
    assert machine["with_sums"] == 1
    np.testing.assert_array_equal(db._host, dy._host.sum(axis=0))


def test_sums_that_the_library_does_not_make_have_a_kernel_of_their_own(machine):
    room = np.zeros(9, "float32")
    odd = room[(1 if room.ctypes.data % 16 != 12 else 2) :][:7]  # no multiple of 16 bytes
    for dtype, db in (("float64", FakeArray(unwritten(7, "float64"))), ("float32", FakeArray(odd))):
        x, dy, dw, _ = gradients(dtype)
        ours = machine.products()
        ours.overrides()[Linear.backward](machine.cupy, dy, x, None, dw=dw, db=db)
        assert (machine["with_sums"], machine["products"] > 0) == (0, True)
        np.testing.assert_array_equal(dw._host, x._host.T @ dy._host)
        np.testing.assert_array_equal(db._host, dy._host.sum(axis=0))
        machine["products"] = 0


def test_two_threads_take_the_same_choice(machine):
    second = threading.Event()

    def find(major):
        second.wait()  # the other one is about to choose as well
        time.sleep(0.01)
        return Library(machine.loaded)

    ours = machine.products(find=find)
    done = []

    def one():
        done.append(ours.multiply(*given(machine)))

    def other():
        second.set()
        one()

    threads = [threading.Thread(target=one), threading.Thread(target=other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True, True]
    assert machine["queries"] == 1
    assert len(machine.users) == 2  # each told the driver where it is


def test_nothing_is_timed_while_a_stream_is_captured(machine):
    machine.costs((9, 2, 5, 1))
    ours, arrays = machine.products(), given(machine)
    machine.capturing = True
    assert ours.multiply(*arrays) is False  # no handle can be made now
    machine.capturing = False
    assert ours.multiply(*given(machine, rows=1)) is True
    before = machine["products"]
    machine.capturing = True
    assert ours.multiply(*arrays) is True
    assert (machine["products"], machine["last"]) == (before + 1, 0)
    machine.capturing = False
    assert ours.multiply(*arrays) is True
    assert (machine["products"], machine["last"]) == (before + 2, 0)  # no second choice for a shape
    assert ours.multiply(*given(machine, rows=9)) is True
    assert machine["last"] == 1


# -- workspaces and streams ------------------------------------------------------------------------------


@pytest.mark.parametrize(("capability", "size", "last"), [("90", 32, 2), ("100", 32, 2), ("120", 32, 2), ("86", 4, 1)])
def test_each_stream_has_a_workspace_of_the_gpus_size(machine, capability, size, last):
    machine.capability = capability
    machine.costs((9, 5, 2, 1))
    assert products.workspace_bytes(int(capability)) == size * 2**20
    ours, arrays, used = machine.products(), given(machine), {}
    for stream in (0, 1234, 0, 1234):
        machine.stream = stream
        assert ours.multiply(*arrays) is True
        assert (machine["last"], machine["last_stream"]) == (last, stream)
        used.setdefault(stream, machine["last_workspace"])
        assert machine["last_workspace"] == used[stream] != 0
    assert used[0] != used[1234]


def test_a_captured_product_has_memory_of_its_graphs_pool(machine):
    machine.costs((9, 2, 5, 1))
    made = []
    ours, arrays = machine.products(), given(machine)
    ours._empty = lambda shape, dtype: made.append(machine.empty(shape, dtype)) or made[-1]
    ours.multiply(*arrays)
    machine.capturing = True
    for count in (2, 3):
        assert ours.multiply(*arrays) is True
        assert len(made) == count
        assert machine["last_workspace"] == made[-1].data.ptr
        assert machine["last_size"] <= made[-1].nbytes
    machine.capturing = False
    ours.multiply(*arrays)
    assert machine["last_workspace"] == made[0].data.ptr


def test_a_product_that_needs_no_workspace_makes_none(machine, monkeypatch):
    machine.costs((1, 9, 9, 9))
    monkeypatch.setenv("ENGINE_CUBLASLT", "heuristic")
    made = []
    ours = machine.products()
    ours._empty = lambda shape, dtype: made.append(shape) or machine.empty(shape, dtype)
    assert ours.multiply(*given(machine)) is True
    assert made == []


# -- the cache -------------------------------------------------------------------------------------------


def kept(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("biased", [False, True])
def test_the_next_process_does_not_time_again(machine, tmp_path, biased):
    machine.costs((9, 2, 5, 1), (9, 9, 1, 9))
    machine.adding = 5
    machine.products().multiply(*given(machine, biased=biased))
    paths = kept(tmp_path)
    assert len(paths) == 1 + biased  # the product, and what is done about the bias
    assert {path.parent for path in paths} == {tmp_path / "cache" / "chalkgrad" / "products"}
    for capturing in (False, True):
        before, queries = machine["products"], machine["queries"]
        ours = machine.products()
        if capturing:
            ours.multiply(*given(machine, rows=1))
            before, queries = machine["products"], machine["queries"]
        machine.capturing = capturing
        arrays = given(machine, biased=biased)
        assert ours.multiply(*arrays) is True
        assert (machine["products"], machine["queries"]) == (before + 1, queries)
        assert (machine["last"], machine["with_bias"]) == ((2, 1) if biased else (1, 0))
        wanted = arrays[0]._host @ arrays[1]._host + (arrays[3]._host if biased else 0)
        np.testing.assert_array_equal(arrays[2]._host, wanted)
    machine.capturing = False


def changed(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE = {
    "nothing in it": lambda content: b"",
    "half of it": lambda content: content[: len(content) // 2],
    "more than it was": lambda content: content + b"x",
    "another choice": lambda content: changed(content, 32),
    "another algorithm": lambda content: changed(content, 41),
    "another sum": lambda content: changed(content, 0),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_choice_is_made_again(machine, tmp_path, damage):
    machine.costs((9, 2, 5, 1))
    machine.products().multiply(*given(machine))
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    queries = machine["queries"]
    assert machine.products().multiply(*given(machine)) is True
    assert machine["queries"] == queries + 1
    assert (machine["last"], path.read_bytes()) == (1, whole)


def test_a_whole_choice_that_the_library_refuses_is_made_again(machine, tmp_path):
    machine.products().multiply(*given(machine))
    (path,) = kept(tmp_path)
    for algorithm, biased in ((b"\1" * 64, 0), (path.read_bytes()[33:], 1)):
        content = bytes([biased]) + algorithm
        path.write_bytes(hashlib.sha256(content).digest() + content)
        queries = machine["queries"]
        assert machine.products().multiply(*given(machine)) is True
        assert machine["queries"] == queries + 1


def test_a_kept_choice_that_needs_too_much_workspace_is_made_again(machine, tmp_path):
    machine.capability = "86"
    machine.products().multiply(*given(machine))
    (path,) = kept(tmp_path)
    content = bytearray(path.read_bytes()[32:])
    content[9] = 2  # the algorithm that needs 8 MiB
    path.write_bytes(hashlib.sha256(content).digest() + content)
    assert machine.products().multiply(*given(machine)) is True
    assert machine["last"] != 2


def test_other_gpus_versions_and_shapes_have_choices_of_their_own(machine, tmp_path):
    machine.products().multiply(*given(machine))
    machine.name = b"Another GPU"
    machine.products().multiply(*given(machine))
    machine["version"] = 120902
    machine.products().multiply(*given(machine))
    machine.products().multiply(*given(machine, rows=7))
    machine.products().multiply(*given(machine, rows=7, biased=True))
    assert len(kept(tmp_path)) == 5


def test_without_a_folder_for_caches_all_is_timed_each_time(machine, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        before = machine["products"]
        assert machine.products().multiply(*given(machine)) is True
        assert machine["products"] > before + 3


# -- switches, and a library that is not there -----------------------------------------------------------


def test_it_can_be_switched_off(machine, monkeypatch):
    monkeypatch.setenv("ENGINE_CUBLASLT", "0")
    ours = machine.products(find=None)
    assert ours.overrides() == {}
    assert ours.multiply(*given(machine)) is False
    assert ours.describe() == "CuPy's matmul: switched off by ENGINE_CUBLASLT=0"


def test_the_librarys_first_choice_without_timing(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("ENGINE_CUBLASLT", "heuristic")
    machine.costs((9, 2, 5, 1))
    ours, arrays = machine.products(), given(machine, biased=True)
    assert ours.multiply(*arrays) is True
    assert (machine["products"], machine["last"], machine["with_bias"], machine.added) == (1, 0, 1, 0)
    assert kept(tmp_path) == []
    assert ours.describe() == "cuBLASLt 12.9.1, its first choices (ENGINE_CUBLASLT=heuristic)"


def test_another_word_is_told_and_ignored(machine, monkeypatch):
    monkeypatch.setenv("ENGINE_CUBLASLT", "fast")
    with pytest.warns(RuntimeWarning, match="'fast' was given; it is 0 or heuristic. It is ignored"):
        ours = machine.products()
    assert ours.describe() == "cuBLASLt 12.9.1, each shape's algorithms timed once"


def test_without_the_library_cupy_serves(machine):
    def find(major):
        raise LtError(f"no cuBLASLt for CUDA {major}")

    ours = machine.products(find=find)
    a, b, y, bias = given(machine, biased=True)
    ours.overrides()[Linear.forward](machine.cupy, a, b, bias, y=y)
    np.testing.assert_array_equal(y._host, a._host @ b._host + bias._host)
    assert ours.describe() == "CuPy's matmul: no cuBLASLt for CUDA 12"


def test_a_gpu_that_the_library_does_not_serve(machine):
    machine["create"] = 1
    ours = machine.products()
    for _ in range(2):
        assert ours.multiply(*given(machine)) is False
    for one in (ours, machine.products()):
        assert one.describe() == "CuPy's matmul: cublasLtCreate of cuBLASLt 12.9.1 ended with status 1"
