"""Does what we ship work by itself? Builds the wheel, installs it in an empty environment, trains, far from the source.

python scripts/check_wheel.py        # needs the extra `test` (build) and a package index
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from _setup import ROOT, Environment, SetupError, say

PACKAGES = {"engine", "backends"}
WHERE = "import engine, backends; print(engine.__file__); print(backends.__file__)"


def check(statement: bool, message: str) -> None:
    if not statement:
        raise SetupError("Wheel: " + message)


def output_of(*command: str, folder: Path) -> str:
    """What the command prints, run in `folder` and with nothing of the source tree to be found."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    check(
        result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}.\n{result.stdout}{result.stderr}"
    )
    return result.stdout


def build(folder: Path) -> Path:
    """The wheel, made from the source distribution, so that this one is whole too."""
    output_of(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT), folder=folder)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
    strangers = sorted(name for name in folders - PACKAGES if not name.endswith(".egg-info"))
    check(not strangers, f"{source.name} contains {', '.join(strangers)}; they belong to the repository only.")
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_content(wheel: Path) -> None:
    """The two packages with their type marker and the licence, and nothing beside them."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    strangers = sorted(top for top in tops if top not in PACKAGES and not top.endswith(".dist-info"))
    check(not strangers, f"it contains {', '.join(strangers)}; only {', '.join(sorted(PACKAGES))} belong there.")
    for package in sorted(PACKAGES):
        check(f"{package}/py.typed" in names, f"{package}/py.typed is missing.")
        files = [path for ending in ("py", "h", "cu") for path in (ROOT / package).rglob(f"*.{ending}")]
        sources = {path.relative_to(ROOT).as_posix() for path in files}
        check(sources <= names, f"it lacks {', '.join(sorted(sources - names))}.")
    check(any(name.endswith("LICENSE") for name in names), "the licence is missing.")


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            empty = folder / "empty"
            empty.mkdir()
            wheel = build(folder)
            check_content(wheel)
            environment = Environment(folder, folder / "environment")
            environment.create()
            environment.pip_install(str(wheel), needed=f"{wheel.name} and its dependencies")

            python = str(environment.python)
            for place in output_of(python, "-c", WHERE, folder=empty).splitlines():
                check(
                    Path(place).is_relative_to(environment.folder), f"{place} is imported, not the installed package."
                )
            if shutil.which("cc"):
                used = json.loads(output_of(python, "-m", "engine", "info", "--json", folder=empty))["device cpu"]
                check(used["compiled C"] == "in use", f"its compiled kernels are {used['compiled C']}.")
            train = ["train", "--data", "xor", "--epochs", "2", "--quiet"]
            output_of(python, "-m", "engine", *train, "--output", str(folder / "run"), folder=empty)
            script = environment.python.with_name("engine" + environment.python.suffix)
            output_of(str(script), *train, "--output", str(folder / "second-run"), folder=empty)
            print(f"{wheel.name}: installs and trains in an empty environment")
    except SetupError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
