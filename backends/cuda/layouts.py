"""How does cuBLASLt see matrices of rows? Which of them it takes as they lie, and what lengthens rows that lie badly.

cuBLASLt counts by columns. A matrix whose rows are whole is its own transpose to it, so that y = a b becomes
y^T = b^T a^T, whose first operand is b.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backends.cuda.cublaslt import ALIGNMENT, Matrix
from backends.kernels.pair import Array

Shape = tuple[int, ...]
Lying = tuple[Shape, Shape, int]  # an array's shape, its strides and its itemsize, in bytes

LENGTHENED = 8
"""Rows that are copied become as long as a multiple of this: 16 bytes of 16-bit numbers, 32 of float32."""


def _matrix(rows: int, columns: int, strides: Shape, itemsize: int, step: int) -> Matrix | None:
    """A matrix, which lies row by row or column by column, as its transpose; None where it lies otherwise.

    What lies row by row is the transpose to cuBLASLt, as wanted, and what does not has to be turned.
    """
    if any(stride < 0 or stride % itemsize for stride in strides):
        return None
    down, right = strides[0] // itemsize, strides[1] // itemsize
    if (columns == 1 or right == 1) and (rows == 1 or down >= columns):
        return Matrix(columns, rows, columns if rows == 1 else down, False, step)
    if (rows == 1 or down == 1) and right >= rows:
        return Matrix(rows, columns, right, True, step)
    return None


def _stack(stack: Shape, operands: Sequence[Lying]) -> tuple[int, list[int]] | None:
    """How many products a stack has, and the elements from one to the next of each operand.

    None where an operand does not fit, or the stack's axes are not evenly spaced in all of them.
    """
    if any(len(shape) > len(stack) for shape, _, _ in operands):
        return None
    axes = []  # the length, and the bytes from one to the next in each operand
    for axis, length in enumerate(stack, start=-len(stack)):
        moves = []
        for shape, strides, _ in operands:
            own = shape[axis] if -axis <= len(shape) else 1
            if own not in (1, length):
                return None
            moves.append(strides[axis] if own > 1 else 0)
        if length > 1:
            axes.append((length, moves))
    count, steps = 1, [0] * len(operands)
    for length, moves in reversed(axes):
        if count > 1 and moves != [count * step for step in steps]:
            return None
        steps = moves if count == 1 else steps
        count *= length
    sizes = [itemsize for _, _, itemsize in operands]
    if any(step < 0 or step % size for step, size in zip(steps, sizes, strict=True)):
        return None
    return count, [step // size for step, size in zip(steps, sizes, strict=True)]


def layouts(a: Lying, b: Lying, y: Lying) -> tuple[int, Matrix, Matrix, Matrix] | None:
    """The product y = a b as cuBLASLt takes it, y^T = b^T a^T: (how many, b, a, y); None where it does not.

    Args:
        a, b, y: how each lies; what lies before the last two axes is a stack.
    """
    (*stack, rows, columns), y_strides, _ = y
    sizes = [(shape[-2], shape[-1]) if len(shape) >= 2 else None for shape in (a[0], b[0])]
    inner = a[0][-1] if a[0] else 0
    if sizes != [(rows, inner), (inner, columns)] or 0 in (rows, columns, inner, *stack):
        return None
    found = _stack(tuple(stack), [(shape[:-2], strides[:-2], size) for shape, strides, size in (a, b, y)])
    if found is None or (found[0] > 1 and found[1][2] < rows * columns):  # products that overlap
        return None
    first = _matrix(inner, columns, b[1][-2:], b[2], found[1][1])
    second = _matrix(rows, inner, a[1][-2:], a[2], found[1][0])
    result = _matrix(rows, columns, y_strides[-2:], y[2], found[1][2])
    if first is None or second is None or result is None or result.turned:
        return None
    return found[0], first, second, result


def lying(array: Array) -> Lying:
    """How an array lies in memory."""
    return array.shape, array.strides, array.itemsize


# -- longer rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Padding:
    """Copies of a product's matrices with longer rows, which all begin at multiples of 16 bytes.

    The fast algorithms for rounded numbers load 16 bytes at once. What is added are zeros, where it is summed up, and
    rows and columns of the result that nobody reads: the product is the same, but for the order of its sums.

    Attributes:
        shapes: of the copies of a, b and y.
        turned: which of these lie column by column.
    """

    shapes: tuple[Shape, Shape, Shape]
    turned: tuple[bool, bool, bool]

    def layouts(self, sizes: Sequence[int]) -> tuple[int, Matrix, Matrix, Matrix] | None:
        """The padded product as cuBLASLt takes it; ``sizes`` are the itemsizes of a, b and y."""
        copies = []
        for (rows, columns), turned, size in zip(self.shapes, self.turned, sizes, strict=True):
            strides = (size, rows * size) if turned else (columns * size, size)
            copies.append(((rows, columns), strides, size))
        return layouts(*copies)

    def copies(self, empty: Callable[[Any, Any], Array], a: Array, b: Array, y: Array) -> tuple[Array, Array, Array]:
        """a and b with zeros behind their rows, and room for the result; what is long enough is not copied."""
        result = y if y.shape == self.shapes[2] else empty(self.shapes[2], y.dtype)
        return self._longer(0, empty, a), self._longer(1, empty, b), result

    def _longer(self, which: int, empty: Callable[[Any, Any], Array], array: Array) -> Array:
        rows, columns = shape = self.shapes[which]
        if array.shape == shape:
            return array
        longer = empty((columns, rows), array.dtype).T if self.turned[which] else empty(shape, array.dtype)
        longer[array.shape[0] :] = 0
        longer[:, array.shape[1] :] = 0
        longer[: array.shape[0], : array.shape[1]] = array
        return longer


def padding(a: Array, b: Array, y: Array) -> Padding | None:
    """What lengthens the rows of a product of two matrices; None where all begin at multiples of 16 bytes."""
    found = layouts(*(lying(one) for one in (a, b, y)))
    if found is None or found[0] > 1:
        return None
    lengths = {"rows": y.shape[0], "inner": a.shape[1], "columns": y.shape[1]}
    places = ("rows", "inner"), ("inner", "columns"), ("rows", "columns")
    turned = found[2].turned, found[1].turned, False
    for axes, one, matrix, aside in zip(places, (a, b, y), (found[2], found[1], found[3]), turned, strict=True):
        if matrix.leading * one.itemsize % ALIGNMENT:
            axis = axes[0 if aside else 1]
            lengths[axis] = -(-lengths[axis] // LENGTHENED) * LENGTHENED
    first, second, third = (tuple(lengths[axis] for axis in axes) for axes in places)
    shapes = first, second, third
    return None if shapes == (a.shape, b.shape, y.shape) else Padding(shapes, turned)
