"""How do the tests check a gradient? Central differences in float64, written without the engine's own checks."""

import numpy as np

import engine as en

TOLERANCE = 1e-7


def assert_gradients(function, arrays, backend, step=1e-5, seed=0):
    """Backward of function(*tensors) against (f(x + h) - f(x - h)) / 2h, under a random incoming gradient.

    Arrays of floats get gradients; |a - n| <= 1e-7 max(1, |a|, |n|). Returns the output as a NumPy array.
    """
    arrays = [np.array(array) for array in arrays]
    tensors = [en.tensor(array, requires_grad=array.dtype.kind == "f", device=backend) for array in arrays]
    output = function(*tensors)
    assert output.backend is backend
    assert output.dtype == "float64"
    incoming = np.random.default_rng(seed).standard_normal(output.shape)
    output.backward(en.tensor(incoming, device=backend))
    for position, tensor in enumerate(tensors):
        if not tensor.requires_grad:
            continue
        assert tensor.grad is not None, f"input {position} got no gradient"
        assert (tensor.grad.shape, tensor.grad.dtype) == (tensor.shape, tensor.dtype)
        assert tensor.grad.backend is backend
        gradient = tensor.grad.numpy()
        numeric = numeric_gradient(function, arrays, position, incoming, backend, step)
        assert_close(gradient, numeric, f"input {position}")
    return output.numpy()


def numeric_gradient(function, arrays, position, incoming, backend, step=1e-5):
    """d sum(incoming * f) / d arrays[position], one element at a time, both ways."""
    gradient = np.empty(arrays[position].shape)

    def value():
        with en.no_grad():
            return function(*(en.tensor(array, device=backend) for array in arrays)).numpy()

    for place in np.ndindex(gradient.shape):
        before = arrays[position][place]
        h = step * max(1.0, abs(before))
        arrays[position][place] = before + h
        above = value()
        arrays[position][place] = before - h
        below = value()
        arrays[position][place] = before
        gradient[place] = np.sum(incoming * (above - below)) / (2 * h)
    return gradient


def assert_close(given, expected, what="", tolerance=TOLERANCE):
    """|a - b| <= tolerance max(1, |a|, |b|), element by element, in one shape; names the worst element."""
    given, expected = np.asarray(given), np.asarray(expected)
    assert given.shape == expected.shape, f"{what}: shapes {given.shape} and {expected.shape}"
    if not given.size:
        return
    scale = np.maximum(1.0, np.maximum(np.abs(given), np.abs(expected)))
    error = np.abs(given - expected) / scale
    worst = np.unravel_index(np.argmax(error), error.shape)
    assert error[worst] <= tolerance, f"{what} at {worst}: {given[worst]} is not {expected[worst]}"
