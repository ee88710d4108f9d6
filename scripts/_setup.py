"""How does a fresh machine get what it needs? The set-up that scripts/train.py and scripts/test.py share.

Standard library only. No syntax newer than Python 3.6 is used (hence the plain type hints), so that an old Python is
answered in words and not with a syntax error.
"""

import ctypes
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINIMUM_PYTHON = (3, 11)
CUPY = {"cuda12", "cuda13"}  # the extras that bring it: one of them, where there is a driver
PYTHON = "{}.{}.{}".format(*sys.version_info)
# pip and venv write UTF-8 or the machine's own code; a letter that is not understood must not stop the set-up.
TEXT = {"encoding": "utf-8", "errors": "replace"}

# What pip reports when the package index, or the proxy before it, does not answer.
UNREACHABLE = re.compile(
    r"after connection broken by|Max retries exceeded|NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout"
    r"|ProxyError|SSLError|problem confirming the ssl certificate|ConnectionResetError|RemoteDisconnected"
)
# What stops pip on a machine whose network is well, warnings about it or not.
LOCAL_TROUBLE = re.compile(r"No space left|Permission denied|Read-only file system|conflicting dependencies")


class SetupError(Exception):
    """The set-up cannot go on; the message is the one line that the user reads."""


def say(line: str) -> None:
    """Report on standard error: standard output belongs to the command that follows."""
    print(line, file=sys.stderr, flush=True)


def check_python() -> None:
    if sys.version_info < MINIMUM_PYTHON:
        raise SetupError(
            "Python: this is {} ({}); chalkgrad needs {}.{} or newer. Run the script with a newer Python.".format(
                PYTHON, sys.executable, *MINIMUM_PYTHON
            )
        )


class Environment:
    """The virtual environment in `folder`, for the project in `root`.

    `installed.json` in it says what a finished installation left: the extras, and a key that changes with
    pyproject.toml, the Python version and the place of the project. The file `unfinished` is there while something is
    being made; found at the start of a later run, it means that the environment cannot be trusted.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.log = folder / "install.log"
        self.stamp = folder / "installed.json"
        self.unfinished = folder / "unfinished"

    def usable(self) -> bool:
        """Whether it was finished, its Python starts, has pip, and is of the running Python's version."""
        if self.unfinished.exists() or not self.python.exists():
            return False
        question = f"import sys, pip; print(sys.version_info[:2] == {tuple(sys.version_info[:2])})"
        try:
            answer = subprocess.run([str(self.python), "-I", "-c", question], capture_output=True, text=True)
        except OSError:
            return False
        return answer.stdout.strip() == "True"

    def create(self) -> None:
        """Make it anew from the running Python, whatever is in its folder."""
        lacking = [module for module in ("venv", "ensurepip") if importlib.util.find_spec(module) is None]
        if lacking:
            raise SetupError(
                f"Virtual environment: {sys.executable} comes without the module {lacking[0]}. Install it (on Debian "
                f"and Ubuntu: apt install python{PYTHON.rpartition('.')[0]}-venv) or use another Python."
            )
        if self.folder.exists():
            shutil.rmtree(str(self.folder))
        self.folder.mkdir(parents=True)
        self.unfinished.touch()
        # From inside a virtual environment (perhaps this very one) go back to the Python that it was made from.
        python = getattr(sys, "_base_executable", None) or sys.executable
        result = subprocess.run(
            [python, "-m", "venv", str(self.folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **TEXT
        )
        self.log.write_text(result.stdout, encoding="utf-8")
        if result.returncode != 0:
            raise SetupError(
                f"Virtual environment: {last_error(result.stdout)}; it could not be made. Full log: {self.log}"
            )
        self.unfinished.unlink()

    def pip_install(self, *arguments: str, needed: str) -> None:
        """Run pip quietly; on failure raise one line that says why. `needed` names what would have been installed."""
        self.unfinished.touch()
        logged = len(self.log.read_text(**TEXT)) if self.log.exists() else 0
        command = [str(self.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        result = subprocess.run(
            [*command, "--log", str(self.log), *arguments],
            cwd=str(self.root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **TEXT,
        )
        self.unfinished.unlink()
        if result.returncode == 0:
            return
        # What failed while the project was built is in the log only.
        report = result.stdout + self.log.read_text(**TEXT)[logged:] if self.log.exists() else result.stdout
        if UNREACHABLE.search(report) and not LOCAL_TROUBLE.search(report):
            raise SetupError(
                f"Network: the package index could not be reached; {needed} come from it. Connect to a network, or set "
                "pip's index-url or proxy to one that can be reached, and run the same command again. "
                f"Full log: {self.log}"
            )
        if self.stamp.exists():
            self.stamp.unlink()
        raise SetupError(f"pip: {last_error(report)}; wanted were {needed}. Full log: {self.log}")

    def key(self) -> str:
        """What an installation depends on: another key, another installation."""
        place = f"{self.root} {sys.version_info[:2]}"
        return hashlib.sha256((self.root / "pyproject.toml").read_bytes() + place.encode()).hexdigest()

    def read_stamp(self) -> dict:
        nothing = {"key": "", "extras": [], "declined": []}
        try:
            return {**nothing, **json.loads(self.stamp.read_text(encoding="utf-8"))}
        except (OSError, ValueError):
            return nothing

    def write_stamp(self, extras: set, declined: set) -> None:
        content = {"key": self.key(), "extras": sorted(extras), "declined": sorted(declined)}
        new = self.stamp.with_suffix(".new")
        new.write_text(json.dumps(content) + "\n", encoding="utf-8")
        os.replace(str(new), str(self.stamp))

    def requirements(self, extras: list) -> str:
        """The names of the packages that the project and these extras ask for, and that building it asks for."""
        import tomllib  # from Python 3.11 on, so not at the top

        with open(str(self.root / "pyproject.toml"), "rb") as file:
            description = tomllib.load(file)
        project = description["project"]
        wanted = list(project["dependencies"])
        for extra in extras:
            wanted += project["optional-dependencies"][extra]
        wanted += description["build-system"]["requires"]
        return ", ".join(dict.fromkeys(re.match(r"[\w.-]+", requirement).group() for requirement in wanted))

    def install(self, extras: list) -> None:
        """The project, editable, with these extras."""
        self.pip_install("--editable", f".[{','.join(extras)}]", needed=self.requirements(extras))

    def prepare(self, extras: list) -> None:
        """Bring the environment to where the project and these extras are installed; do nothing where they are.

        Extras accumulate: those of an earlier call stay. CuPy is tried where an NVIDIA driver is; without CuPy the
        project works on the CPU, so its failure is reported and remembered, and does not stop anything.
        """
        if not self.usable():
            say(f"Making {self.folder} with Python {PYTHON}.")
            self.create()
        stamp = self.read_stamp()
        before = set(stamp["extras"])
        current = stamp["key"] == self.key()
        installed = before if current else set()
        declined = set(stamp["declined"]) if current else set()

        wanted = set(extras) | (before - CUPY)
        missing = sorted(wanted - installed)
        if missing:
            say(f"Installing {self.requirements(missing)} (a minute or two, once).")
            self.install(missing)
            installed = installed | set(missing)
            self.write_stamp(installed, declined)

        # One CuPy wheel only: the one that is there stays (a newer driver runs it too).
        if not CUPY & (installed | declined):
            cuda = next((extra for extra in before if extra in CUPY), None) or cuda_extra()
            if cuda is not None:
                self.install_cuda(cuda, installed, declined)

    def install_cuda(self, cuda: str, installed: set, declined: set) -> None:
        say(f"Installing the extra {cuda}: CuPy and the CUDA libraries, more than a gigabyte, once.")
        try:
            self.install([cuda])
        except SetupError as error:
            say(str(error))
            say("CuPy is not installed: this runs on the CPU, from now on without trying again.")
            say(f'To try again: "{self.python}" -m pip install --editable "{self.root}[{cuda}]"')
            declined = declined | {cuda}
        else:
            installed = installed | {cuda}
        self.write_stamp(installed, declined)


def last_error(report: str) -> str:
    """The last line that reports an error, or else the last one that says anything."""
    errors = re.findall(r"\b(?:ERROR|Error): +(?!.*pip subprocess to install build)(.*\S)", report)
    return (errors or report.strip().splitlines() or ["it ended without a word"])[-1].rstrip(".")


def cuda_version():
    """The newest CUDA version that the NVIDIA driver runs, such as (12, 4); None where no driver answers."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def cuda_extra():
    """The extra with the CuPy for this machine's NVIDIA driver; None without a driver, or where GPUs are hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    version = cuda_version()
    if version is None:
        if shutil.which("nvidia-smi"):
            say(
                "NVIDIA driver: nvidia-smi is there, its library does not load; CuPy is left out, this runs on the CPU."
            )
        return None
    if version < (12, 0):
        say("NVIDIA driver: it runs CUDA {}.{}; CuPy needs 12.0 or newer. Update it to use the GPU.".format(*version))
        return None
    extra = "cuda12" if version < (13, 0) else "cuda13"
    say("NVIDIA driver for CUDA %d.%d found.".format(*version))
    return extra


def run(command: list) -> int:
    """Become this command, so that its exit code, and every signal to it, are its own."""
    if os.name != "nt":
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child got it too, and decides what to do
            continue


def main(extras: list, command: list) -> int:
    """Set up .venv with these extras, then run its Python with the arguments of `command`; return the exit code."""
    environment = Environment(ROOT, ROOT / ".venv")
    try:
        check_python()
        environment.prepare(extras)
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"Set-up: {error}; {environment.folder} must be a folder that can be written, or nothing yet.")
        return 1
    except KeyboardInterrupt:
        say("Set-up: interrupted; run the same command again.")
        return 130
    return run([str(environment.python), *command])
