/* How are softmax, losses of classes, layer norm and other sums of rows computed on a GPU? By some threads for a row.
 *
 * Arrays and formulas are those of the functions of these names in backends/native, where one thread has whole rows. A
 * thread reads of what it wrote only its own elements j = lane, lane + count, ...
 */

#define ROW_OF(type, place, columns) ((type *)c->arrays[place] + i * (columns))

/* -- softmax, maxout ----------------------------------------------------------------------------------------------- */

/* p = e^(x - largest) / sum of e^(x - largest); the largest and the sum. */
INLINE void NAME(softmax_of)(const Lanes &l, const REAL *x, REAL *p, int64_t count, REAL *largest, REAL *sum)
{
    const REAL most = largest_of_row(l, x, count);
    const REAL total = sum_of_row<REAL>(l, count, [&](int64_t j) { return p[j] = NAME(exponential)(x[j] - most); });
    EACH_OF_ROW(j, count) p[j] /= total;
    *largest = most, *sum = total;
}

INLINE void NAME(softmax)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    REAL largest, sum;
    NAME(softmax_of)(l, ROW_OF(const REAL, 0, columns), ROW_OF(REAL, 1, columns), columns, &largest, &sum);
}

INLINE void NAME(softmax_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL *dy = ROW_OF(const REAL, 0, columns), *y = ROW_OF(const REAL, 1, columns);
    REAL *dx = ROW_OF(REAL, 2, columns);
    const REAL sum = sum_of_row<REAL>(l, columns, [&](int64_t j) { return dy[j] * y[j]; });
    EACH_OF_ROW(j, columns) dx[j] = (dy[j] - sum) * y[j];
}

INLINE void NAME(log_softmax)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL *x = ROW_OF(const REAL, 0, columns), largest = largest_of_row(l, x, columns);
    REAL *y = ROW_OF(REAL, 1, columns);
    const REAL sum = sum_of_row<REAL>(l, columns, [&](int64_t j) { return NAME(exponential)(x[j] - largest); });
    const REAL logarithm = LOG(sum);
    EACH_OF_ROW(j, columns) y[j] = x[j] - largest - logarithm;
}

INLINE void NAME(log_softmax_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL *dy = ROW_OF(const REAL, 0, columns), *y = ROW_OF(const REAL, 1, columns);
    REAL *dx = ROW_OF(REAL, 2, columns);
    const REAL sum = sum_of_row<REAL>(l, columns, [&](int64_t j) { return dy[j]; });
    EACH_OF_ROW(j, columns) dx[j] = dy[j] - NAME(exponential)(y[j]) * sum;
}

INLINE void NAME(maxout)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t pieces = c->sizes[0], features = c->sizes[1];
    const REAL *x = ROW_OF(const REAL, 0, pieces * features);
    REAL *y = ROW_OF(REAL, 1, features);
    EACH_OF_ROW(j, features) {
        REAL largest = x[j];
        for (int64_t k = 1; k < pieces; k++) {
            const REAL one = x[k * features + j];
            largest = one > largest || one != one ? one : largest;
        }
        y[j] = largest;
    }
}

INLINE void NAME(maxout_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t pieces = c->sizes[0], features = c->sizes[1];
    const REAL *dy = ROW_OF(const REAL, 0, features), *x = ROW_OF(const REAL, 1, pieces * features);
    const REAL *y = ROW_OF(const REAL, 2, features);
    REAL *dx = ROW_OF(REAL, 3, pieces * features);
    EACH_OF_ROW(j, features) {
        REAL ties = 0;
        for (int64_t k = 0; k < pieces; k++) ties += (REAL)(x[k * features + j] == y[j]);
        const REAL share = dy[j] / (ties < 1 ? 1 : ties);
        for (int64_t k = 0; k < pieces; k++) dx[k * features + j] = (REAL)(x[k * features + j] == y[j]) * share;
    }
}

/* -- losses of classes --------------------------------------------------------------------------------------------- */

/* Nobody has looked at the labels of a GPU. One that is no class reads no other memory, and its loss is NaN. */
INLINE void NAME(write_loss)(const Call *c, int64_t i, int64_t label, int64_t classes, REAL loss)
{
    *ROW_OF(REAL, 2, 1) = label == WITHIN(label, classes) ? loss : (REAL)NAN;
}

INLINE void NAME(cross_entropy)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[3])[i];
    const REAL *x = ROW_OF(const REAL, 0, classes);
    REAL largest, sum;
    NAME(softmax_of)(l, x, ROW_OF(REAL, 1, classes), classes, &largest, &sum);
    const REAL loss = NAME(logarithm)(sum) - (x[WITHIN(label, classes)] - largest);
    if (l.lane == 0) NAME(write_loss)(c, i, label, classes, loss);
}

INLINE void NAME(cross_entropy_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[2])[i];
    const REAL dloss = *ROW_OF(const REAL, 0, c->sizes[1]), *p = ROW_OF(const REAL, 1, classes);
    REAL *dlogits = ROW_OF(REAL, 3, classes);
    EACH_OF_ROW(j, classes) {
        const REAL spread = p[j] * dloss;
        dlogits[j] = j == label ? spread - dloss : spread;
    }
}

#define SMOOTHING                                                                                                      \
    const double smoothing = value_of(c->numbers);                                                                     \
    const REAL sure = (REAL)(1.0 - smoothing), share = (REAL)(smoothing / (double)classes)

INLINE void NAME(weighted_cross_entropy)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[3])[i];
    const REAL *x = ROW_OF(const REAL, 0, classes), *w = c->arrays[4];
    SMOOTHING;
    REAL largest, sum;
    NAME(softmax_of)(l, x, ROW_OF(REAL, 1, classes), classes, &largest, &sum);
    const REAL spread = sum_of_row<REAL>(l, classes, [&](int64_t j) { return share * w[j]; });
    const int64_t chosen = WITHIN(label, classes);
    const REAL right = sure * w[chosen];
    REAL expected = right * (x[chosen] - largest);
    if (smoothing != 0) {
        expected += sum_of_row<REAL>(l, classes, [&](int64_t j) { return (x[j] - largest) * (share * w[j]); });
    }
    const REAL loss = (right + spread) * NAME(logarithm)(sum) - expected;
    if (l.lane == 0) NAME(write_loss)(c, i, label, classes, loss);
}

INLINE void NAME(weighted_cross_entropy_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[2])[i];
    const REAL dloss = *ROW_OF(const REAL, 0, c->sizes[1]), *p = ROW_OF(const REAL, 1, classes), *w = c->arrays[4];
    REAL *dlogits = ROW_OF(REAL, 3, classes);
    SMOOTHING;
    const REAL spread = sum_of_row<REAL>(l, classes, [&](int64_t j) { return share * w[j]; });
    const REAL right = sure * w[WITHIN(label, classes)], mass = right + spread;
    EACH_OF_ROW(j, classes) {
        const REAL rest = p[j] * mass - share * w[j];
        dlogits[j] = (j == label ? rest - right : rest) * dloss;
    }
}

/* t_j = w_j (sure target_j + share); w is NULL for ones. */
INLINE REAL NAME(smoothed)(const REAL *target, const REAL *w, REAL sure, REAL share, int64_t j)
{
    const REAL t = target[j] * sure + share;
    return w == NULL ? t : t * w[j];
}

INLINE void NAME(soft_cross_entropy)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0];
    const REAL *x = ROW_OF(const REAL, 0, classes), *target = ROW_OF(const REAL, 3, classes), *w = c->arrays[4];
    SMOOTHING;
    REAL largest, sum;
    NAME(softmax_of)(l, x, ROW_OF(REAL, 1, classes), classes, &largest, &sum);
    const REAL mass =
        sum_of_row<REAL>(l, classes, [&](int64_t j) { return NAME(smoothed)(target, w, sure, share, j); });
    const REAL score = sum_of_row<REAL>(
        l, classes, [&](int64_t j) { return NAME(smoothed)(target, w, sure, share, j) * (x[j] - largest); });
    if (l.lane == 0) *ROW_OF(REAL, 2, 1) = mass * NAME(logarithm)(sum) - score;
}

INLINE void NAME(soft_cross_entropy_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0];
    const REAL dloss = *ROW_OF(const REAL, 0, c->sizes[1]), *p = ROW_OF(const REAL, 1, classes), *w = c->arrays[4];
    const REAL *target = ROW_OF(const REAL, 2, classes);
    REAL *dlogits = ROW_OF(REAL, 3, classes);
    SMOOTHING;
    const REAL mass =
        sum_of_row<REAL>(l, classes, [&](int64_t j) { return NAME(smoothed)(target, w, sure, share, j); });
    EACH_OF_ROW(j, classes) dlogits[j] = (p[j] * mass - NAME(smoothed)(target, w, sure, share, j)) * dloss;
}
#undef SMOOTHING

INLINE void NAME(hinge)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[1])[i];
    const REAL *scores = ROW_OF(const REAL, 0, classes), margin = (REAL)value_of(c->numbers);
    const REAL bound = scores[WITHIN(label, classes)] - margin;
    const REAL sum = sum_of_row<REAL>(
        l, classes, [&](int64_t j) { return j == label ? 0 : NAME(relu_of)(scores[j] - bound); });
    if (l.lane == 0) NAME(write_loss)(c, i, label, classes, sum);
}

INLINE void NAME(hinge_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t classes = c->sizes[0], label = ((const int64_t *)c->arrays[2])[i];
    const REAL dloss = *ROW_OF(const REAL, 0, c->sizes[1]), *scores = ROW_OF(const REAL, 1, classes);
    const REAL bound = scores[WITHIN(label, classes)] - (REAL)value_of(c->numbers);
    REAL *dscores = ROW_OF(REAL, 3, classes);
    int64_t above = 0;
    EACH_OF_ROW(j, classes) above += j != label && scores[j] > bound;
    above = combined(l, above, Adds<int64_t>());
    EACH_OF_ROW(j, classes) dscores[j] = (j == label ? -(REAL)above : (REAL)(scores[j] > bound)) * dloss;
}

/* -- distances, sums ----------------------------------------------------------------------------------------------- */

INLINE REAL NAME(distance)(const Lanes &l, const REAL *x, const REAL *y, int64_t count)
{
    return sum_of_row<REAL>(l, count, [&](int64_t j) { return (x[j] - y[j]) * (x[j] - y[j]); });
}

INLINE void NAME(squared_error)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL distance = NAME(distance)(l, ROW_OF(const REAL, 0, columns), ROW_OF(const REAL, 1, columns), columns);
    if (l.lane == 0) *ROW_OF(REAL, 2, 1) = distance * (REAL)value_of(c->numbers);
}

INLINE void NAME(triplet)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL *anchor = ROW_OF(const REAL, 0, columns), margin = (REAL)value_of(c->numbers);
    const REAL near = NAME(distance)(l, anchor, ROW_OF(const REAL, 1, columns), columns);
    const REAL far = NAME(distance)(l, anchor, ROW_OF(const REAL, 2, columns), columns);
    if (l.lane == 0) *ROW_OF(REAL, 3, 1) = NAME(at_least)(near - far + margin, 0);
}

INLINE void NAME(row_sums)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[0];
    const REAL *x = ROW_OF(const REAL, 0, columns);
    const REAL sum = sum_of_row<REAL>(l, columns, [&](int64_t j) { return x[j]; });
    if (l.lane == 0) *ROW_OF(REAL, 1, 1) = sum;
}

/* -- layer norm ---------------------------------------------------------------------------------------------------- */

INLINE void NAME(layer_norm)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[1];
    const REAL *x = ROW_OF(const REAL, 0, columns), *gain = c->arrays[1], *bias = c->arrays[2];
    const REAL count = (REAL)columns, eps = (REAL)value_of(c->numbers), shift = x[0];
    REAL *y = ROW_OF(REAL, 3, columns), *normalized = ROW_OF(REAL, 4, columns);
    const REAL mean = sum_of_row<REAL>(l, columns, [&](int64_t j) { return x[j] - shift; }) / count;
    const REAL squares = sum_of_row<REAL>(l, columns, [&](int64_t j) {
        const REAL centered = x[j] - shift - mean;
        return centered * centered;
    });
    const REAL inverse = 1 / SQRT(squares / count + eps);
    EACH_OF_ROW(j, columns) {
        const REAL one = (x[j] - shift - mean) * inverse, scaled = gain == NULL ? one : one * gain[j];
        normalized[j] = one;
        y[j] = bias == NULL ? scaled : scaled + bias[j];
    }
    if (l.lane == 0) *ROW_OF(REAL, 5, 1) = inverse;
}

INLINE void NAME(layer_norm_gradient)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t columns = c->sizes[1];
    const REAL *dy = ROW_OF(const REAL, 0, columns), *normalized = ROW_OF(const REAL, 1, columns);
    const REAL *gain = c->arrays[2], inverse = *ROW_OF(const REAL, 3, 1), count = (REAL)columns;
    REAL *dx = ROW_OF(REAL, 4, columns);
    const REAL product_mean = sum_of_row<REAL>(l, columns, [&](int64_t j) {
        return (gain == NULL ? dy[j] : dy[j] * gain[j]) * normalized[j];
    }) / count;
    const REAL mean = sum_of_row<REAL>(l, columns, [&](int64_t j) {
        return (gain == NULL ? dy[j] : dy[j] * gain[j]) - normalized[j] * product_mean;
    }) / count;
    EACH_OF_ROW(j, columns) {
        const REAL g = gain == NULL ? dy[j] : dy[j] * gain[j];
        dx[j] = (g - normalized[j] * product_mean - mean) * inverse;
    }
}

/* -- sums of squares ----------------------------------------------------------------------------------------------- */

/* out = the sum of g^2 in this piece, a row of which the last one may be shorter. */
INLINE void NAME(squared_pieces)(const Call *c, int64_t i, const Lanes &l)
{
    const int64_t left = c->sizes[1] - i * c->sizes[0];
    const REAL *g = ROW_OF(const REAL, 0, c->sizes[0]);
    const double sum = sum_of_row<double>(l, left < c->sizes[0] ? left : c->sizes[0], [&](int64_t j) {
        return g[j] * g[j];
    });
    if (l.lane == 0) *ROW_OF(REAL, 1, 1) = (REAL)sum;
}
#undef ROW_OF
