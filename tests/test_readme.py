"""Is the README true? Its listings run, its command lines are understood, and what it links to is there."""

import re
import shlex
from pathlib import Path

import pytest

from engine.commands import make_parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
LINES = [line.partition("#")[0].strip() for line in re.findall(r"^\$ python -m engine (.+)$", README, re.M)]


def test_the_listings_run_in_order(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert [names[name].grad.item() for name in "xz"] == [-4.0, 3.0]
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "'accuracy': 0.9" in capsys.readouterr().out


@pytest.mark.parametrize("line", LINES)
def test_the_command_lines_are_understood(line):
    assert make_parser().parse_args(shlex.split(line)).run


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_what_it_links_to_is_there(target):
    assert (ROOT / target).is_file()
