"""What in a file is what? Which columns the model sees, and what the targets are; learnt from a training's file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from engine.data.columns import Columns
from engine.data.dataset import Dataset, Task, check_finite, split
from engine.data.formats import Arrays, OtherKindError, read
from engine.data.formats.cells import DEFAULT_MISSING, Cells
from engine.data.rows import Rows
from engine.data.table import Table, listed
from engine.data.targets import Target
from engine.errors import ArgumentError, DataError, UnknownNameError
from engine.settings import shown

Numbers = np.ndarray[Any, Any]
Content = Table | Arrays

_MOST_CLASSES = 1000  # of labels that are integers by their dtype: more of them are measurements


@dataclass(frozen=True)
class Layout:
    """What a user says of a file.

    Attributes:
        target: columns, by name or by number from 0 (negative ones from the end), or one file of targets. Empty: the
            targets that the file brings along, else its last column.
        ignore: columns that are left out.
        text: columns that hold names, though they look like numbers.
        separator: between the cells of a line; None finds it out.
        header: whether the first line names the columns; None finds it out.
        image_size: (height, width) that images are brought to.
        task: in place of the one that the targets show.
    """

    target: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    separator: str | None = None
    header: bool | None = None
    image_size: tuple[int, int] | None = None
    task: Task | None = None

    def read(self, path: str) -> Content:
        """What the file holds."""
        return read(path, separator=self.separator, header=self.header, text=self.text, image_size=self.image_size)

    def target_file(self, content: Content) -> str | None:
        """The file that the target names, where it is one and no column of the content is called so."""
        if len(self.target) != 1 or (isinstance(content, Table) and self.target[0] in content.names):
            return None
        return self.target[0] if Path(self.target[0]).is_file() else None


class Part(NamedTuple):
    """Samples of which nothing is fitted: the data, whose x are row numbers where its features are in a table."""

    data: Dataset
    table: Table | None = None

    def rows(self) -> Table:
        """The rows of the table that belong to this part."""
        assert self.table is not None
        return self.table.take(self.data.x[:, 0])

    def features(self, columns: Columns) -> Rows:
        """The features of these rows; those of the whole table are made once for all parts of it."""
        assert self.table is not None
        made = self.table.features
        if columns not in made:
            made[columns] = columns(self.table)
        found = Rows(made[columns], self.data.x[:, 0])
        found.checked = True  # a cell that is no finite number was refused when it was read
        return found

    def split(self, fraction: float, seed: int) -> "tuple[Part, Part]":
        """(the rest, a fraction held out), as `engine.data.split` draws them."""
        rest, held_out = split(self.data, fraction, seed=seed)
        return Part(rest, self.table), Part(held_out, self.table)


@dataclass(frozen=True)
class Reader:
    """How what such files hold becomes raw samples with targets.

    Attributes:
        target: how targets are read.
        layout: how further files are read: with the training's separator, header and sizes; its columns of texts are
            texts in every file.
        columns: the names of all columns of a table, in their order; empty for arrays.
        inputs: the columns of a table that the model sees.
        width: how many columns an array has whose targets are among them, or a sparse one; None for others.
        kept, target_columns: the columns of an array with targets that the model sees, and those that are its targets.
        first_index: what the columns of a sparse array are counted from; None for others.
    """

    target: Target
    layout: Layout = Layout()
    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    width: int | None = None
    kept: tuple[int, ...] = ()
    target_columns: tuple[int, ...] = ()
    first_index: int | None = None

    @classmethod
    def learn(cls, content: Content, name: str, layout: Layout) -> Self:
        """What is what in this content.

        Raises:
            ArgumentError: the layout names a column or a file that does not fit.
            DataError: there is no target in it, or nothing beside it.
        """
        target_file = layout.target_file(content)
        if isinstance(content, Table):
            return cls._of_table(content, layout, target_file)
        if target_file is not None or content.y is not None:
            if layout.target and target_file is None:
                raise ArgumentError(f"target {layout.target[0]!r}: {name} brings its targets along. Leave it out.")
            if layout.ignore:
                raise ArgumentError(
                    f"ignore {layout.ignore[0]!r}: it is for columns with targets among them; {name} has them apart."
                )
            target = _fitted(_targets(content, name, target_file), name, layout.task)
            width = None if content.first_index is None else content.x.shape[1]
            return cls(target, _further(layout), width=width, first_index=content.first_index)
        return cls._of_columns(content.x, name, layout)

    @classmethod
    def _of_table(cls, table: Table, layout: Layout, target_file: str | None) -> Self:
        targets = [] if target_file else [table.column(one) for one in layout.target or ("-1",)]
        ignored = [table.column(one) for one in layout.ignore]
        inputs = tuple(name for name in table.names if name not in (*targets, *ignored))
        _check_apart(table.name, targets, ignored, inputs)
        if target_file:
            target = _fitted(_targets_in(target_file), table.name, layout.task)
        else:
            target = Target.fit(table, targets, layout.task)
        texts = tuple(name for name in table.names if table.is_text(name))
        return cls(target, _further(layout, texts), table.names, inputs)

    @classmethod
    def _of_columns(cls, x: Numbers, name: str, layout: Layout) -> Self:
        if x.ndim != 2:
            raise DataError(
                f"{name}: it holds samples of shape {x.shape[1:]} and no targets; give a file of targets (target=)."
            )
        targets = tuple(_number(name, x.shape[1], one) for one in layout.target or ("-1",))
        ignored = [_number(name, x.shape[1], one) for one in layout.ignore]
        kept = tuple(number for number in range(x.shape[1]) if number not in (*targets, *ignored))
        _check_apart(name, targets, ignored, kept)
        labels = _label_table(name, x[:, list(targets)])
        target = Target.fit(labels, labels.names, layout.task)
        return cls(target, _further(layout), width=x.shape[1], kept=kept, target_columns=targets)

    # -- used --------------------------------------------------------------------------------------------

    def read(self, path: str) -> Content:
        """What a further file holds: as the training's was read."""
        try:
            return self.layout.read(path)
        except OtherKindError:
            return read(path)  # the same samples as arrays, where the training's were a table or pictures
        except UnknownNameError:  # of a column of texts: some are not there, or are called otherwise
            content = replace(self.layout, text=()).read(path)
        if not isinstance(content, Table):
            return content
        names = zip(content.names, self.aligned(content).names, strict=True)
        texts = tuple(own for own, name in names if name in self.layout.text)
        return content if all(map(content.is_text, texts)) else replace(self.layout, text=texts).read(path)

    def part(self, content: Content, name: str, target_file: str | None = None) -> Part:
        """Content with its targets, as raw samples.

        Raises:
            DataError: it has no targets, or not the columns that are needed.
        """
        if isinstance(content, Table) and self.columns:
            table = self.aligned(content)
            labels = table if target_file is None else self._called(_label_table(name, _targets_in(target_file)))
            if labels is table:
                self._check_targets(table)
            return Part(self._dataset(np.arange(len(table))[:, None], labels, name), table)
        content = numbers_of(content)
        labels = self._labels_of(content, name, target_file)
        return Part(self._dataset(self.samples(content, name), labels, name))

    def _check_targets(self, table: Table) -> None:
        apart = [one for one in self.target.names if one not in self.columns or one in self.inputs]
        if apart:
            raise DataError(f"{table.name}: it has no targets; give a file of them (target=).")
        missing = [one for one in self.target.names if one not in table.names]
        if missing:
            raise DataError(f"{table.name}: it has no column {missing[0]!r}, the target; it can only be predicted for.")

    def _called(self, labels: Table) -> Table:
        """Targets that are alone in their file, where they may have other names than in the training's."""
        return labels.renamed(self.target.names) if len(labels.names) == len(self.target.names) else labels

    def _labels_of(self, content: Arrays, name: str, target_file: str | None) -> Table:
        if not self.target_columns or target_file is not None or content.y is not None:
            return self._called(_label_table(name, _targets(content, name, target_file)))
        if content.x.ndim != 2 or content.x.shape[1] != self.width:
            raise DataError(f"{name}: it has shape {content.x.shape}; with the target it has {self.width} columns.")
        return self._called(_label_table(name, content.x[:, list(self.target_columns)]))

    def _dataset(self, x: Any, labels: Table, name: str) -> Dataset:
        target = self.target
        return Dataset(x, target(labels), name, class_names=target.class_names, task=target.task)

    def samples(self, content: Arrays, name: str) -> Any:
        """The features of an array, whether the targets are in it or not."""
        x = content.x
        if self.first_index is not None and content.first_index is not None:
            return self._widened(x, content.first_index, name)
        if self.kept and x.ndim == 2 and x.shape[1] == self.width:
            return Rows(x, columns=self.kept) if isinstance(x, np.memmap) else x[:, list(self.kept)]
        return Rows(x) if isinstance(x, np.memmap) else x

    def _widened(self, x: Numbers, first_index: int, name: str) -> Numbers:
        """A sparse array with the columns of the training's: those that are zero everywhere are not in the file."""
        before = first_index - (self.first_index or 0)
        if before < 0:
            raise DataError(f"{name}: it has an index 0; those of the training begin with 1. Count them alike.")
        return np.pad(x, ((0, 0), (before, max(0, (self.width or 0) - before - x.shape[1]))))

    def aligned(self, table: Table) -> Table:
        """A table whose columns have the names of the training's.

        By name where it names all inputs; by position where the file or the training has no names: with all columns,
        with all but the targets, or with the inputs alone.

        Raises:
            DataError: columns are missing.
        """
        if table.has_header and set(self.inputs) <= set(table.names):
            return table
        unnamed = not table.has_header or self.columns == tuple(str(number) for number in range(len(self.columns)))
        untold = tuple(name for name in self.columns if name not in self.target.names)
        for names in (self.columns, untold, self.inputs) if unnamed else ():
            if len(table.names) == len(names):
                return table.renamed(names)
        if not table.has_header:
            both = f"{len(self.columns)}, or the {len(self.inputs)} inputs"
            raise DataError(f"{table.name}: it has {len(table.names)} columns; the training had {both}.")
        missing = [name for name in self.inputs if name not in table.names]
        raise DataError(f"{table.name}: it has no column {listed(missing)}; all inputs of the training are needed.")

    # -- kept with the run -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "target": self.target.to_dict(),
            "text": list(self.layout.text),
            "separator": self.layout.separator,
            "header": self.layout.header,
            "image_size": None if self.layout.image_size is None else list(self.layout.image_size),
            "columns": list(self.columns),
            "inputs": list(self.inputs),
            "width": self.width,
            "kept": list(self.kept),
            "target_columns": list(self.target_columns),
            "first_index": self.first_index,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote down."""
        size = stored["image_size"]
        return cls(
            Target.from_dict(stored["target"]),
            Layout(
                text=tuple(stored["text"]),
                separator=stored["separator"],
                header=stored["header"],
                image_size=None if size is None else (size[0], size[1]),
            ),
            tuple(stored["columns"]),
            tuple(stored["inputs"]),
            stored["width"],
            tuple(stored["kept"]),
            tuple(stored["target_columns"]),
            stored["first_index"],
        )


def _further(layout: Layout, texts: tuple[str, ...] = ()) -> Layout:
    """How further files are read, whatever was chosen of the training's."""
    return replace(layout, target=(), ignore=(), task=None, text=texts)


def _fitted(targets: "Numbers | Table", name: str, task: Task | None) -> Target:
    """What targets that are apart from the samples show."""
    labels = _label_table(name, targets)
    return Target.fit(labels, labels.names, task or _task(targets))


def numbers_of(content: Content) -> Arrays:
    """Content as arrays: a table must hold numbers alone, all of them there.

    Raises:
        DataError: a column is text, or a cell is empty.
    """
    if not isinstance(content, Table):
        return content
    for name in content.names:
        column = content.columns[name]
        if content.is_text(name):
            cells = Cells(DEFAULT_MISSING)
            row = next((row for row, cell in enumerate(column) if isinstance(cells.value(cell or ""), str)), 0)
            raise DataError(
                f"{content.place(row, name)}: the cell is {shown(column[row])}; the training was on numbers alone."
            )
        if np.isnan(column).any():
            row = int(np.isnan(column).argmax())
            raise DataError(f"{content.place(row, name)}: the cell is empty; the training had all numbers. Fill it.")
    return Arrays(np.stack([content.columns[name] for name in content.names], axis=1), None, None, None)


def _check_apart(name: str, targets: Sequence[Any], ignored: Sequence[Any], inputs: Sequence[Any]) -> None:
    both = next((one for one in targets if one in ignored), None)
    if both is not None:
        raise ArgumentError(f"{name}: column {both!r} is a target and is to be ignored; choose one of the two.")
    if not inputs:
        raise DataError(f"{name}: no column is left beside the target; a model needs at least one input.")


def _number(name: str, columns: int, wanted: str) -> int:
    try:
        number = int(wanted)
    except ValueError:
        raise ArgumentError(
            f"column {wanted!r}: the columns of {name} have no names; give a number from 0 to {columns - 1}, or a file."
        ) from None
    if not -columns <= number < columns:
        raise ArgumentError(f"column {wanted}: {name} has {columns} columns; give a number from 0 to {columns - 1}.")
    return number % columns


def _targets(content: Arrays, name: str, target_file: str | None) -> "Numbers | Table":
    """The targets that come beside the samples."""
    if target_file is None:
        if content.y is None:
            raise DataError(f"{name}: it has no targets; give a file of them (target=).")
        if content.class_names is None:
            return content.y
        named = np.array(content.class_names, dtype=object)[content.y]
        return Table(name, ("class",), {"class": named}, range(len(named)), False, in_lines=False)
    return _targets_in(target_file)


def _targets_in(target_file: str) -> "Numbers | Table":
    found = read(target_file)
    if isinstance(found, Table):
        return found
    if found.y is not None:
        raise DataError(f"{target_file}: it holds samples with targets of their own; targets alone are needed.")
    return np.asarray(found.x)


def _label_table(name: str, targets: "Numbers | Table") -> Table:
    if isinstance(targets, Table):
        return targets
    if targets.ndim not in (1, 2):
        raise DataError(f"{name}: its targets have shape {targets.shape}; allowed are (samples,), (samples, targets).")
    check_finite(name, "y", targets)
    if targets.dtype.kind in "iu" and max(abs(int(targets.min())), abs(int(targets.max()))) >= 1 << 53:
        raise DataError(
            f"{name}: its targets reach {targets.max()}; told apart are whole numbers up to 2^53. Number them."
        )
    columns = targets.reshape(len(targets), -1).T.astype(np.float64)
    names = ("target",) if len(columns) == 1 else tuple(f"target {number}" for number in range(len(columns)))
    return Table(name, names, dict(zip(names, columns, strict=True)), range(len(targets)), False, in_lines=False)


def _task(targets: "Numbers | Table") -> Task | None:
    """Labels that are integers by their dtype are classes, however few samples each has; others show it themselves."""
    if isinstance(targets, Table) or targets.size != len(targets) or targets.dtype.kind not in "iu" or not len(targets):
        return None
    different = len(np.unique(targets))
    return None if different > _MOST_CLASSES else "binary" if different <= 2 else "multiclass"
