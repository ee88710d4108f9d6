"""Where does the time of a step go? Watched steps, by operation and by layer, as a table and a picture."""

from engine.profiling.profiler import profile
from engine.profiling.result import Operation, Part, Profile

__all__ = ["Operation", "Part", "Profile", "profile"]
