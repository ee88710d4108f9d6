"""How fast is the engine? Benchmarks that anyone can run again: `python -m bench`."""

import os

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_DEBUG_CPU_TYPE", "ONEDNN_MAX_CPU_ISA", "NPY_DISABLE_CPU_FEATURES")
"""Variables that keep a library from the kernels for this processor."""

unpinned = [f"{name}={os.environ.pop(name)}" for name in PINS if name in os.environ]
"""Those that were set. They are taken out before any library is loaded: what is measured is each one's own choice."""
