"""Do the examples in the docstrings give what they say?"""

import doctest
import importlib
import pkgutil

import pytest

import backends
import engine


def modules():
    for package in (backends, engine):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):  # runs the command line
                yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples(name, monkeypatch, tmp_path):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # where an example writes a file
    # Examples define layers, losses and optimizers of their own, which join the lists of names.
    for kind in (engine.Optimizer, engine.losses.Loss):
        monkeypatch.setattr(kind, "members", dict(kind.members))
    failed, _ = doctest.testmod(module, optionflags=doctest.REPORT_NDIFF)
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    count = sum(len(test.examples) > 0 for name in modules() for test in finder.find(importlib.import_module(name)))
    assert count > 100
