"""Is cuBLASLt called as its headers say? Names and numbers, sizes, the library where there is one, and on a GPU."""

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import NO_GPU, make

from backends.cuda import cublaslt
from backends.cuda.cublaslt import Algorithm, Bound, Found, Library, LtError, Matrix
from backends.cuda.products import Products
from backends.kernels.arithmetic import Add
from backends.kernels.linear import Linear, MatrixProduct

NUMBERS = {  # of cublasLt.h, cublas_api.h and library_types.h in CUDA 12.9 and 13.1
    "CUDA_R_32F": 0,
    "CUDA_R_64F": 1,
    "CUDA_R_16F": 2,
    "CUDA_R_16BF": 14,
    "CUBLAS_STATUS_SUCCESS": 0,
    "CUBLAS_COMPUTE_32F": 68,
    "CUBLAS_COMPUTE_64F": 70,
    "CUBLAS_COMPUTE_32F_FAST_TF32": 77,
    "CUBLAS_OP_N": 0,
    "CUBLAS_OP_T": 1,
    "CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT": 5,
    "CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET": 6,
    "CUBLASLT_MATMUL_DESC_TRANSA": 3,
    "CUBLASLT_MATMUL_DESC_TRANSB": 4,
    "CUBLASLT_MATMUL_DESC_EPILOGUE": 7,
    "CUBLASLT_MATMUL_DESC_BIAS_POINTER": 8,
    "CUBLASLT_EPILOGUE_DEFAULT": 1,
    "CUBLASLT_EPILOGUE_BIAS": 4,
    "CUBLASLT_EPILOGUE_BGRADA": 256,
    "CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES": 1,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES": 5,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES": 6,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES": 7,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES": 8,
}
C_TYPES = {"int": ctypes.c_int, "size_t": ctypes.c_size_t, "uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64}


def header(name):
    """The text of a header of CUDA's, where one is installed."""
    roots = [Path(value) for value in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME")) if value]
    found = importlib.util.find_spec("nvidia")
    for folder in () if found is None else found.submodule_search_locations or ():
        roots += [path for path in Path(folder).iterdir() if path.is_dir()]
    roots.append(Path("/usr/local/cuda"))
    for root in roots:
        if (root / "include" / name).is_file():
            return (root / "include" / name).read_text(encoding="utf-8", errors="replace")
    pytest.skip(f"{name} is not installed here")


# -- names, numbers, sizes -------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_headers():
    used = {name: value for name, value in vars(cublaslt).items() if re.match(r"CUDA_|CUBLAS", name)}
    assert used == NUMBERS


def test_the_structures_are_laid_out_as_in_the_headers():
    assert ctypes.sizeof(Algorithm) == 64
    assert ctypes.sizeof(Found) == 96
    assert (Found.workspace.offset, Found.state.offset, Found.waves.offset) == (64, 72, 76)


def test_an_installed_header_has_these_numbers():
    text = header("cublasLt.h") + header("cublas_api.h")
    listed = dict(re.findall(r"\b(CUBLAS\w+) *= *(\d+)\b", text))
    assert {name: int(listed[name]) for name in NUMBERS if name.startswith("CUBLAS")} == {
        name: value for name, value in NUMBERS.items() if name.startswith("CUBLAS")
    }


@pytest.mark.parametrize("name", cublaslt.SIGNATURES)
def test_an_installed_header_has_this_function(name):
    """As many arguments as we give, and each of the type that it is given as."""
    text = re.sub(r"//.*", "", header("cublasLt.h"))
    declared = re.search(rf"CUBLASWINAPI {name}\(([^;]*)\);", text)[1]
    declared = re.sub(r"/\*.*?\*/", "", declared)
    ours = []
    for one in declared.split(","):
        words = one.replace("const ", "").split()
        opaque = (
            "*" in one
            or "[]" in one
            or words[0].endswith(("Handle_t", "Desc_t", "Layout_t", "Preference_t", "Stream_t"))
        )
        ours.append(ctypes.c_void_p if opaque else C_TYPES.get(words[0], ctypes.c_int))
    assert tuple(ours) == cublaslt.SIGNATURES[name]


def test_an_installed_header_has_these_structures():
    text = re.sub(r"/\*.*?\*/", "", header("cublasLt.h"), flags=re.DOTALL)
    fields = re.search(r"typedef struct \{([^}]*)\} cublasLtMatmulHeuristicResult_t;", text)[1].split(";")
    assert [one.split() for one in fields if one.strip()] == [
        ["cublasLtMatmulAlgo_t", "algo"],
        ["size_t", "workspaceSize"],
        ["cublasStatus_t", "state"],
        ["float", "wavesCount"],
        ["int", "reserved[4]"],
    ]
    assert re.search(r"typedef struct \{\s*uint64_t data\[8\];\s*\} cublasLtMatmulAlgo_t;", text)


# -- the library -----------------------------------------------------------------------------------------


@pytest.fixture
def real():
    """The real library, which describes products without a GPU, as (what is bound, all of its functions)."""
    for major in (13, 12):
        try:
            return cublaslt.library(major), ctypes.CDLL(cublaslt.names(major)[0])
        except LtError as error:
            reason = str(error)
    pytest.skip(reason)


def read(function, described, attribute, kind):
    value, written = kind(), ctypes.c_size_t()
    address = ctypes.c_void_p(described)
    assert function(address, attribute, ctypes.byref(value), ctypes.sizeof(value), ctypes.byref(written)) == 0
    assert written.value == ctypes.sizeof(value)
    return value.value


@pytest.mark.parametrize("epilogue", [1, 4, 256])  # CUBLASLT_EPILOGUE_DEFAULT, _BIAS, _BGRADA
@pytest.mark.parametrize("kind", cublaslt.KINDS.values(), ids=cublaslt.KINDS)
def test_the_real_library_understands_every_description(real, kind, epilogue):
    library, functions = real
    matrices = Matrix(7, 5, 9, True, 63), Matrix(7, 3, 7, False, 0), Matrix(5, 3, 5, False, 15)
    bound = Bound(library, 0, kind, 4, *matrices, epilogue)
    of_operation, of_layout = functions.cublasLtMatmulDescGetAttribute, functions.cublasLtMatrixLayoutGetAttribute
    # CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, _SCALE_TYPE, _TRANSA, _TRANSB, _EPILOGUE
    wanted = {0: kind.compute, 1: kind.sums, 3: 1, 4: 0, 7: epilogue}
    assert {one: read(of_operation, bound.operation, one, ctypes.c_int32) for one in wanted} == wanted
    if epilogue != 1:
        bound.put_row(4096)
        assert read(of_operation, bound.operation, 8, ctypes.c_uint64) == 4096
    for matrix, layout in zip(matrices, (bound.a, bound.b, bound.d), strict=True):
        element = kind.sums if layout == bound.d else kind.element
        # CUBLASLT_MATRIX_LAYOUT_TYPE, _ORDER, _BATCH_COUNT; then _ROWS, _COLS, _LD, _STRIDED_BATCH_OFFSET
        assert [read(of_layout, layout, one, ctypes.c_int32) for one in (0, 1, 5)] == [element, 0, 4]
        numbers = [read(of_layout, layout, one, ctypes.c_int64) for one in (2, 3, 4, 6)]
        assert numbers == [matrix.rows, matrix.columns, matrix.leading, matrix.step]
    assert bound.candidates(2**20, 4) == []  # without a handle it says so, having taken every preference


def test_the_library_is_looked_for_by_its_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    with pytest.raises(LtError, match=r"cuBLASLt was not found \(.*99"):
        cublaslt.library.__wrapped__(99)


def loading(path):
    def load_nvidia_dynamic_lib(name):
        assert name == "cublasLt"
        if path is None:
            raise RuntimeError("not here\nnor there")
        return SimpleNamespace(abs_path=path)

    return SimpleNamespace(load_nvidia_dynamic_lib=load_nvidia_dynamic_lib)


def test_the_library_is_the_one_for_cupys_cuda(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", loading(machine.loaded._name))
    assert cublaslt.library.__wrapped__(12).dotted() == "12.9.1"
    monkeypatch.setattr(cublaslt, "names", lambda major: ["libnone.so"])
    with pytest.raises(LtError, match=r"version 12\.9\.1 was found, CuPy uses CUDA 13; .*libnone.so"):
        cublaslt.library.__wrapped__(13)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", loading(None))
    with pytest.raises(LtError, match=r"not found \(RuntimeError: not here; .*libnone.so"):
        cublaslt.library.__wrapped__(13)
    monkeypatch.setattr(cublaslt, "names", lambda major: [machine.loaded._name])
    assert cublaslt.library.__wrapped__(12).version == 120901


def test_candidates_are_those_that_are_allowed(machine):
    """The fake library's third needs 8 MiB, its fourth arrays at multiples of 256 bytes."""
    library, handle = Library(machine.loaded), Library(machine.loaded).made("cublasLtCreate")
    matrices = Matrix(4, 3, 4, False, 0), Matrix(3, 5, 3, False, 0), Matrix(4, 5, 4, False, 0)
    bound = Bound(library, handle, cublaslt.KINDS["f"], 1, *matrices, 1)
    for workspace, wanted in ((32, [0, 1, 2]), (4, [0, 1]), (0, [0])):
        assert [one.algorithm.data[1] for one in bound.candidates(workspace * 2**20, 9)] == wanted
    assert len(bound.candidates(2**25, 1)) == 1
    machine.each("states", 0, 15, 0, 0)
    assert [one.algorithm.data[1] for one in bound.candidates(2**25, 9)] == [0, 2]


def test_a_library_that_is_too_old_or_none(machine):
    machine["version"] = 110800
    with pytest.raises(LtError, match=r"of version 110800; it has to be 120000 \(12.0\) or newer"):
        Library(machine.loaded)
    with pytest.raises(LtError, match="is no cuBLASLt"):
        Library(ctypes.CDLL(None))


# -- on a GPU --------------------------------------------------------------------------------------------

SIZES = ((1, 1, 1), (7, 5, 3), (1, 784, 10), (128, 784, 256), (129, 257, 31), (4096, 64, 10), (512, 1024, 1024))


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A GPU's backend, with a folder of its own for what is timed."""
    if NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ENGINE_CUBLASLT", raising=False)
    return make("cupy")


def products_of(gpu):
    return Products(gpu.xp, gpu.index, gpu.fused.overrides(), gpu.empty)


def drawn(shape, dtype, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(made, exact, dtype, count):
    """Sums of so many products of numbers near 1, in any order: each addition rounds."""
    np.testing.assert_allclose(made.get(), exact, rtol=0, atol=4 * (count + 4) * np.finfo(dtype).eps)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_on_a_gpu_are_those_of_cupy(gpu, size, dtype):
    batch, inputs, outputs = size
    ours = products_of(gpu)
    table = ours.overrides()
    x, w, b, dy = (
        drawn(shape, dtype, seed)
        for seed, shape in enumerate(((batch, inputs), (inputs, outputs), (outputs,), (batch, outputs)))
    )
    given = {name: gpu.asarray(one) for name, one in (("x", x), ("w", w), ("b", b), ("dy", dy))}
    wide = {name: one.astype("float64") for name, one in (("x", x), ("w", w), ("b", b), ("dy", dy))}
    y = gpu.xp.full((batch, outputs), np.nan, dtype)
    table[Linear.forward](gpu.xp, given["x"], given["w"], given["b"], y=y)
    close(y, wide["x"] @ wide["w"] + wide["b"], dtype, inputs)
    close(gpu.xp.matmul(given["x"], given["w"]) + given["b"], y.get().astype("float64"), dtype, inputs)
    made = {name: gpu.xp.full(one.shape, np.nan, dtype) for name, one in (("dx", x), ("dw", w), ("db", b))}
    table[Linear.backward](gpu.xp, given["dy"], given["x"], given["w"], **made)
    close(made["dx"], wide["dy"] @ wide["w"].T, dtype, outputs)
    close(made["dw"], wide["x"].T @ wide["dy"], dtype, batch)
    close(made["db"], wide["dy"].sum(axis=0), dtype, batch)
    assert "left to CuPy" not in ours.describe()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stacks_on_a_gpu_are_those_of_cupy(gpu, dtype):
    ours = products_of(gpu)
    for a_shape, b_shape in (((6, 33, 17), (6, 17, 9)), ((6, 33, 17), (17, 9)), ((2, 3, 8, 8), (2, 3, 8, 8))):
        a, b = drawn(a_shape, dtype, 0), drawn(b_shape, dtype, 1)
        exact = a.astype("float64") @ b.astype("float64")
        y = gpu.xp.full(exact.shape, np.nan, dtype)
        ours.overrides()[MatrixProduct.forward](gpu.xp, gpu.asarray(a), gpu.asarray(b), y=y)
        close(y, exact, dtype, a_shape[-1])
    assert "left to CuPy" not in ours.describe()


@pytest.mark.gpu
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_captured_product_has_the_bits_of_one_at_once(gpu, size, timed):
    cuda, ours = gpu.xp.cuda, products_of(gpu)
    batch, inputs, outputs = size
    x, w, b = (
        gpu.asarray(drawn(shape, "float32", seed))
        for seed, shape in enumerate(((batch, inputs), (inputs, outputs), (outputs,)))
    )
    at_once, replayed = (gpu.xp.full((batch, outputs), np.nan, "float32") for _ in range(2))
    # What must not come first in a capture: the handle, and the kernel that adds a bias.
    assert ours.multiply(x, w, at_once, b) if timed else ours.multiply(x.copy(), w.copy(), at_once)
    gpu.xp.add(at_once, b, out=at_once)
    gpu.kernel(Add.forward)(gpu.xp, at_once, b, y=at_once)
    gpu.synchronize()
    stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
    with stream, cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        taken = ours.multiply(x, w, replayed, b)
        graph = stream.end_capture()
    assert taken
    for _ in range(2):
        replayed.fill(np.nan)
        graph.launch()
        assert ours.multiply(x, w, at_once, b)
        np.testing.assert_array_equal(replayed.get(), at_once.get())


@pytest.mark.gpu
def test_what_was_timed_on_a_gpu_is_taken_again(gpu, tmp_path):
    x, w = (gpu.asarray(drawn(shape, "float32", seed)) for seed, shape in enumerate(((129, 257), (257, 31))))
    results, files = [], []
    for _ in range(2):
        y = gpu.xp.full((129, 31), np.nan, "float32")
        assert products_of(gpu).multiply(x, w, y)
        results.append(y.get())
        files.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("products/*")})
    np.testing.assert_array_equal(*results)
    assert files[0] == files[1] != {}
