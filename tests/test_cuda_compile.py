"""Does the source of a GPU's kernels compile for every kind of GPU, and is what was compiled kept? Without a GPU."""

import hashlib
import re
import sys
from types import SimpleNamespace

import pytest

from backends import cuda, native
from backends.cuda import compile

NO_NVRTC = cuda.problem()
needs_nvrtc = pytest.mark.skipif(NO_NVRTC is not None, reason=f"kernels for GPUs: {NO_NVRTC}")
needs_native = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")
kinds = pytest.mark.parametrize("kind", [0, 1], ids=["float", "double"])


def entries(kind):
    return {name for name in native.kernels.device_kernels(kind) if name}


# -- NVRTC -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_nvrtc
@kinds
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_every_kernel_compiles_and_stays_in_registers(arch, kind):
    code, said = compile.compiled(arch, kind, "--ptxas-options=-v")
    assert code.startswith(b"\x7fELF")
    assert "warning" not in said.lower()
    found = {}
    for name, rest in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", said, re.DOTALL):
        assert name.encode() + b"\0" in code
        frame, stores, loads = (
            int(one)
            for one in re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", rest).groups()
        )
        found[name] = max(frame, stores, loads)
    assert set(found) == entries(kind)
    # No array of a thread is in memory: a stack is a few numbers that the compiler moved out of registers.
    assert {name: size for name, size in found.items() if size > 64} == {}


@pytest.fixture(scope="module")
def bodies():
    """Of each type the kernels by their names, in the assembly language that a driver compiles."""
    codes = [compile.compiled("compute_90", kind)[0].decode() for kind in (0, 1)]
    parts = [re.split(r"\.entry (\w+)\(", code)[1:] for code in codes]
    return [dict(zip(part[::2], part[1::2], strict=True)) for part in parts]


@needs_nvrtc
@kinds
def test_no_arithmetic_is_contracted_or_approximate(bodies, kind):
    assert set(bodies[kind]) == entries(kind)
    others = {name for name, body in bodies[kind].items() if re.search(r"fma\.|\.ftz|\.approx", body)}
    assert others == {f"launch_log_softmax_{'double' if kind else 'float'}"}  # its logarithm is CUDA's own


CURVES = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "silu", "softplus")
READ_AND_WRITTEN = {  # how many arrays, in 16 bytes a thread
    **{name: (1, 1) for name in (*CURVES, "negative", "square_roots", "masked", "scale_by_norm", "clip_by_value")},
    **{f"{name}_gradient": (2, 1) for name in CURVES},
    **{"adagrad": (3, 2), "adam": (4, 3), "nadam": (4, 3), "lion": (3, 2), "move_average": (2, 1), "fill": (0, 1)},
    **{"sgd": (3 + 2, 2 + 1), "rmsprop": (4 + 3, 3 + 2)},  # with the velocity, and without
    **{name: (2 + 1 + 1, 1 + 1 + 1) for name in ("add", "subtract", "multiply", "divide")},  # a number for either
}


@needs_nvrtc
@kinds
@pytest.mark.parametrize("name", READ_AND_WRITTEN)
def test_elements_are_loaded_and_stored_16_bytes_at_once(bodies, kind, name):
    type, moved = (("float", r"v4\.[fu]32"), ("double", r"v2\.[fu]64"))[kind]
    body = bodies[kind][f"launch_{name}_{type}"]
    moves = [len(re.findall(rf"{what}\.global\S*\.{moved}", body)) for what in ("ld", "st")]
    assert tuple(moves) == READ_AND_WRITTEN[name]
    assert ".local" not in body


@needs_nvrtc
def test_where_the_host_lays_a_call_out_otherwise_it_does_not_compile(monkeypatch):
    layout = native.kernels.device_layout()
    for name in ("SIZE_OF_CALL", "AT_NUMBERS", "AT_PLACE"):
        changed = {**layout, name: layout[name] + 8}
        monkeypatch.setattr(compile, "kernels", SimpleNamespace(device_layout=lambda changed=changed: changed))
        with pytest.raises(compile.CompileError, match=r"could not compile the kernels for sm_90: .*static assertion"):
            compile.compiled("sm_90", 0)


@needs_nvrtc
def test_a_gpu_that_is_newer_than_nvrtc_gets_what_its_driver_compiles():
    assert compile.architecture(90) == "sm_90"
    newer = compile.architecture(9999)
    assert newer.startswith("compute_1")
    code, _ = compile.compiled(newer, 0)
    assert all(f".entry {name}(".encode() in code for name in entries(0))
    with pytest.raises(compile.CompileError, match=r"does not compile for GPUs of compute capability 1\.0"):
        compile.architecture(10)


@needs_native
def test_without_nvrtc_the_reason_is_told(monkeypatch):
    compile.library.cache_clear()
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    try:
        assert cuda.problem().startswith("NVRTC was not found (")
    finally:
        compile.library.cache_clear()


# -- the cache ---------------------------------------------------------------------------------------------


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """What was compiled: (architecture, type); a stand-in compiles, into a cache of its own."""
    if native.problem() is not None:
        pytest.skip(f"compiled kernels: {native.problem()}")
    made = []

    def compiled(arch, kind):
        made.append((arch, kind))
        return f"code {arch} {kind}".encode(), ""

    monkeypatch.setattr(compile, "compiled", compiled)
    monkeypatch.setattr(compile, "version", lambda: (12, 9))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def test_what_was_compiled_is_kept(compilations, monkeypatch):
    for _ in range(2):
        assert compile.cached("sm_90", 0) == b"code sm_90 0"
    assert compile.cached("sm_80", 0) == b"code sm_80 0"
    assert compile.cached("sm_90", 1) == b"code sm_90 1"
    assert compilations == [("sm_90", 0), ("sm_80", 0), ("sm_90", 1)]
    monkeypatch.setattr(compile, "version", lambda: (13, 0))
    compile.cached("sm_90", 0)
    assert len(compilations) == 4
    assert [path.name.split("-")[0] for path in sorted(compile.cache_folder().iterdir())] == ["sm_80", *["sm_90"] * 3]


def test_a_change_of_the_source_is_compiled(compilations, monkeypatch, tmp_path):
    compile.cached("sm_90", 0)
    (tmp_path / "more.h").write_text("/* new */")
    monkeypatch.setattr(compile, "FOLDERS", (*compile.FOLDERS, tmp_path))
    compile.cached("sm_90", 0)
    (tmp_path / "more.h").write_text("/* newer */")
    compile.cached("sm_90", 0)
    assert len(compilations) == 3


@pytest.mark.parametrize("damage", [b"", b"x" * 20, b"x" * 200])
def test_a_damaged_file_is_made_again(compilations, damage):
    compile.cached("sm_90", 0)
    (path,) = compile.cache_folder().iterdir()
    whole = path.read_bytes()
    assert whole[:32] == hashlib.sha256(b"code sm_90 0").digest()
    path.write_bytes(damage)
    assert compile.cached("sm_90", 0) == b"code sm_90 0"
    assert path.read_bytes() == whole
    assert len(compilations) == 2


def test_without_a_folder_to_keep_it_in_it_is_compiled_each_time(compilations, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        assert compile.cached("sm_90", 0) == b"code sm_90 0"
    assert len(compilations) == 2


def test_what_cannot_be_written_whole_is_not_there(compilations, monkeypatch):
    def fail(*paths):
        raise OSError("full")

    monkeypatch.setattr(compile.os, "replace", fail)
    assert compile.cached("sm_90", 0) == b"code sm_90 0"
    assert list(compile.cache_folder().iterdir()) == []
