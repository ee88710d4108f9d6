/* How are numbers rounded to a type with fewer bits? As backends/kernels/rounding.py does, with the same bits. */

#ifndef REAL

enum { SIZE = 0x7FFFFFFF, INFINITE = 0x7F800000, NOT_A_NUMBER = 0x7FC00000, HALF_NORMAL = 0x38800000, HALF_LARGEST = 0x477FE000 };

/* To the nearest with so many bits less; of two, the even one. Not for NaN. */
INLINE uint32_t shortened(uint32_t bits, int dropped)
{
    return (bits + (1u << (dropped - 1)) - 1 + ((bits >> dropped) & 1)) & ~((1u << dropped) - 1);
}

/* tf32 and bfloat16: a float with `sizes[0]` bits of its fraction less. */
CLONED void round_fraction(const Call *c, int64_t first, int64_t last)
{
    const int dropped = (int)c->sizes[0];
    const float *x = c->arrays[0];
    float *y = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        const uint32_t bits = bits_of(x[i]);
        y[i] = float_of((bits & SIZE) > INFINITE ? NOT_A_NUMBER : shortened(bits, dropped));
    }
}

/* float16: fewer bits of the fraction, infinity above its largest number, steps of one size below its normal ones. */
CLONED void round_half(const Call *c, int64_t first, int64_t last)
{
    const float *x = c->arrays[0];
    float *y = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        const uint32_t bits = bits_of(x[i]), size = bits & SIZE;
        /* Floats from 0.5 to 1 are as far apart as float16's smallest numbers. */
        const uint32_t small = bits_of((float_of(size) + 0.5f) - 0.5f);
        uint32_t rounded = shortened(size, 13);
        rounded = rounded > HALF_LARGEST ? INFINITE : rounded;
        rounded = size < HALF_NORMAL ? small : rounded;
        y[i] = float_of(size > INFINITE ? NOT_A_NUMBER : (bits & ~(uint32_t)SIZE) | rounded);
    }
}

/* Either of them: a thread of a GPU is not told which function it is, but the sizes. */
INLINE void round_to(const Call *c, int64_t first, int64_t last)
{
    if (c->sizes[1]) round_half(c, first, last);
    else round_fraction(c, first, last);
}

#ifndef ON_DEVICE

/* round_to(x, y, dropped, half): floats alone. */
static int take_round_to(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    uint64_t dropped, half;
    if (!word(objects[2], &dropped) || !word(objects[3], &half)) return 0;
    if (!alike(objects, given, call, 0, 2, &size) || given->type != 'f') return 0;
    call->sizes[0] = (int64_t)dropped;
    call->sizes[1] = half != 0;
    call->run = run_range, call->range = round_to;
    call->length = size, call->work = 2;
    return 1;
}

#endif

#endif
