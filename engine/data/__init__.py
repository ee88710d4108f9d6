"""Where does the data come from, and in what order? Data sets by name, preparation, splits and batches."""

from engine.data.augmentation import Augmentation, Flip, Noise, Shift
from engine.data.batches import Batches, batches
from engine.data.catalog import names
from engine.data.dataset import Dataset, split
from engine.data.formats import read
from engine.data.intake import Intake
from engine.data.loading import load
from engine.data.preparation import Preparation, Scale, Standardize
from engine.data.rows import Rows

__all__ = [
    "Augmentation",
    "Batches",
    "Dataset",
    "Flip",
    "Intake",
    "Noise",
    "Preparation",
    "Rows",
    "Scale",
    "Shift",
    "Standardize",
    "batches",
    "load",
    "names",
    "read",
    "split",
]
