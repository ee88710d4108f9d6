"""Are the random words Philox's own, the masks as thin as asked and independent, and the gradients masked alike?"""

import math
from typing import Any

import numpy as np
import pytest

from backends.kernels.dropout import (
    CHUNK,
    Dropout,
    StochasticDepth,
    advance,
    keep_mask,
    philox,
    philox_words,
)

KEY = (0x0BADCAFE, 7)


def counter(value: int = 0) -> np.ndarray:
    array = np.array([value], "uint64")
    array.flags.writeable = False
    return array


def mask_of(shape: Any, rate: float, at: int = 0, key: tuple[int, int] = KEY, dtype: str = "bool") -> np.ndarray:
    mask = np.empty(shape, dtype)
    keep_mask(np, counter(at), mask=mask, rate=rate, key=key)
    return mask


@pytest.mark.parametrize(
    ("four_words", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_published_known_answers(four_words: tuple[int, ...], key: tuple[int, int], expected: str) -> None:
    blocks = np.array([four_words[0] | four_words[1] << 32] * 3, "uint64")
    words = np.empty((3, 4), "uint32")
    philox(np, blocks, counter(four_words[2] | four_words[3] << 32), key, words=words)
    for row in words:
        assert " ".join(f"{word:08x}" for word in row) == expected


def philox_by_hand(block: int, step: int, key: tuple[int, int]) -> list[int]:
    """One block in Python integers, straight from the paper."""
    c = [block & 0xFFFFFFFF, block >> 32, step & 0xFFFFFFFF, step >> 32]
    k = list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def test_words_of_every_block_are_those_of_plain_integers() -> None:
    step = 2**40 + 3
    words = philox_words(np, 41, counter(step), KEY, first_block=2**32 - 5)
    expected = [word for block in range(2**32 - 5, 2**32 + 6) for word in philox_by_hand(block, step, KEY)]
    assert words.dtype == np.uint32
    assert words.tolist() == expected[:41]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 6])
@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_a_mask_compares_its_own_words_whatever_the_size(size: int, dtype: str) -> None:
    expected = philox_words(np, size, counter(9), KEY) < int(0.7 * 2**32)
    np.testing.assert_array_equal(mask_of(size, 1 - 0.7, at=9, dtype=dtype), expected)


def test_the_shape_of_an_array_does_not_matter() -> None:
    flat = mask_of(720, 0.4)
    for shape in [(720, 1), (8, 90), (2, 3, 4, 30)]:
        np.testing.assert_array_equal(mask_of(shape, 0.4).reshape(-1), flat)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.5, 0.75, 0.99])
def test_keep_rate_is_within_the_binomial_bound(rate: float) -> None:
    size = 200_000
    kept = sum(int(mask_of(size, rate, at=at).sum()) for at in range(5))
    assert abs(kept - 5 * size * (1 - rate)) < 5 * math.sqrt(5 * size * rate * (1 - rate))


@pytest.mark.parametrize(
    ("other_at", "other_key"),
    [(1, KEY), (2**32, KEY), (0, (KEY[0], KEY[1] + 1)), (0, (KEY[0] + 1, KEY[1])), (0, (KEY[1], KEY[0]))],
)
def test_successive_counters_layers_and_seeds_are_independent(other_at: int, other_key: tuple[int, int]) -> None:
    size = 100_000
    one, other = mask_of(size, 0.5), mask_of(size, 0.5, other_at, other_key)
    agreement = int((one == other).sum())
    assert abs(agreement - size / 2) < 5 * math.sqrt(size) / 2


def test_neighbours_in_a_mask_are_independent() -> None:
    mask = mask_of(100_000, 0.5)
    for lag in (1, 2, 3, 4, 5, 64, 256):
        agreement = int((mask[lag:] == mask[:-lag]).sum())
        assert abs(agreement - (mask.size - lag) / 2) < 5 * math.sqrt(mask.size) / 2


def test_advance_counts_in_place_beyond_32_bits() -> None:
    steps = np.array([2**32 - 1], "uint64")
    advance(np, steps)
    assert steps.dtype == np.uint64
    assert steps.tolist() == [2**32]


def forward(x: np.ndarray, rate: float, at: int = 0) -> tuple[np.ndarray, np.ndarray]:
    y, mask = np.empty_like(x), np.empty(x.shape, "bool")
    Dropout.forward(np, x, counter(at), y=y, mask=mask, rate=rate, key=KEY)
    return y, mask


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1 - 1e-6, 1.0])
def test_dropout_forward_and_backward_scale_what_is_kept(dtype: str, rate: float) -> None:
    generator = np.random.default_rng(0)
    x, dy = (generator.normal(size=(12, 9)).astype(dtype) for _ in range(2))
    x.flags.writeable = dy.flags.writeable = False
    y, mask = forward(x, rate)
    scale = 0.0 if rate == 1 else 1 / (1 - rate)
    np.testing.assert_allclose(y, np.where(mask, x * np.dtype(dtype).type(scale), 0), rtol=1e-6)
    dx = np.empty_like(dy)
    Dropout.backward(np, dy, mask, dx=dx, rate=rate)
    np.testing.assert_allclose(dx, np.where(mask, dy * np.dtype(dtype).type(scale), 0), rtol=1e-6)
    assert y.dtype == dx.dtype == dtype
    if rate == 0:
        np.testing.assert_array_equal(y, x)
    if rate == 1:
        assert not mask.any()


def test_dropout_keeps_the_mean() -> None:
    y, _ = forward(np.ones(400_000, "float64"), 0.3)
    assert y.mean() == pytest.approx(1, abs=5 * math.sqrt(0.3 / 0.7 / y.size))


def test_nan_passes_whether_dropped_or_not() -> None:
    y, mask = forward(np.full(64, np.nan, "float32"), 0.5)
    assert mask.any()
    assert not mask.all()
    assert np.isnan(y).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(16, 5), (16, 2, 3)])
def test_stochastic_depth_draws_once_a_sample(dtype: str, rate: float, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    x, branch, dy = (generator.normal(size=shape).astype(dtype) for _ in range(3))
    for array in (x, branch, dy):
        array.flags.writeable = False
    y, mask = np.empty_like(x), np.empty((16,) + (1,) * (len(shape) - 1), "bool")
    StochasticDepth.forward(np, x, branch, counter(3), y=y, mask=mask, rate=rate, key=KEY)
    np.testing.assert_array_equal(mask.reshape(-1), mask_of(16, rate, at=3))
    scale = 0.0 if rate == 1 else 1 / (1 - rate)
    np.testing.assert_allclose(y, x + mask * branch * scale, rtol=1e-5, atol=1e-6)
    dx, dbranch = np.empty_like(x), np.empty_like(x)
    StochasticDepth.backward(np, dy, mask, dx=dx, dbranch=dbranch, rate=rate)
    np.testing.assert_array_equal(dx, dy)
    np.testing.assert_allclose(dbranch, mask * dy * scale, rtol=1e-5, atol=1e-6)
    StochasticDepth.backward(np, dy, mask, rate=rate)  # nobody needs anything
