"""How do data, training, models and errors look? Pictures of them, with matplotlib (the extra ``plots``).

    history             loss and metrics, epoch by epoch    History.plot, the command line's run folders
    confusion_matrix    which class is taken for which      after `engine.metrics.confusion_matrix`
    decision_regions    what a model says over the plane    data sets with two features: xor, spirals, moons, ...
    scatter             points by their class               embeddings, two features
    curves              any lines over one axis             schedules, fits, benchmarks, your own
    panels              the same, in several small ones     activations with their derivatives
    surface             a loss over two weights             and the paths of descents on it
    images              images side by side, with names     samples, the templates of a linear classifier
    neurons             what each unit says over the plane  every hidden unit of a Sequential, as a little map
    folding             how layers bend the plane           its grid, carried through a Sequential
    graph               how a tensor was computed           as SVG, Graphviz or Mermaid, without matplotlib

Every function but the last returns a matplotlib Figure, and writes it where a path ending in .png, .svg or .pdf is
given: as a whole, or not at all. Numbers are lists, NumPy arrays or Tensors of any device. matplotlib is imported when
the first picture is made. Neither pyplot nor a global setting is used, so nothing opens a window and your own plots
stay as they are. The colours are those of Okabe and Ito (2008), which people with any colour vision can tell apart;
lines and points differ in form too.
"""

from engine.plot.graphs import graph
from engine.plot.landscape import surface
from engine.plot.layers import folding, neurons
from engine.plot.lines import curves, panels
from engine.plot.pictures import images
from engine.plot.plane import decision_regions, scatter
from engine.plot.style import available
from engine.plot.training import confusion_matrix, history

__all__ = [
    "available",
    "confusion_matrix",
    "curves",
    "decision_regions",
    "folding",
    "graph",
    "history",
    "images",
    "neurons",
    "panels",
    "scatter",
    "surface",
]
