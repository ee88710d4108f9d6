"""Is scaling right, exact for constants, undone, and the same after it was stored?"""

import json

import numpy as np
import pytest

from engine.data import Scale, Standardize
from engine.data.preparation import from_dict
from engine.errors import ArgumentError, DataError, ShapeError, UnknownNameError


def test_standardize_by_hand():
    standardize = Standardize.fit(np.array([[1.0, 10.0, 5.0], [3.0, 20.0, 5.0], [5.0, 60.0, 5.0]]))
    np.testing.assert_allclose(standardize.mean, [3, 30, 5])
    np.testing.assert_allclose(standardize.scale, [np.sqrt(8 / 3), np.sqrt(1400 / 3), 1])
    np.testing.assert_allclose(standardize(np.array([[3.0, 30.0, 6.0]])), [[0, 0, 1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(50, 3), (50, 4, 4, 2), (50,)])
def test_standardize_any_shape(shape, dtype):
    x = np.random.default_rng(0).normal(100.0, 7.0, shape)
    standardize = Standardize.fit(x)
    z = standardize(x, dtype)
    assert z.dtype == dtype
    assert z.shape == x.shape
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(z, (x - x.mean(axis=0)) / x.std(axis=0), atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(standardize.undo(z, dtype), x, rtol=tolerance)


def test_constant_columns_become_zero_exactly():
    x = np.full((7, 3), [0.1, 1e30, -1e-30])
    standardize = Standardize.fit(x)
    assert (standardize(x) == 0).all()
    assert (standardize.scale == 1).all()


def test_differences_too_small_to_square_do_not_divide_by_zero():
    assert np.isfinite(Standardize.fit(np.array([[0.0], [1e-200]]))(np.array([[1.0]]))).all()


def test_blocks_make_no_difference(monkeypatch):
    x = np.random.default_rng(1).normal(5.0, 2.0, (101, 3))
    x[:, 1] = 4.0
    whole = Standardize.fit(x)
    monkeypatch.setattr("engine.data.preparation._BLOCK", 10)
    parts = Standardize.fit(x)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-14)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_as_good_as_two_passes_over_everything(monkeypatch, offset):
    """Of numbers far from 0, with a first row far from the others, block by block."""
    monkeypatch.setattr("engine.data.preparation._BLOCK", 10)
    x = np.random.default_rng(2).normal(offset, 1.0, (1000, 2))
    x[0] += 1e6
    standardize = Standardize.fit(x)
    np.testing.assert_allclose(standardize.mean, x.mean(axis=0), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(standardize.scale, x.std(axis=0), rtol=1e-12)


def test_features_that_are_not_chosen_keep_their_values():
    x = np.array([[1.0, 0.0, 5.0], [3.0, 1.0, 5.0]])
    standardize = Standardize.fit(x, only=np.array([True, False, False]))
    assert (standardize.mean.tolist(), standardize.scale.tolist()) == ([2, 0, 0], [1, 1, 1])
    np.testing.assert_array_equal(standardize(x), [[-1, 0, 5], [1, 1, 5]])
    for only in ([True, False], [1, 0, 1], [[True, True, True]]):
        with pytest.raises(ShapeError, match=r"only is .*; it is True or False for each feature of a sample"):
            Standardize.fit(x, only=only)


def test_large_offsets_lose_nothing_in_float32():
    years = np.array([[2000.125], [2000.25], [2000.375]])
    np.testing.assert_allclose(Standardize.fit(years)(years)[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)


def test_nothing_is_changed_in_place():
    x = np.arange(6.0).reshape(3, 2)
    for preparation in (Standardize.fit(x), Scale(2.0)):
        preparation(x)
        preparation.undo(x)
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(3, 2))


def test_scale():
    pixels = np.array([[0, 51, 255]], np.uint8)
    scale = Scale(1 / 255)
    np.testing.assert_allclose(scale(pixels), [[0, 0.2, 1]], rtol=1e-7)
    np.testing.assert_allclose(scale.undo(scale(pixels)), pixels, rtol=1e-6)
    assert scale(pixels).dtype == np.float32
    assert scale(pixels, "float64").dtype == np.float64


@pytest.mark.parametrize("preparation", [Scale(1 / 3), Standardize([0.1, 1 / 3], [2.0, 1e-7])])
def test_stored_and_built_again_bit_for_bit(preparation):
    again = from_dict(json.loads(json.dumps(preparation.to_dict())))
    assert again == preparation
    assert again is not preparation
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(again(x), preparation(x))
    assert type(preparation).__name__ in repr(again)
    assert preparation != "scale"


def test_what_is_refused():
    with pytest.raises(UnknownNameError, match="preparation 'sclae' is unknown; did you mean scale"):
        from_dict({"kind": "sclae"})
    with pytest.raises(ArgumentError, match="'factor' is missing in kind"):
        from_dict({"kind": "scale"})
    with pytest.raises(ArgumentError, match="factor 0 was given"):
        Scale(0)
    with pytest.raises(ArgumentError, match="factor 'a' was given"):
        Scale("a")
    with pytest.raises(ArgumentError, match="scales are above 0"):
        Standardize([0.0], [0.0])
    with pytest.raises(ShapeError, match=r"mean has shape \(1,\), scale \(2,\)"):
        Standardize([0.0], [1.0, 1.0])
    with pytest.raises(ShapeError, match=r"samples have shape \(3,\); it was fitted on samples of shape \(2,\)"):
        Standardize([0.0, 0.0], [1.0, 1.0])(np.zeros((4, 3)))
    with pytest.raises(DataError, match="at least one sample"):
        Standardize.fit(np.zeros((0, 3)))
