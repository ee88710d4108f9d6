"""Can all that is written on a picture be read, none of it cut off; and what is said where none can be drawn?"""

import sys
from itertools import combinations

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.data import Dataset
from engine.errors import ArgumentError
from engine.history import History

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")

AXIS = np.linspace(-3, 3, 61)
POINTS = np.random.default_rng(0).normal(size=(120, 2))
NAMES = ("airplane", "automobile", "bird", "a class whose name is rather long")
CLASSES = np.arange(120) % 4
DATA = Dataset(POINTS, CLASSES, "objects", ("sepal length (cm)", "petal width (cm)"), NAMES)
LONG = "A title that says at length what is to be seen here, and more than fits into one line of text"


def history():
    kept = History()
    for epoch in range(1, 40):
        kept.append(
            {"loss": 10.0 / epoch, "accuracy": 0.9, "validation_loss": 12.0 / epoch, "validation_accuracy": 0.8}
        )
    return kept.plot()


def curves():
    lines = {f"degree {degree}": np.sin(degree * AXIS) * 1e-7 for degree in range(1, 7)}
    return plot.curves(AXIS, lines, title="Six of them", y_label="y", points={"samples": (AXIS, AXIS * 1e-7)})


def panels(own):
    groups = {f"{LONG} {n}": {"value": AXIS**n, f"line {n * own}": AXIS} for n in range(6)}
    return plot.panels(AXIS, groups, title=LONG, y_label="height")


def regions():
    en.seed(0)
    return plot.decision_regions(en.Linear(2, 4), DATA, resolution=20, lines={"x1 = 0, upright": (0.0, 1.0, 0.0)})


def surface(view):
    bowl = AXIS**2 + AXIS[:, None] ** 2 * 4e4
    paths = {f"a learning rate of {rate}": [(2, 2), (rate, 1), (0, 0)] for rate in (0.1, 0.5, 1.0, 2.0)}
    return plot.surface(AXIS * 1e-3, AXIS * 1e4, bowl, paths=paths, title=LONG, x_label="rate", view=view)


def network():
    en.seed(0)
    return en.Sequential(en.Linear(2, 9), en.Tanh(), en.Linear(9, 2), en.LeakyReLU(), en.Linear(2, 4))


PICTURES = {
    "history": history,
    "confusion matrix": lambda: plot.confusion_matrix(np.eye(4, dtype=int) * 1000, NAMES),
    "curves": curves,
    "panels, one legend": lambda: panels(own=0),
    "panels, a legend each": lambda: panels(own=1),
    "regions": regions,
    "scatter": lambda: plot.scatter(POINTS, CLASSES, class_names=NAMES, annotated=True, title="All alike", x_label="x"),
    "surface": lambda: surface("both"),
    "contours": lambda: surface("contours"),
    "images": lambda: plot.images(np.zeros((12, 4, 4)), NAMES * 3, title=LONG),
    "templates": lambda: plot.images(POINTS.reshape(-1, 4, 4), [*NAMES, "no"] * 3, diverging=True, title=LONG),
    "neurons": lambda: plot.neurons(network(), DATA, resolution=10, title=LONG),
    "folding": lambda: plot.folding(network(), DATA, lines=4, title=LONG),
}


@needs_matplotlib
@pytest.mark.parametrize("name", PICTURES)
def test_every_text_can_be_read(name, monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = PICTURES[name]()
    drawn = {}
    draw = Text.draw

    def recorded(text, *arguments, **options):
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_window_extent()
        draw(text, *arguments, **options)

    monkeypatch.setattr(Text, "draw", recorded)
    FigureCanvasAgg(figure).draw()
    assert len(drawn) >= 4
    for text, box in drawn.items():
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    straight = [(text, box) for text, box in drawn.items() if text.get_rotation() % 90 == 0]  # a slanted box is larger
    for (one, first), (other, second) in combinations(straight, 2):
        assert not first.overlaps(second), f"{one.get_text()!r} lies over {other.get_text()!r}"


@pytest.mark.parametrize("name", PICTURES)
def test_without_matplotlib_every_picture_names_the_extra(name, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ArgumentError, match=r'a picture needs matplotlib.* pip install "chalkgrad\[plots\]"'):
        PICTURES[name]()
