/* How are sums down the columns computed on a GPU? By a block for some columns, each thread with some of the rows.
 *
 * Arrays and formulas are those of the functions of these names in backends/native, which go down one after the other.
 */

/* y = gain normalized + bias, of one number of column j. */
INLINE REAL NAME(affine)(REAL normalized, const REAL *gain, const REAL *bias, int64_t j)
{
    const REAL scaled = gain == NULL ? normalized : normalized * gain[j];
    return bias == NULL ? scaled : scaled + bias[j];
}

/* db = sum of dy over its rows. */
INLINE void NAME(column_sum)(const Call *c, const Column &at)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL *dy = c->arrays[0];
    REAL *db = c->arrays[1];
    const REAL sum = sum_of_column<REAL>(at, rows, [&](int64_t i) { return dy[i * columns + at.j]; });
    if (at.inside && at.slice == 0) db[at.j] = sum;
}

/* dx = dy f'(x), and db = its sum over the rows. */
template <typename Slope>
static __device__ __forceinline__ void NAME(gradient_sum)(const Call *c, const Column &at, Slope slope)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL *dy = c->arrays[0], *saved = c->arrays[1];
    REAL *dx = c->arrays[2], *db = c->arrays[3];
    const REAL sum = sum_of_column<REAL>(at, rows, [&](int64_t i) {
        const int64_t place = i * columns + at.j;
        return dx[place] = slope(dy[place], saved[place]);
    });
    if (at.inside && at.slice == 0) db[at.j] = sum;
}

INLINE void NAME(relu_gradient_sum)(const Call *c, const Column &at)
{
    NAME(gradient_sum)(c, at, [](REAL dy, REAL y) { return NAME(relu_slope)(dy, y); });
}

#define GRADIENT_SUM(name, cost, gradient_cost, settings)                                                              \
    INLINE void NAME(name##_gradient_sum)(const Call *c, const Column &at)                                             \
    {                                                                                                                  \
        const double given = value_of(c->numbers);                                                                     \
        const REAL setting = (REAL)given, rest = (REAL)(1.0 - given);                                                  \
        NAME(gradient_sum)(c, at, [&](REAL dy, REAL saved) { return NAME(name##_slope)(dy, saved, setting, rest); });  \
    }
CURVES(GRADIENT_SUM)
#undef GRADIENT_SUM

/* Batch norm in training. */
INLINE void NAME(batch_norm)(const Call *c, const Column &at)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1], j = at.j;
    const REAL *x = c->arrays[0], *gain = c->arrays[1], *bias = c->arrays[2];
    const REAL count = (REAL)rows, eps = (REAL)value_of(c->numbers), shift = at.inside ? x[j] : 0;
    const REAL mean = sum_of_column<REAL>(at, rows, [&](int64_t i) { return x[i * columns + j] - shift; }) / count;
    const REAL squares = sum_of_column<REAL>(at, rows, [&](int64_t i) {
        const REAL centered = x[i * columns + j] - shift - mean;
        return centered * centered;
    });
    const REAL variance = squares / count, inverse = 1 / SQRT(variance + eps);
    REAL *y = c->arrays[3], *normalized = c->arrays[4];
    EACH_OF_COLUMN(i, rows) {
        const REAL one = (x[i * columns + j] - shift - mean) * inverse;
        normalized[i * columns + j] = one;
        y[i * columns + j] = NAME(affine)(one, gain, bias, j);
    }
    if (at.inside && at.slice == 0) {
        ((REAL *)c->arrays[5])[j] = mean + shift;
        ((REAL *)c->arrays[6])[j] = variance;
        ((REAL *)c->arrays[7])[j] = inverse;
    }
}

/* dgain = sum of dy normalized, dbias = sum of dy, over the rows; NULL where not wanted. */
INLINE void NAME(affine_gradient)(const Call *c, const Column &at)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1], j = at.j;
    const REAL *dy = c->arrays[0], *normalized = c->arrays[1];
    REAL *dgain = c->arrays[2], *dbias = c->arrays[3];
    if (dgain != NULL) {
        const REAL sum = sum_of_column<REAL>(at, rows, [&](int64_t i) {
            return dy[i * columns + j] * normalized[i * columns + j];
        });
        if (at.inside && at.slice == 0) dgain[j] = sum;
    }
    if (dbias != NULL) {
        const REAL sum = sum_of_column<REAL>(at, rows, [&](int64_t i) { return dy[i * columns + j]; });
        if (at.inside && at.slice == 0) dbias[j] = sum;
    }
}

/* dx = gain inverse (dy - normalized * mean of dy normalized - mean of dy), and the sums of affine_gradient. */
INLINE void NAME(batch_norm_gradient)(const Call *c, const Column &at)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1], j = at.j;
    const REAL *dy = c->arrays[0], *normalized = c->arrays[1], *gain = c->arrays[5], *inverse = c->arrays[6];
    REAL *dgain = c->arrays[2], *dbias = c->arrays[3], *dx = c->arrays[4];
    const REAL count = (REAL)rows;
    const REAL sum = sum_of_column<REAL>(at, rows, [&](int64_t i) { return dy[i * columns + j]; });
    const REAL product_sum = sum_of_column<REAL>(at, rows, [&](int64_t i) {
        return dy[i * columns + j] * normalized[i * columns + j];
    });
    if (!at.inside) return;
    if (at.slice == 0 && dgain != NULL) dgain[j] = product_sum;
    if (at.slice == 0 && dbias != NULL) dbias[j] = sum;
    const REAL mean = sum / count, product_mean = product_sum / count;
    const REAL factor = gain == NULL ? inverse[j] : gain[j] * inverse[j];
    EACH_OF_COLUMN(i, rows) {
        const int64_t place = i * columns + j;
        dx[place] = (dy[place] - normalized[place] * product_mean - mean) * factor;
    }
}
