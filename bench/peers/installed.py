"""How much room does a library take, with all that it depends on? Run by the Python that has it.

The standard library is enough for it:

    python -m bench.peers.installed torch
    python -m bench.peers.installed --tree /path/to/the/project

prints one line of JSON: the bytes of each distribution's files, but for compiled bytecode, which any Python makes anew.
"""

import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path

PACKAGES = ("engine", "backends")
INSTALLED = (".py", ".typed", ".so", ".pyd")  # of what stands in the project's folders


def size_of(distribution: importlib.metadata.Distribution) -> int:
    """The bytes of its files that are there."""
    total = 0
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if path.suffix != ".pyc" and path.is_file():
            total += path.stat().st_size
    return total


def needed(requirements: list[str]) -> list[str]:
    """The names of requirements that no extra brings."""
    names = []
    for line in requirements:
        found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if found is not None and "extra ==" not in line:
            names.append(found.group())
    return names


def closure(names: list[str]) -> dict[str, int]:
    """Bytes by distribution, of these and of all that they need; one that is not installed here is not needed here."""
    sizes: dict[str, int] = {}
    waiting = list(names)
    while waiting:
        try:
            distribution = importlib.metadata.distribution(waiting.pop())
        except importlib.metadata.PackageNotFoundError:
            continue
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name not in sizes:
            sizes[name] = size_of(distribution)
            waiting += needed(distribution.requires or [])
    return sizes


def tree(root: Path) -> dict[str, int]:
    """The project as it would be installed, and what it depends on here."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    files = (path for name in PACKAGES for path in (root / name).rglob("*"))
    own = sum(path.stat().st_size for path in files if path.suffix in INSTALLED and "__pycache__" not in path.parts)
    return {project["name"]: own, **closure(needed(project["dependencies"]))}


if __name__ == "__main__":
    print(json.dumps(tree(Path(sys.argv[2])) if sys.argv[1] == "--tree" else closure(sys.argv[1:])))
