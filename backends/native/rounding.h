/* How are numbers rounded to a type with fewer bits? As backends/kernels/rounding.py does, with the same bits. */

#ifndef REAL

enum { SIZE = 0x7FFFFFFF, INFINITE = 0x7F800000, NOT_A_NUMBER = 0x7FC00000, HALF_NORMAL = 0x38800000, HALF_LARGEST = 0x477FE000 };

/* To the nearest with so many bits less; of two, the even one. Not for NaN. */
INLINE uint32_t shortened(uint32_t bits, int dropped)
{
    return (bits + (1u << (dropped - 1)) - 1 + ((bits >> dropped) & 1)) & ~((1u << dropped) - 1);
}

/* A float with so many bits of its fraction less. */
INLINE uint32_t fraction_rounded(uint32_t bits, int dropped)
{
    return (bits & SIZE) > INFINITE ? NOT_A_NUMBER : shortened(bits, dropped);
}

/* float16: fewer bits of the fraction, infinity above its largest number, steps of one size below its normal ones. */
INLINE uint32_t half_rounded(uint32_t bits)
{
    const uint32_t size = bits & SIZE;
    /* Floats from 0.5 to 1 are as far apart as float16's smallest numbers. */
    const uint32_t small = bits_of((float_of(size) + 0.5f) - 0.5f);
    uint32_t rounded = shortened(size, 13);
    rounded = rounded > HALF_LARGEST ? INFINITE : rounded;
    rounded = size < HALF_NORMAL ? small : rounded;
    return size > INFINITE ? NOT_A_NUMBER : (bits & ~(uint32_t)SIZE) | rounded;
}

/* The 16 bits of float16 for a number that is one of its. */
INLINE uint32_t half_bits(uint32_t bits)
{
    const uint32_t size = bits & SIZE;
    const uint32_t small = (uint32_t)(size < HALF_NORMAL ? float_of(size) * 16777216.0f : 0.0f);
    const uint32_t usual = size < HALF_NORMAL ? small : (size - (112u << 23)) >> 13; /* the exponents begin elsewhere */
    return (bits >> 16 & 0x8000) | (size < INFINITE ? usual : size > INFINITE ? 0x7E00 : 0x7C00);
}

#define ROUNDED(name, type, BITS)                                                                                      \
    CLONED void name(const Call *c, int64_t first, int64_t last)                                                       \
    {                                                                                                                  \
        const int dropped = (int)c->sizes[0];                                                                          \
        const float *x = c->arrays[0];                                                                                 \
        type *y = c->arrays[1];                                                                                        \
        (void)dropped;                                                                                                 \
        for (int64_t i = first; i < last; i++) {                                                                       \
            const uint32_t bits = bits_of(x[i]);                                                                       \
            y[i] = BITS;                                                                                               \
        }                                                                                                              \
    }

ROUNDED(round_fraction, float, float_of(fraction_rounded(bits, dropped)))
ROUNDED(round_half, float, float_of(half_rounded(bits)))
ROUNDED(keep_brain, unsigned short, (unsigned short)(fraction_rounded(bits, 16) >> 16))
ROUNDED(keep_half, unsigned short, (unsigned short)half_bits(half_rounded(bits)))

/* Any of them: a thread of a GPU is not told which function it is, but the sizes. */
INLINE void round_to(const Call *c, int64_t first, int64_t last)
{
    const int half = c->sizes[1] != 0, brief = c->sizes[2] != 0;
    if (brief) {
        if (half) keep_half(c, first, last);
        else keep_brain(c, first, last);
    } else if (half) round_half(c, first, last);
    else round_fraction(c, first, last);
}

#ifndef ON_DEVICE

/* round_to(x, y, dropped, half): of floats alone; y is of floats, too, or has the 16 bits of float16 or bfloat16. */
static int take_round_to(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    uint64_t dropped, half;
    if (!word(objects[2], &dropped) || !word(objects[3], &half)) return 0;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    Py_buffer *y = call->arrays[0] == NULL || given->type != 'f' ? NULL : view(given, objects[1], 1);
    if (y == NULL || y->len / y->itemsize != size) return 0;
    const int brief = y->itemsize == 2;
    if (format(y) != (!brief ? 'f' : half ? 'e' : 'H') || (brief && !half && dropped != 16)) return 0;
    call->arrays[1] = y->buf;
    call->sizes[0] = (int64_t)dropped, call->sizes[1] = half != 0, call->sizes[2] = brief;
    call->run = run_range, call->range = round_to;
    call->length = size, call->work = 2;
    return 1;
}

#endif

#endif
