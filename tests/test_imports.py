"""What does importing cost, what does it pull in, and who imports whom?"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import backends
import engine

ROOTS = {"engine": Path(engine.__file__).parent, "backends": Path(backends.__file__).parent}
MODULES = {
    ".".join((package, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__"): path
    for package, root in ROOTS.items()
    for path in sorted(root.rglob("*.py"))
}
HEAVY = ["cupy", "matplotlib", "sklearn", "rich", "typer", "pandas", "scipy", "torch", "jax", "PIL"]
BOUND = 0.060  # seconds


def in_a_process(code):
    """What a program prints, with compiled modules kept from one run to the next, as for every user."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    line, folder = [sys.executable, "-c", code], ROOTS["engine"].parent
    result = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=True, cwd=folder)
    return json.loads(result.stdout)


def test_importing_the_engine_loads_no_optional_library():
    loaded = in_a_process(
        "import sys, json, engine; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    assert "numpy" in loaded
    assert set(HEAVY) & set(loaded) == set()


def test_importing_the_engine_is_quick():
    """The least of several pairs, one after the other: other work on the machine only ever adds to a time."""
    code = "import time, json; start = time.perf_counter(); import {}; print(json.dumps(time.perf_counter() - start))"
    added = []
    for _ in range(12):
        alone, both = in_a_process(code.format("numpy")), in_a_process(code.format("numpy, engine"))
        added.append(both - alone)
        if min(added) <= BOUND and len(added) >= 3:
            break
    assert min(added) <= BOUND, f"import engine adds {min(added) * 1000:.0f} ms to import numpy"


def imports_at_load(path, package):
    """The modules of the project that a file imports when it is loaded: not in functions, not for the type checker."""

    def walk(statements):
        for statement in statements:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
                yield from walk(statement.orelse)
                continue
            yield statement
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from walk(getattr(statement, field, []))

    for node in walk(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


GRAPH = {
    name: {found for found in imports_at_load(path, name) if found in MODULES and found != name}
    for name, path in MODULES.items()
}


def cycle_through(start):
    waiting, seen = [(start, (start,))], set()
    while waiting:
        name, route = waiting.pop()
        for following in GRAPH[name]:
            if following == start:
                return (*route, start)
            if following not in seen:
                seen.add(following)
                waiting.append((following, (*route, following)))
    return None


def test_no_module_imports_itself_by_a_circle():
    assert [cycle_through(name) for name in GRAPH if cycle_through(name)] == []


def test_every_module_can_be_the_first():
    """A circle that the sources hide shows when a module in its middle is imported first."""
    names = [name for name in MODULES if not name.endswith("__main__")]
    code = (
        "import sys, json, importlib\nbroken = {}\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m.partition('.')[0] in ('engine', 'backends')]:\n"
        "        del sys.modules[loaded]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        broken[name] = str(error)\n"
        "print(json.dumps(broken))"
    )
    assert in_a_process(code) == {}


def test_backends_import_nothing_of_the_engine():
    for name, path in MODULES.items():
        if name.partition(".")[0] == "backends":
            imported = [
                part
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                for part in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            ]
            assert [one for one in imported if one.partition(".")[0] == "engine"] == [], name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_short_and_says_what_it_answers(name):
    text = MODULES[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    assert ast.get_docstring(ast.parse(text)), "the first line says which question the file answers"


def test_the_public_names_are_those_of_the_contract():
    layers = "Linear Maxout Sigmoid Tanh ReLU LeakyReLU ELU GELU SiLU Softplus Softmax Dropout BatchNorm LayerNorm"
    losses = "SquaredError MeanSquaredError MeanAbsoluteError Huber CrossEntropy BinaryCrossEntropy Logistic Hinge"
    others = (
        "StochasticDepth Residual Flatten Sequential TripletMargin Tensor Parameter Operation Layer Loss apply no_grad"
    )
    errors = "EngineError ShapeError DtypeError DeviceError GradientError UnknownNameError DataError NotFiniteError"
    for name in " ".join((layers, losses, others, errors)).split():
        assert isinstance(getattr(engine, name), type) or callable(getattr(engine, name)), name
    for name in errors.split():
        assert issubclass(getattr(engine, name), engine.EngineError)
        assert getattr(engine, name).__module__ == "engine"
