/* What is the largest number of a row, what is its sum? In an order that the row's length alone decides.
 *
 * Sums run in 16 lanes side by side, within pieces of 1024 numbers that are added one after the other: vectors compute
 * them, and their rounding errors grow slower than those of one long sum. A short row is added from left to right.
 */

#ifdef REAL

/* The sum of the 16 lanes. */
INLINE REAL NAME(lanes_sum)(const REAL *lanes)
{
    REAL eight[8], four[4];
    for (int l = 0; l < 8; l++) eight[l] = lanes[l] + lanes[l + 8];
    for (int l = 0; l < 4; l++) four[l] = eight[l] + eight[l + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Of f(j), j = 0 ... count - 1, the sum into `total`; f is an expression of j. */
#define ROW_SUM(total, count, f)                                                                                       \
    do {                                                                                                               \
        REAL sum_ = 0;                                                                                                 \
        const int64_t whole_ = (count) - (count) % 16;                                                                 \
        for (int64_t piece_ = 0; piece_ < whole_; piece_ += 1024) {                                                    \
            const int64_t end_ = piece_ + 1024 < whole_ ? piece_ + 1024 : whole_;                                      \
            REAL lanes_[16] = {0};                                                                                     \
            for (int64_t at_ = piece_; at_ < end_; at_ += 16) {                                                        \
                for (int lane_ = 0; lane_ < 16; lane_++) {                                                             \
                    const int64_t j = at_ + lane_;                                                                     \
                    lanes_[lane_] += (f);                                                                              \
                }                                                                                                      \
            }                                                                                                          \
            sum_ += NAME(lanes_sum)(lanes_);                                                                           \
        }                                                                                                              \
        for (int64_t j = whole_; j < (count); j++) sum_ += (f);                                                        \
        (total) = sum_;                                                                                                \
    } while (0)

/* The largest of x; where there is a NaN, any number. */
INLINE REAL NAME(largest_of)(const REAL *x, int64_t count)
{
    REAL largest = x[0];
    int64_t whole = count - count % 16;
    if (whole > 0) {
        REAL lanes[16];
        for (int l = 0; l < 16; l++) lanes[l] = x[l];
        for (int64_t at = 16; at < whole; at += 16) {
            for (int l = 0; l < 16; l++) lanes[l] = x[at + l] > lanes[l] ? x[at + l] : lanes[l];
        }
        for (int l = 0; l < 16; l++) largest = lanes[l] > largest ? lanes[l] : largest;
    }
    for (int64_t j = whole; j < count; j++) largest = x[j] > largest ? x[j] : largest;
    return largest;
}

#endif
