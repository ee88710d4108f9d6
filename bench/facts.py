"""What does a result depend on besides the code? The machine, its libraries and the day."""

import datetime
import os
import platform
from typing import Any

import numpy as np

import backends
import engine
from bench import unpinned


def facts() -> dict[str, Any]:
    """What a result depends on besides the code."""
    return {
        "date": datetime.date.today().isoformat(),
        "engine": engine.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "taken out of the environment": unpinned,
        **{name: value for name, value in backends.get("cpu").describe().items() if name in ("processor", "BLAS")},
    }
