"""Do the set-up scripts install once, remember it, and answer every failure in one line? pip is a stand-in here."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
[project]
dependencies = ["numpy>=2.1", "rich"]
[project.optional-dependencies]
plots = ["matplotlib>=3.9"]
test = ["pytest"]
cuda12 = ["cupy-cuda12x[ctk]>=14"]
cuda13 = ["cupy-cuda13x[ctk]>=14"]
"""
RETRYING = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('Connection refused')'"
NOT_FOUND = "ERROR: No matching distribution found for numpy>=2.1"


def load_setup() -> ModuleType:
    """scripts/_setup.py, fresh, as the scripts import it."""
    specification = importlib.util.spec_from_file_location("_setup_under_test", ROOT / "scripts" / "_setup.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Machine:
    """A machine whose venv and pip do as told: `pip_says` is None (all goes well), a text (fails), or an exception."""

    def __init__(self, setup: ModuleType, root: Path) -> None:
        self.environment = setup.Environment(root, root / ".venv")
        self.created = 0
        self.installed = []
        self.pip_says = None
        self.usable = "True\n"

    def run(self, command: list, **options: object) -> SimpleNamespace:
        if command[1:3] == ["-m", "venv"]:
            self.created += 1
            self.environment.python.parent.mkdir(parents=True)
            self.environment.python.touch()
            self.usable = "True\n"
            return SimpleNamespace(returncode=0, stdout="")
        if command[1:4] == ["-m", "pip", "install"]:
            assert self.environment.unfinished.exists()
            self.installed.append(command[-1])
            if isinstance(self.pip_says, BaseException):
                raise self.pip_says
            return SimpleNamespace(returncode=0 if self.pip_says is None else 1, stdout=self.pip_says or "")
        return SimpleNamespace(returncode=0, stdout=self.usable)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_setup()
    monkeypatch.setattr(module, "cuda_version", lambda: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    return module


@pytest.fixture
def machine(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    result = Machine(setup, tmp_path)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup.subprocess, "run", result.run)
    return result


def stamp_of(machine: Machine) -> dict:
    return json.loads(machine.environment.stamp.read_text())


# -- what is installed, and when --------------------------------------------------------------------------------------


def test_first_call_installs_and_second_does_nothing(machine: Machine, capsys: pytest.CaptureFixture) -> None:
    machine.environment.prepare(["plots"])
    assert machine.created == 1
    assert machine.installed == [".[plots]"]
    assert "numpy, rich, matplotlib, setuptools" in capsys.readouterr().err
    machine.environment.prepare(["plots"])
    assert machine.created == 1
    assert machine.installed == [".[plots]"]
    assert capsys.readouterr().err == ""
    assert not machine.environment.unfinished.exists()


def test_extras_accumulate(machine: Machine) -> None:
    machine.environment.prepare(["plots"])
    machine.environment.prepare(["plots", "test"])
    machine.environment.prepare(["plots"])
    assert machine.installed == [".[plots]", ".[test]"]
    assert stamp_of(machine)["extras"] == ["plots", "test"]


def test_changed_pyproject_installs_everything_again(machine: Machine) -> None:
    machine.environment.prepare(["plots", "test"])
    (machine.environment.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    machine.environment.prepare(["plots"])
    assert machine.created == 1
    assert machine.installed == [".[plots,test]", ".[plots,test]"]


def test_another_python_makes_the_environment_again(machine: Machine) -> None:
    machine.environment.prepare(["plots"])
    machine.usable = "False\n"
    machine.environment.prepare(["plots"])
    assert machine.created == 2
    assert machine.installed == [".[plots]", ".[plots]"]


def test_missing_python_makes_the_environment_again(machine: Machine) -> None:
    machine.environment.prepare(["plots"])
    machine.environment.python.unlink()
    machine.environment.prepare(["plots"])
    assert machine.created == 2


def test_unreadable_stamp_installs_again(machine: Machine) -> None:
    machine.environment.prepare(["plots"])
    machine.environment.stamp.write_text("{")
    machine.environment.prepare(["plots"])
    assert machine.installed == [".[plots]", ".[plots]"]


# -- failures ---------------------------------------------------------------------------------------------------------


def test_failed_install_leaves_no_stamp(setup: ModuleType, machine: Machine) -> None:
    machine.pip_says = f"Collecting numpy\n{NOT_FOUND}"
    with pytest.raises(setup.SetupError, match=r"No matching distribution found for numpy.*install\.log"):
        machine.environment.prepare(["plots"])
    assert not machine.environment.stamp.exists()
    machine.pip_says = None
    machine.environment.prepare(["plots"])
    assert machine.installed == [".[plots]", ".[plots]"]
    assert machine.created == 1


def test_interrupted_install_is_not_trusted(machine: Machine) -> None:
    machine.environment.prepare(["plots"])
    machine.pip_says = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        machine.environment.prepare(["plots", "test"])
    machine.pip_says = None
    machine.environment.prepare(["plots"])
    assert machine.created == 2
    assert stamp_of(machine)["extras"] == ["plots"]


@pytest.mark.parametrize("where", ["output", "log"])
def test_without_network_one_line_names_the_packages(
    setup: ModuleType, machine: Machine, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    machine.environment.prepare(["plots"])
    former = stamp_of(machine)
    capsys.readouterr()
    report = f"{RETRYING}\n{NOT_FOUND}\n"
    machine.pip_says = report if where == "output" else "error: subprocess-exited-with-error"

    def run(command: list, **options: object) -> SimpleNamespace:
        result = machine.run(command)
        if where == "log" and result.returncode:
            with machine.environment.log.open("a") as log:
                log.write(report)
        return result

    monkeypatch.setattr(setup.subprocess, "run", run)
    assert setup.main(["plots", "test"], ["-m", "pytest"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("Installing numpy, rich, pytest, setuptools")
    assert said[1].startswith(
        "Network: the package index could not be reached; numpy, rich, pytest, setuptools come from"
    )
    assert str(machine.environment.log) in said[1]
    assert stamp_of(machine) == former  # pip had changed nothing: what was installed still is


def test_full_disk_is_not_called_a_network_failure(setup: ModuleType, machine: Machine) -> None:
    machine.pip_says = f"{RETRYING}\nERROR: Could not install packages due to an OSError: No space left on device"
    with pytest.raises(setup.SetupError, match=r"^pip: .*No space left on device"):
        machine.environment.prepare(["plots"])


def test_old_python_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 2))
    assert setup.main([], []) == 1
    assert "chalkgrad needs 3.11 or newer" in capsys.readouterr().err


def test_minimum_python_is_that_of_the_project(setup: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*setup.MINIMUM_PYTHON)


def test_missing_ensurepip_is_named(setup: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(setup.SetupError, match=r"without the module ensurepip.*-venv"):
        machine.environment.prepare(["plots"])
    assert not machine.environment.folder.exists()


def test_failed_venv_says_why(setup: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(returncode=1, stdout="Error: no room for symbolic links\n")
    monkeypatch.setattr(setup.subprocess, "run", lambda command, **options: answer)
    with pytest.raises(setup.SetupError, match="no room for symbolic links"):
        machine.environment.prepare(["plots"])
    assert not machine.environment.usable()


def test_file_in_place_of_the_environment(setup: ModuleType, machine: Machine, capsys: pytest.CaptureFixture) -> None:
    machine.environment.folder.touch()
    assert setup.main(["plots"], []) == 1
    assert str(machine.environment.folder) in capsys.readouterr().err.splitlines()[-1]


def test_interruption_is_one_line(setup: ModuleType, machine: Machine, capsys: pytest.CaptureFixture) -> None:
    machine.pip_says = KeyboardInterrupt()
    assert setup.main(["plots"], []) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Set-up: interrupted; run the same command again."


# -- CUDA -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "extra"),
    [((11, 8), None), ((12, 0), "cuda12"), ((12, 9), "cuda12"), ((13, 1), "cuda13"), (None, None)],
)
def test_extra_follows_the_driver(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, version: tuple | None, extra: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(setup, "cuda_version", lambda: version)
    assert setup.cuda_extra() == extra


def test_hidden_gpus_need_no_cupy(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(setup, "cuda_version", lambda: (12, 4))
    assert setup.cuda_extra() is None


def test_driver_version_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_setup()

    class Driver:
        def cuDriverGetVersion(self, pointer: object) -> int:  # noqa: N802 (the driver's own name)
            pointer._obj.value = 12040
            return 0

    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: Driver())
    assert module.cuda_version() == (12, 4)
    monkeypatch.setattr(Driver, "cuDriverGetVersion", lambda self, pointer: 34)
    assert module.cuda_version() is None


def test_one_cupy_wheel_stays_the_only_one(
    setup: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(setup, "cuda_extra", lambda: "cuda12")
    machine.environment.prepare(["plots"])
    monkeypatch.setattr(setup, "cuda_extra", lambda: "cuda13")
    machine.environment.prepare(["plots", "test"])
    assert machine.installed == [".[plots]", ".[cuda12]", ".[test]"]
    assert "Installing the extra cuda12" in capsys.readouterr().err


def test_failed_cupy_is_said_and_remembered(
    setup: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    machine.environment.prepare(["plots"])
    monkeypatch.setattr(setup, "cuda_extra", lambda: "cuda12")
    machine.pip_says = NOT_FOUND
    machine.environment.prepare(["plots"])
    assert "CuPy is not installed: this runs on the CPU" in capsys.readouterr().err
    assert stamp_of(machine) == {**stamp_of(machine), "extras": ["plots"], "declined": ["cuda12"]}
    machine.environment.prepare(["plots"])
    assert machine.installed == [".[plots]", ".[cuda12]"]


# -- the scripts as processes -----------------------------------------------------------------------------------------


@pytest.fixture
def checkout(setup: ModuleType, tmp_path: Path) -> Path:
    """A copy of the scripts beside an environment that is set up: a venv, a stamp, stand-ins for what they run."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    environment = setup.Environment(tmp_path.resolve(), tmp_path.resolve() / ".venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], check=True)
    packages = next(environment.folder.glob("[Ll]ib*/**/site-packages"))
    (packages / "pip.py").touch()
    for module in ("engine", "pytest"):
        (packages / f"{module}.py").write_text(STAND_IN)
    environment.write_stamp({"sklearn", "plots", "tables", "images", "test", "cuda12"}, set())
    return tmp_path


STAND_IN = """
import os, sys, time
print(sys.argv[1:], os.getcwd(), flush=True)
if "--wait" in sys.argv:
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        sys.exit(7)
sys.exit(3 if "--fail" in sys.argv else 0)
"""


def test_train_passes_arguments_and_exit_code(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, str(checkout / "scripts" / "train.py"), "--data", "a b.csv", "--fail"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=elsewhere)
    arguments = ["train", "--data", "digits", "--data", "a b.csv", "--fail"]
    assert result.stdout == f"{arguments} {elsewhere.resolve()}\n"
    assert result.stderr == ""
    assert result.returncode == 3


def test_test_runs_in_the_project(checkout: Path) -> None:
    command = [sys.executable, str(checkout / "scripts" / "test.py"), "-k", "x"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=checkout.parent)
    assert result.stdout == f"['-k', 'x'] {checkout.resolve()}\n"
    assert result.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="sends a signal to one process")
def test_signal_reaches_the_command(checkout: Path) -> None:
    command = [sys.executable, str(checkout / "scripts" / "train.py"), "--wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
        assert "--wait" in process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 7


def test_where_there_is_no_exec_the_child_decides(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [KeyboardInterrupt(), 5]

    def wait() -> int:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(setup, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(setup.subprocess, "Popen", lambda command: SimpleNamespace(wait=wait))
    assert setup.run(["python"]) == 5
