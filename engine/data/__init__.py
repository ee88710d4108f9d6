"""Where does the data come from, and in what order? Data sets by name, preparation, splits and batches."""

from engine.data.batches import Batches, batches
from engine.data.catalog import load, names
from engine.data.dataset import Dataset, split
from engine.data.preparation import Preparation, Scale, Standardize

__all__ = ["Batches", "Dataset", "Preparation", "Scale", "Standardize", "batches", "load", "names", "split"]
