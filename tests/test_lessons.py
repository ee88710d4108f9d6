"""Does every lesson agree with its slide, on every backend, and read like one?"""

import ast
import sys
from pathlib import Path

import lesson_pages
import numpy as np
import pytest

from engine import lessons, plot
from engine.errors import ArgumentError, DataError, UnknownNameError
from engine.lessons.page import NotAtHandError, Page, shown

FOLDER = Path(lessons.__file__).parent
NAMES = lessons.names()
LECTURES = {
    "000": "least-squares linear-classifier descents logistic-regression triangle computation-graph fits "
    "derivative-graph sigmoid-node",
    "001": "xor notation autograd circle vectorised jacobian two-layer",
    "002": "product-of-sum sigmoid-neuron",
    "003": "activations image-classifier hinge cross-entropy weight-penalties penalised-argmin triplet "
    "numeric-gradient learning-rates hidden-gradients",
    "004": "sigmoid-roles bumps manifold loss-surface relu-chain skip-graph compute-and-store",
}
SLIDE_ERRORS = {
    "circle": 1,
    "compute-and-store": 2,
    "cross-entropy": 1,
    "descents": 1,
    "jacobian": 2,
    "linear-classifier": 1,
    "loss-surface": 6,
    "manifold": 1,
    "notation": 1,
    "numeric-gradient": 1,
    "relu-chain": 1,
    "two-layer": 1,
}
EXACT = ("derivative-graph", "jacobian", "circle", "hidden-gradients", "skip-graph")
ALLOWED = {"engine", "engine.lessons.page", "numpy"}
STANDARD = {"collections.abc", "itertools", "math", "pathlib", "tempfile", "time", "typing"}


def page_of(name, device="cpu"):
    try:
        return lesson_pages.page(name, device)
    except NotAtHandError as error:
        pytest.skip(str(error))


def path_of(name):
    return FOLDER / f"lecture_{lessons.get(name).deck}" / f"{name.replace('-', '_')}.py"


def test_there_is_a_lesson_for_every_example_and_a_file_for_every_lesson():
    assert {number: deck.lessons for number, deck in lessons.DECKS.items()} == {
        number: tuple(text.split()) for number, text in LECTURES.items()
    }
    files = {path for path in FOLDER.glob("lecture_*/*.py") if path.name != "__init__.py"}
    assert files == {path_of(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_agrees(name, backend):
    page = page_of(name, backend.device)
    assert [row for row in page.rows if not row.agrees] == []
    assert len(page.rows) >= 2
    assert len({row.quantity for row in page.rows}) == len(page.rows)
    assert page.agrees
    assert page.seconds > 0
    assert page.device == backend.device


def test_the_slides_errors_are_told_with_what_is_right_and_why():
    found = {}
    for name in NAMES:
        try:
            rows = lesson_pages.page(name).rows
        except NotAtHandError:
            continue
        wrong = [row for row in rows if row.verdict == "slide error"]
        assert all(row.reason.endswith(".") and row.right not in (None, row.slide) for row in wrong)
        found |= {name: len(wrong)} if wrong else {}
    assert set(found) == set(SLIDE_ERRORS)
    assert all(count >= SLIDE_ERRORS[name] for name, count in found.items())


@pytest.mark.parametrize("name", EXACT)
def test_what_is_exact_is_compared_to_rounding(name):
    rows = [row for row in lesson_pages.page(name).rows if row.tolerance is not None and row.tolerance <= 1e-12]
    assert rows
    assert all(row.difference <= 1e-12 for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_reads_like_a_slide(name):
    text = path_of(name).read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 100, "it is projected"
    lesson = lessons.get(name)
    assert 3 <= len(lesson.title) <= 60
    assert lesson.point.endswith(".")
    assert lesson.point.count("\n") == 0
    assert lesson.source.startswith(f"Lecture {lesson.deck}, ")
    assert lesson.formula
    assert lesson.code.startswith(("import", "from"))
    assert set(lesson.options) <= {"data", "hidden", "learning_rate", "epochs", "seed"}
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported <= ALLOWED | STANDARD | {"matplotlib.figure"}
    assert "engine" in imported


@pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_every_picture_can_be_drawn_and_says_what_it_shows(name):
    pictures = page_of(name).pictures
    assert pictures
    for picture in pictures:
        assert picture.caption
        drawn = picture.draw()
        if isinstance(drawn, str):
            assert drawn.startswith("<svg") or "<svg" in drawn[:200]
            continue
        titles = [axes.get_title(loc=place) for axes in drawn.axes for place in ("left", "center")]
        assert any([*titles, drawn.get_suptitle()]), f"{name}: a picture without a title"
        lines = [axes for axes in drawn.axes if axes.get_lines() and axes.axison]
        for side in ("xlabel", "ylabel"):  # of several panels the outer ones say it
            assert not lines or any(getattr(axes, f"get_{side}")() for axes in lines), f"{name}: no {side}"


# -- the page ------------------------------------------------------------------------------------------


def test_numbers_agree_within_the_tolerance_and_not_beyond():
    page = Page()
    page.compare("within", 0.731, 0.7311, tolerance=0.0005)
    page.compare("beyond", 0.731, 0.7321, tolerance=0.0005)
    page.compare("equal", [1, 2], np.array([1.0, 2.0]), tolerance=0)
    page.compare("of the largest", [100.0, 1.0], [101.0, 1.0], tolerance=0.02, relative=True)
    page.compare("not a number", 1.0, float("nan"), tolerance=1e9)
    page.check("in words", "it falls", "it rose", False)
    assert [row.verdict for row in page.rows] == ["yes", "no", "yes", "yes", "no", "no"]
    assert page.rows[0].difference == pytest.approx(1e-4)
    assert page.rows[3].difference == pytest.approx(0.01)
    assert not page.agrees
    assert not Page().agrees, "a lesson that compares nothing shows nothing"


def test_a_slide_error_agrees_where_the_engine_is_right_and_the_slide_is_not():
    page = Page()
    page.correct("log", 0.89, 2.04, 2.0404, tolerance=0.005, reason="Base 10.")
    page.correct("the slide is right", 2.04, 2.04, 2.04, tolerance=0.005, reason="None.")
    page.correct("the engine is wrong", 0.89, 2.04, 0.89, tolerance=0.005, reason="Base 10.")
    page.correct("in words", "range 500", "range(500)", "range(500)", reason="500 is no sequence.")
    assert [row.verdict for row in page.rows] == ["slide error", "no", "no", "slide error"]


def test_numbers_of_another_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"the slide's numbers have shape \(2,\), the engine's \(3,\)"):
        Page().compare("x", [1, 2], [1, 2, 3], tolerance=0)


def test_large_arrays_are_shown_by_their_shape():
    assert shown(np.zeros((3, 5)).tolist()) == "3 x 5 numbers"
    assert shown([0.1 + 0.2, 1e-9]) == "(0.3, 1e-09)"


def test_a_set_that_is_not_at_hand_is_told_and_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGINE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("engine.data.download.fetch", lambda *_, **__: pytest.fail("a download"))
    with pytest.raises(NotAtHandError, match=r"^cifar-10 is not at hand; --data-dir names the folder"):
        lessons.run("image-classifier")


def test_a_set_whose_package_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(NotAtHandError, match=r"^data set 'digits' comes with scikit-learn, which is not installed\."):
        lessons.run("linear-classifier", data="digits")
    with pytest.raises(DataError) as found:
        lessons.run("linear-classifier", data="digits", download=True)
    assert not isinstance(found.value, NotAtHandError)


def test_names_and_options_that_are_not_there():
    with pytest.raises(UnknownNameError, match="did you mean xor"):
        lessons.run("xorr")
    with pytest.raises(ArgumentError, match=r"^lesson autograd: it has no epochs; it has no options\.$"):
        lessons.run("autograd", epochs=3)
    with pytest.raises(ArgumentError, match=r"^lesson xor: it has no colour; it has .*hidden"):
        lessons.run("xor", colour=3)


def test_data_that_a_lesson_cannot_use():
    with pytest.raises(ArgumentError, match=r"^data sines is a regression set; give one with classes"):
        lessons.run("linear-classifier", data="sines")
    with pytest.raises(ArgumentError, match=r"^data digits has 64 features; give one with 2"):
        lessons.run("manifold", data="digits")
