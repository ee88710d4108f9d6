"""Is the distribution what it says? Cheap facts; scripts/check_wheel.py builds and installs the wheel."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = DESCRIPTION["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = ("engine", "backends")

# Which extra or hard dependency brings each import. CuPy comes with the modules cupyx and cuda.
BROUGHT_BY = {
    "numpy": "numpy",
    "safetensors": "safetensors",
    "rich": "rich",
    "shtab": "shtab",
    "matplotlib": "plots",
    "sklearn": "sklearn",
    "pyarrow": "tables",
    "PIL": "images",
    "cupy": "cuda12",
    "cupyx": "cuda12",
    "cupy_backends": "cuda12",
    "cuda": "cuda12",
}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement).group() for requirement in requirements}


def imported_modules(package: str) -> set[str]:
    """The top-level names that the sources of a package import, anywhere."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    return found


def test_hard_dependencies() -> None:
    assert names(PROJECT["dependencies"]) == {"numpy", "safetensors", "rich", "shtab"}
    assert "numpy>=2.1" in PROJECT["dependencies"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_extras() -> None:
    assert set(EXTRAS) == set(
        ["cuda12", "cuda13", "cuda-check", "mkl", "plots", "sklearn", "tables", "images", "test", "bench", "all"]
    )
    assert names(EXTRAS["cuda12"]) == {"cupy-cuda12x"}
    assert names(EXTRAS["cuda13"]) == {"cupy-cuda13x"}
    (everything,) = EXTRAS["all"]
    assert "cuda" not in everything, "two CuPy wheels at once break each other"


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed_and_whole(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in DESCRIPTION["tool"]["setuptools"]["package-data"][package]
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_what_a_gpu_runs_is_shipped_as_source() -> None:
    patterns = DESCRIPTION["tool"]["setuptools"]["package-data"]["backends"]
    shipped = {path for pattern in patterns for path in (ROOT / "backends").glob(pattern)}
    for folder in ("cuda", "native"):
        sources = {path for path in (ROOT / "backends" / folder).iterdir() if path.suffix in (".h", ".cu")}
        assert sources
        assert sources <= shipped


def test_only_the_two_packages_are_shipped() -> None:
    include = DESCRIPTION["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {pattern.split(".")[0] for pattern in include} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_declared(package: str) -> None:
    foreign = imported_modules(package) - set(sys.stdlib_module_names) - set(PACKAGES)
    assert foreign <= set(BROUGHT_BY)
    assert {BROUGHT_BY[name] for name in foreign} <= names(PROJECT["dependencies"]) | set(EXTRAS)


def test_licence_is_the_named_one() -> None:
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
