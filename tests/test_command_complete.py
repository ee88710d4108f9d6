"""Does a shell complete what the command line takes? Bash is asked; the scripts of the others are read."""

import shutil
import subprocess

import pytest

from engine import commands, data
from engine.commands.complete import SHELLS, script
from engine.layers import Activation
from engine.optimizers import Optimizer

ASK = """
source complete.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_shtab_engine 2>/dev/null  # compopt complains where nobody pressed a key
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """What bash offers for the last of these words."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    folder = tmp_path_factory.mktemp("complete")
    (folder / "complete.bash").write_text(script("bash"))
    (folder / "flowers.csv").write_text("1,2\n")
    (folder / "runs").mkdir()

    def asked(*words):
        done = subprocess.run(
            [bash, "-c", ASK, "bash", "engine", *words], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    return asked


def test_commands_and_options(ask):
    others = {"evaluate", "predict", "summary", "profile", "lesson", "info", "complete"}
    assert set(ask("")) == {"train", *others, *ask("resu")}
    assert ask("ev") == ["evaluate"]
    assert ask("train", "--stoch") == ["--stochastic-depth"]
    assert {"--help", "--betas", "--line-search"} <= set(ask("train", "--"))
    assert "--betas" not in ask("summary", "--")


def test_values_that_are_one_of_a_list(ask):
    assert set(ask("train", "--optimizer", "")) == set(Optimizer.names())
    assert set(ask("train", "--activation", "")) == {*Activation.names(), "maxout"}
    assert ask("train", "--loss", "a") == ["auto"]
    assert ask("train", "--schedule", "co") == ["constant", "cosine"]
    assert ask("train", "--device", "c") == ["cpu", "cuda"]
    assert ask("train", "--batch-size", "") == ["all"]
    assert ask("train", "--epochs", "") == []
    assert ask("train", "--header", "") == ["yes", "no"]
    assert ask("summary", "--initializer", "he") == ["he_uniform", "he_normal"]
    assert ask("complete", "") == list(SHELLS)
    assert ask("lesson", "loss") == ["loss-surface"]


def test_files_and_folders(ask):
    assert set(ask("train", "--data", "")) >= {*data.names(), "flowers.csv", "runs"}
    assert ask("train", "--data", "fl") == ["flowers.csv"]
    assert ask("predict", "runs", "f") == ["fashion-mnist", "flowers.csv"]
    assert ask("predict", "runs", "flowers.csv", "--output", "f") == ["flowers.csv"]
    assert ask("evaluate", "") == ask("train", "--output", "") == ["runs"]
    assert ask("evaluate", "runs", "--confusion", "fl") == ["flowers.csv"]


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_of_every_shell(shell, capsys):
    assert commands.main(["complete", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == script(shell) + "\n"
    assert "strong-wolfe" in printed
    assert "leaky-relu" in printed
    assert {"bash": "complete -o", "zsh": "#compdef engine", "tcsh": "complete engine"}[shell] in printed


def test_other_shells_are_refused(capsys):
    assert commands.main(["complete", "fish"]) == 2
    assert "shell 'fish' is unknown" in capsys.readouterr().err


def test_completion_does_not_change_the_parser(capsys):
    """Choices are told to shells alone: what is wrong is still told with the nearest names."""
    script("bash")
    assert commands.main(["train", "--optimizer", "adma"]) == 2
    assert "optimizer 'adma' is unknown; did you mean adam" in capsys.readouterr().err


def test_help_says_how_to_install(capsys):
    assert commands.main(["complete", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"engine complete {shell} > ~/" in printed for shell in SHELLS)
