"""What can be trained on? A set by name or files of one's own: read and split, with nothing fitted yet."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.data import catalog
from engine.data.catalog import Progress
from engine.data.columns import Columns, Impute
from engine.data.formats import Arrays
from engine.data.intake import Intake
from engine.data.preparation import Scaling, Standardize, fit, row_blocks
from engine.data.reader import Layout, Part, Reader
from engine.errors import ArgumentError


class Source(NamedTuple):
    """Data that was read.

    Attributes:
        train: the samples that are meant for training, or all there are.
        test: those that are meant for the test; None where the data does not say.
        scaling: what suits the features when nothing is asked for.
        factor: of the scaling "scale"; None takes it from the training part.
        target_scaling: whether the targets of a regression are standardised.
        reader: what is what in the files; None for a set by name.
    """

    train: Part
    test: Part | None
    scaling: Scaling
    factor: float | None = None
    target_scaling: bool = True
    reader: Reader | None = None

    def parts(self, test_fraction: float, seed: int) -> tuple[Part, Part]:
        """(training part, test part): as the data says, else a fraction drawn by seed."""
        return self.train.split(test_fraction, seed) if self.test is None else (self.train, self.test)

    def fit(
        self, train: Part, *, scaling: Scaling | None = None, impute: Impute | None = None, dtype: str = "float32"
    ) -> Intake:
        """What turns such data into samples, learnt from this training part alone.

        Args:
            train: the training part, or what a validation part left of it.
            scaling: None takes what suits the data.
            impute: what fills a table's missing cells; None refuses them.
            dtype: of prepared samples: "float32" or "float64".

        Raises:
            ArgumentError: there is no table whose cells could be filled, or no such scaling.
            DataError: a cell is missing, or a text column cannot be one-hot.
        """
        data, columns, mask = train.data, None, None
        if impute is not None and train.table is None:
            raise ArgumentError(
                f"{data.name}: impute {impute!r} was given; it fills empty cells of tables; this is none. Leave it out."
            )
        x, names = data.x, data.feature_names or ()
        if train.table is not None and self.reader is not None:
            inputs = self.reader.inputs
            # Of numbers that stay as they are nothing is learnt: then the rows need not be taken out.
            learns = impute is not None or any(map(train.table.is_text, inputs))
            columns = Columns.fit(train.rows() if learns else train.table, inputs, impute)
            x, names, mask = train.features(columns), columns.feature_names, columns.numeric
        chosen = self.scaling if scaling is None else scaling
        steps = fit(chosen, x, self._factor(x) if chosen == "scale" else None, mask)
        unit = Standardize.fit(data.y) if data.task == "regression" and self.target_scaling else None
        return Intake(tuple(x.shape[1:]), data.task, data.class_names, names, steps, unit, self.reader, columns, dtype)

    def _factor(self, x: Any) -> float:
        """Bytes into 0..1, other numbers into -1..1."""
        if self.factor is not None or x.dtype == np.uint8:
            return 1 / 255 if self.factor is None else self.factor
        # abs() of floats: the lowest int8 has none of its own kind
        largest = max(abs(float(end)) for _, block in row_blocks(x) for end in (block.min(), block.max()))
        return 1.0 / largest if largest else 1.0


def by_name(
    name: str,
    *,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Source:
    """A set of the catalog; arguments as in `engine.data.load`."""
    train, test = catalog.raw(
        name, seed=seed, test_fraction=test_fraction, data_dir=data_dir, progress=progress, **options
    )
    entry = catalog.ENTRIES[name]
    return Source(Part(train), Part(test), entry.scaling, entry.factor, entry.target_scaling)


def from_files(path: str, layout: Layout, *, test: str | None = None, test_target: str | None = None) -> Source:
    """What a file, or a folder of images, holds.

    Args:
        path: of the file or folder.
        layout: what is what in it.
        test: a second one of the same kind, to test on.
        test_target: the file of its targets, where those are in a file of their own.

    Raises:
        DataError: a file is missing or damaged, or holds nothing that can be trained on.
        ArgumentError: the layout names a column or a file that does not fit.
    """
    if test_target is not None and test is None:
        raise ArgumentError(
            f"test_target {test_target!r} was given without test, the file of the samples. Name it, too."
        )
    content = layout.read(path)
    name = Path(path).name
    reader = Reader.learn(content, name, layout)
    train = reader.part(content, name, layout.target_file(content))
    held_out = None
    if isinstance(content, Arrays) and content.test is not None:
        if test is not None:
            raise ArgumentError(f"test {test!r}: {name} has test samples of its own. Leave it out.")
        held_out = reader.part(content._replace(x=content.test[0], y=content.test[1], test=None), name)
    elif test is not None:
        held_out = reader.part(reader.read(test), Path(test).name, test_target)
    bytes_alone = train.table is None and train.data.x.dtype == np.uint8
    return Source(train, held_out, "scale" if bytes_alone else "standardize", reader=reader)
