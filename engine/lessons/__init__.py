"""Which worked examples of the lectures are here? Lessons by deck, and how one is run.

>>> page = run("autograd")
>>> page.agrees, page.rows[0].quantity, page.rows[0].slide, page.rows[0].engine
(True, 'c = a + b', 7, 7.0)
"""

import importlib
import inspect
import os
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import backends
from engine.data.catalog import Progress
from engine.errors import ArgumentError, unknown_name
from engine.lessons.page import NotAtHandError, Page, Picture, Row, Table

__all__ = ["DECKS", "Deck", "Lesson", "NotAtHandError", "Page", "Picture", "Row", "Table", "get", "names", "run"]


@dataclass(frozen=True)
class Deck:
    """One lecture's slides: what they are called, and the lessons in the order of the slides."""

    title: str
    lessons: tuple[str, ...]


# A lesson is a file of its own, lecture_000/least_squares.py, with a function `run`, and its name here.
DECKS = {
    "000": Deck(
        "Introduction to deep learning",
        (
            "least-squares",
            "linear-classifier",
            "descents",
            "logistic-regression",
            "triangle",
            "computation-graph",
            "fits",
            "derivative-graph",
            "sigmoid-node",
        ),
    ),
    "001": Deck(
        "MLP and backpropagation",
        ("xor", "notation", "autograd", "circle", "vectorised", "jacobian", "two-layer"),
    ),
    "002": Deck("Neural networks practice", ("product-of-sum", "sigmoid-neuron")),
    "003": Deck(
        "Neural network basics",
        (
            "activations",
            "image-classifier",
            "hinge",
            "cross-entropy",
            "weight-penalties",
            "penalised-argmin",
            "triplet",
            "numeric-gradient",
            "learning-rates",
            "hidden-gradients",
        ),
    ),
    "004": Deck(
        "Functions, folding, backpropagation",
        (
            "sigmoid-roles",
            "bumps",
            "manifold",
            "loss-surface",
            "relu-chain",
            "skip-graph",
            "compute-and-store",
        ),
    ),
}


@dataclass(frozen=True)
class Lesson:
    """One worked example.

    Attributes:
        name: what users type.
        deck: the lecture's number.
        title, point: the two halves of the first line of its file.
        formula: what its docstring says below.
        source: the last paragraph there: the slide.
        code: the file without the docstring.
        function: fills a `Page`.
        options: what can be chosen, by name, with the defaults.
    """

    name: str
    deck: str
    title: str
    point: str
    formula: str
    source: str
    code: str
    function: Callable[..., None]
    options: dict[str, Any]


def names() -> tuple[str, ...]:
    """All lessons, in the order of the slides."""
    return tuple(name for deck in DECKS.values() for name in deck.lessons)


def get(name: str) -> Lesson:
    """A lesson by name.

    Raises:
        UnknownNameError: no lesson is called so.
    """
    deck = next((number for number, deck in DECKS.items() if name in deck.lessons), None)
    if deck is None:
        raise unknown_name("lesson", str(name), names())
    module = importlib.import_module(f"engine.lessons.lecture_{deck}.{name.replace('-', '_')}")
    first, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n")
    title, _, point = first.partition(": ")
    formula, _, source = text.rstrip().rpartition("\n\n")
    formula, source = textwrap.dedent(formula).strip("\n"), " ".join(source.split())
    code = inspect.getsource(module).split('"""', 2)[2].strip("\n") + "\n"
    options = {
        option.name: option.default
        for option in inspect.signature(module.run).parameters.values()
        if option.kind is option.KEYWORD_ONLY
    }
    return Lesson(name, deck, title, point, formula, source, code, module.run, options)


def run(
    name: str,
    device: str = "cpu",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Page:
    """Run a lesson; the page holds what it found, pictures not yet drawn.

    Args:
        name: one of `names`.
        device: where it computes: "cpu", "cuda", "cuda:1", "auto".
        data_dir: a folder with one folder a data set, for the lessons on real data.
        download: whether a data set that is not at hand may be downloaded.
        progress: called while it is, as by `engine.data.load`.
        options: the lesson's own, such as hidden, learning_rate, epochs, seed, data.

    Raises:
        UnknownNameError: no lesson is called so.
        ArgumentError: the lesson has no such option.
        NotAtHandError: its data set is not at hand.
    """
    lesson = get(name)
    for option in options:
        if option not in lesson.options:
            known = ", ".join(lesson.options)
            raise ArgumentError(
                f"lesson {name}: it has no {option}; " + (f"it has {known}." if known else "it has no options.")
            )
    page = Page(backends.get(device).device, data_dir=data_dir, download=download, progress=progress)
    page.options = lesson.options | options
    start = time.perf_counter()
    lesson.function(page, **options)
    page.seconds = time.perf_counter() - start
    return page
