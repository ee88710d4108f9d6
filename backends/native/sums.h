/* How are many numbers added? In an order that their count alone decides: threads and replays give the same bits.
 *
 * SIDE sums run side by side through a block of numbers; from block to block they add up in double. So no sum of REAL
 * has more than SUM_BLOCK / SIDE terms before those of the sides are added in pairs: 22 roundings, whatever the count.
 */

#ifndef SUMS
#define SUMS

enum { SIDE = 64, SUM_BLOCK = 1024, FEW = 16, MOST_SEGMENTS = 64 };

/* How many elements make a segment of a long array: whole blocks, and MOST_SEGMENTS segments at most. */
INLINE int64_t segment_of(int64_t count)
{
    const int64_t blocks = (count + SUM_BLOCK - 1) / SUM_BLOCK, share = (blocks + MOST_SEGMENTS - 1) / MOST_SEGMENTS;
    return (share < 4 ? 4 : share) * SUM_BLOCK;
}

#ifndef ON_DEVICE
static double add_segments(void (*range)(const Call *, int64_t, int64_t), const void *x, const void *y, int64_t count)
{
    double totals[MOST_SEGMENTS], sum;
    Call call;
    call.range = range;
    call.arrays[0] = (void *)x, call.arrays[1] = (void *)y, call.arrays[MOST_ARRAYS - 1] = totals;
    call.sizes[0] = count;
    call.work = segment_of(count);
    call.length = (count + call.work - 1) / call.work;
    run_range(&call);
    sum = totals[0];
    for (int64_t s = 1; s < call.length; s++) sum += totals[s];
    return sum;
}
#endif

#endif

#ifdef REAL

/* A function of GIVEN, with a `count` there: the sum of TERM(i), i = 0 ... count - 1. */
#define TERMS_OF_SUM(name, GIVEN, TERM)                                                                                \
    INLINE double NAME(name) GIVEN                                                                                     \
    {                                                                                                                  \
        if (count < FEW) {                                                                                             \
            REAL sum = 0;                                                                                              \
            for (int64_t i = 0; i < count; i++) sum += TERM(i);                                                        \
            return (double)sum;                                                                                        \
        }                                                                                                              \
        REAL sums[SIDE];                                                                                               \
        double totals[SIDE];                                                                                           \
        for (int k = 0; k < SIDE; k++) totals[k] = 0;                                                                  \
        for (int64_t start = 0; start < count; start += SUM_BLOCK) {                                                   \
            const int64_t last = count - start < SUM_BLOCK ? count : start + SUM_BLOCK;                                \
            int64_t i = start;                                                                                         \
            for (int k = 0; k < SIDE; k++) sums[k] = 0;                                                                \
            for (; i + SIDE <= last; i += SIDE) {                                                                      \
                for (int k = 0; k < SIDE; k++) sums[k] += TERM(i + k);                                                 \
            }                                                                                                          \
            for (int k = 0; k < (int)(last - i); k++) sums[k] += TERM(i + k);                                          \
            if (count <= SUM_BLOCK) {                                                                                  \
                for (int half = SIDE / 2; half > 0; half /= 2) {                                                       \
                    for (int k = 0; k < half; k++) sums[k] += sums[k + half];                                          \
                }                                                                                                      \
                return (double)sums[0];                                                                                \
            }                                                                                                          \
            for (int k = 0; k < SIDE; k++) totals[k] += (double)sums[k];                                               \
        }                                                                                                              \
        for (int half = SIDE / 2; half > 0; half /= 2) {                                                               \
            for (int k = 0; k < half; k++) totals[k] += totals[k + half];                                              \
        }                                                                                                              \
        return totals[0];                                                                                              \
    }

#define ITSELF(i) x[i]
#define SQUARE(i) x[i] * x[i]
#define MAGNITUDE(i) NAME(magnitude)(x[i])
#define PRODUCT(i) x[i] * y[i]
#define SQUARED_DIFFERENCE(i) (x[i] - y[i]) * (x[i] - y[i])
TERMS_OF_SUM(sum_of, (const REAL *x, const REAL *unused, int64_t count), ITSELF)
TERMS_OF_SUM(sum_of_squares, (const REAL *x, const REAL *unused, int64_t count), SQUARE)
TERMS_OF_SUM(sum_of_magnitudes, (const REAL *x, const REAL *unused, int64_t count), MAGNITUDE)
TERMS_OF_SUM(sum_of_products, (const REAL *x, const REAL *y, int64_t count), PRODUCT)
TERMS_OF_SUM(squared_distance, (const REAL *x, const REAL *y, int64_t count), SQUARED_DIFFERENCE)
#undef ITSELF
#undef SQUARE
#undef MAGNITUDE
#undef PRODUCT
#undef SQUARED_DIFFERENCE

#ifndef ON_DEVICE
/* Segments first ... last of a long sum: each its own total. */
#define SEGMENTS_OF_SUM(name)                                                                                          \
    CLONED void NAME(name##_segments)(const Call *c, int64_t first, int64_t last)                                      \
    {                                                                                                                  \
        const REAL *x = c->arrays[0], *y = c->arrays[1];                                                               \
        double *totals = c->arrays[MOST_ARRAYS - 1];                                                                   \
        for (int64_t s = first; s < last; s++) {                                                                       \
            const int64_t start = s * c->work, rest = c->sizes[0] - start;                                             \
            totals[s] = NAME(name)(x + start, y == NULL ? NULL : y + start, rest < c->work ? rest : c->work);          \
        }                                                                                                              \
    }                                                                                                                  \
    /* The sum of sizes[0] terms of arrays[0], and arrays[1] where there is one. */                                    \
    static REAL NAME(whole_##name)(const REAL *x, const REAL *y, int64_t count)                                        \
    {                                                                                                                  \
        return (REAL)add_segments(NAME(name##_segments), x, y, count);                                                 \
    }

SEGMENTS_OF_SUM(sum_of)
SEGMENTS_OF_SUM(sum_of_squares)
SEGMENTS_OF_SUM(sum_of_magnitudes)
SEGMENTS_OF_SUM(sum_of_products)
#endif

#endif
