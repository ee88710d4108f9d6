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
    const char *x = c->arrays[0];
    char *y = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        uint32_t bits;
        memcpy(&bits, x + 4 * i, 4);
        bits = (bits & SIZE) > INFINITE ? NOT_A_NUMBER : shortened(bits, dropped);
        memcpy(y + 4 * i, &bits, 4);
    }
}

/* float16: fewer bits of the fraction, infinity above its largest number, steps of one size below its normal ones. */
CLONED void round_half(const Call *c, int64_t first, int64_t last)
{
    const char *x = c->arrays[0];
    char *y = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        uint32_t bits, size, normal, small;
        float value;
        memcpy(&bits, x + 4 * i, 4);
        size = bits & SIZE;
        normal = shortened(size, 13);
        normal = normal > HALF_LARGEST ? INFINITE : normal;
        memcpy(&value, &size, 4);
        value = (value + 0.5f) - 0.5f; /* floats from 0.5 to 1 are as far apart as float16's smallest numbers */
        memcpy(&small, &value, 4);
        normal = size < HALF_NORMAL ? small : normal;
        bits = size > INFINITE ? NOT_A_NUMBER : (bits & ~(uint32_t)SIZE) | normal;
        memcpy(y + 4 * i, &bits, 4);
    }
}

/* round_to(x, y, dropped, half): floats alone. */
static int take_round_to(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    uint64_t dropped, half;
    if (!word(objects[2], &dropped) || !word(objects[3], &half)) return 0;
    if (!alike(objects, given, call, 0, 2, &size) || given->type != 'f') return 0;
    call->sizes[0] = (int64_t)dropped;
    call->run = run_range, call->range = half ? round_half : round_fraction;
    call->length = size, call->work = 2;
    return 1;
}

#endif
