"""How is a GPU emulated on a CPU? Its kernels as C++, their threads one after the other, over arrays in host memory.

`Emulated` compiles tests/emulated_gpu.cpp, which has backends/cuda in it, and stands in for the driver's launch. Arrays
are the fake device's: they have of CuPy's what the compiled module reads, where elements are and how they are laid out.
"""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_device
from fake_device import NUMBER, FakeArray

from backends import native
from backends.cuda.compile import FOLDERS
from backends.native.table import kernels

SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, *[ctypes.c_uint] * 7, *[ctypes.c_void_p] * 3
)  # as cuLaunchKernel
HERE = Path(__file__).resolve().parent


class Emulated:
    """A GPU that kernels can be launched on; compiled into this folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / "emulated_gpu.so"
        layout = [f"-D{name}={value}" for name, value in kernels.device_layout().items()]
        # -w: the kernels are written for other compilers, whose words are empty here.
        command = [
            "g++",
            "-std=c++17",
            "-O1",
            "-U_FORTIFY_SOURCE",
            "-ffp-contract=off",
            "-fPIC",
            "-shared",
            "-w",
            *layout,
        ]
        command += [f"-I{part}" for part in FOLDERS]
        subprocess.run([*command, str(HERE / "emulated_gpu.cpp"), "-o", str(path)], check=True)
        self.library = ctypes.CDLL(str(path))

    def address(self, name: str) -> int:
        return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value or 0

    def functions(self, kind: int) -> tuple[int, ...]:
        return tuple(self.address(name) if name else 0 for name in kernels.device_kernels(kind))

    def number(self, name: str) -> Any:
        """What tests set and read, as its `value`: order, fails, blocks, launches."""
        return ctypes.c_int64.in_dll(self.library, f"emulated_{name}")

    def plug_in(self, load: Any = None) -> None:
        for name in ("order", "fails", "blocks"):
            self.number(name).value = 0
        self.use_for(FakeArray, load or self.functions)

    def use_for(self, arrays: type, load: Any = None) -> None:
        kernels.use_device(NUMBER, arrays, self.address("emulated_launch"), lambda: 0, load or self.functions)

    def plug_in_capturing(self) -> None:
        """What is launched while the fake device captures runs whenever the graph is launched, as it was told then."""
        size = kernels.device_layout()["SIZE_OF_CALL"]
        run = SIGNATURE(self.address("emulated_launch"))

        def launch(function: int, *rest: Any) -> int:
            call = ctypes.string_at(ctypes.cast(rest[8], ctypes.POINTER(ctypes.c_void_p))[0], size)

            def now() -> int:
                kept = ctypes.create_string_buffer(call, size)
                place = (ctypes.c_void_p * 1)(ctypes.addressof(kept))
                return int(run(function, *rest[:8], ctypes.addressof(place), None))

            if fake_device.captured is None:
                return now()
            fake_device.captured.append(now)
            return 0

        self._kept = SIGNATURE(launch)  # for as long as it may be called
        address = ctypes.cast(self._kept, ctypes.c_void_p).value
        kernels.use_device(NUMBER, FakeArray, address, lambda: 0, self.functions)

    def unplug(self) -> None:
        kernels.use_device(NUMBER, FakeArray, 0, None, None)


def missing() -> str | None:
    """Why there can be no emulated GPU here; None where there can."""
    if native.problem() is not None:
        return f"compiled kernels: {native.problem()}"
    if not sys.platform.startswith("linux"):
        return "its coroutines are Linux's"
    return None if shutil.which("g++") else "there is no C++ compiler"
