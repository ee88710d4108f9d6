"""How is a network thinned at random, alike on every device? Philox random words, Dropout and StochasticDepth.

    x, y, dx, dy (any shape)   mask: bool or uint8, contiguous; 1 where an element (Dropout) or a sample is kept
    counter (1,) uint64: how many masks this layer has drawn. It lives on the device and is only ever read there.
    key: two ints below 2**32, the first from the seed, the second from the layer.

The words are a function of (key, counter, position) and of nothing else: no state is hidden, the same key and counter
give the same mask on every device, and an array's shape does not matter, only its size.
"""

from backends.kernels.pair import Array, Namespace, Pair

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as fractions of 2**32
ROUNDS = 10
LOW_HALF = 0xFFFFFFFF
CHUNK = 4 * 4096  # words drawn at once: the scratch arrays then stay in a core's second cache


def philox(xp: Namespace, blocks: Array, counter: Array, key: tuple[int, int], *, words: Array) -> None:
    """Fill words (n, 4) uint32 by Philox4x32-10, one row for each of blocks (n,) uint64.

    The 128-bit counter (c0, c1, c2, c3) is (block low, block high, counter low, counter high). Each of ten rounds is

        c0, c1, c2, c3  <-  high(m1 c2) ^ c1 ^ k0,  low(m1 c2),  high(m0 c0) ^ c3 ^ k1,  low(m0 c0)

    after which (k0, k1) advances by KEY_STEPS. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
    as 1, 2, 3" (2011); checked against the known answers published with Random123.
    """
    even, odd, product = (xp.empty((2, len(blocks)), dtype=xp.uint64) for _ in range(3))  # (c0, c2), (c3, c1), scratch
    xp.bitwise_and(blocks, LOW_HALF, out=even[0])
    xp.bitwise_and(counter, LOW_HALF, out=even[1])
    xp.right_shift(counter, 32, out=odd[0])
    xp.right_shift(blocks, 32, out=odd[1])
    for step in range(ROUNDS):
        key0, key1 = ((k + step * advance_by) & LOW_HALF for k, advance_by in zip(key, KEY_STEPS, strict=True))
        xp.multiply(even[0], MULTIPLIERS[0], out=product[0])
        xp.multiply(even[1], MULTIPLIERS[1], out=product[1])
        xp.right_shift(product, 32, out=even)
        xp.bitwise_xor(even, odd, out=odd)
        xp.bitwise_xor(odd[1], key0, out=even[0])
        xp.bitwise_xor(odd[0], key1, out=even[1])
        xp.bitwise_and(product, LOW_HALF, out=odd)
    words[:, 0], words[:, 1], words[:, 2], words[:, 3] = even[0], odd[1], even[1], odd[0]


def philox_words(xp: Namespace, size: int, counter: Array, key: tuple[int, int], *, first_block: int = 0) -> Array:
    """Return (size,) uint32 random words: word i is word i % 4 of block first_block + i // 4.

    >>> import numpy as np
    >>> [f"{word:08x}" for word in philox_words(np, 4, np.zeros(1, np.uint64), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    count = (size + 3) // 4
    words = xp.empty((count, 4), dtype=xp.uint32)
    philox(xp, xp.arange(first_block, first_block + count, dtype=xp.uint64), counter, key, words=words)
    return words.reshape(-1)[:size]


def keep_mask(xp: Namespace, counter: Array, *, mask: Array, rate: float, key: tuple[int, int]) -> None:
    """Set each element of mask with probability 1 - rate: where its word is below floor((1 - rate) 2**32)."""
    if rate == 0:
        mask.fill(1)  # the threshold 2**32 is no uint32
        return
    threshold = int((1 - rate) * 2**32)
    flat = mask.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        words = philox_words(xp, part.size, counter, key, first_block=start // 4)
        xp.less(words, threshold, out=part)


def advance(xp: Namespace, counter: Array) -> None:
    """Count one drawn mask: counter <- counter + 1, in place on the device."""
    xp.add(counter, 1, out=counter)


def scale(rate: float) -> float:
    """1 / (1 - rate), by which what is kept grows so that the mean stays; 0 where nothing is kept."""
    return 1 / (1 - rate) if rate < 1 else 0.0


class Dropout(Pair):
    """y = x mask / (1 - rate), one draw an element;  dx = dy mask / (1 - rate).

    A plain product: a dropped NaN or infinity still gives NaN, as in PyTorch, so that a mask never hides a number that
    went wrong. Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
    """

    @staticmethod
    def forward(
        xp: Namespace, x: Array, counter: Array, *, y: Array, mask: Array, rate: float, key: tuple[int, int]
    ) -> None:
        keep_mask(xp, counter, mask=mask, rate=rate, key=key)
        xp.multiply(x, mask, out=y)
        xp.multiply(y, scale(rate), out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, mask: Array, *, dx: Array, rate: float) -> None:
        xp.multiply(dy, mask, out=dx)
        xp.multiply(dx, scale(rate), out=dx)


class StochasticDepth(Pair):
    """y = x + branch mask / (1 - rate), one draw a sample;  dx = dy;  dbranch = dy mask / (1 - rate).

    x, branch, y (batch, ...)   mask (batch, 1, ...). An operation may pass dy on instead of asking for dx.
    Source: Huang et al., "Deep networks with stochastic depth" (2016), scaled in training instead of in evaluation.
    """

    @staticmethod
    def forward(
        xp: Namespace,
        x: Array,
        branch: Array,
        counter: Array,
        *,
        y: Array,
        mask: Array,
        rate: float,
        key: tuple[int, int],
    ) -> None:
        keep_mask(xp, counter, mask=mask, rate=rate, key=key)
        xp.multiply(branch, mask, out=y)
        xp.multiply(y, scale(rate), out=y)
        xp.add(x, y, out=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, mask: Array, *, dx: Array | None = None, dbranch: Array | None = None, rate: float
    ) -> None:
        if dx is not None:
            xp.copyto(dx, dy)
        if dbranch is not None:
            xp.multiply(dy, mask, out=dbranch)
            xp.multiply(dbranch, scale(rate), out=dbranch)
