/* How are batch norm and layer norm computed? Of matrices (rows, columns): the one by columns, the other by rows.
 *
 *     normalized = (x - mean) inverse          y = gain normalized + bias          inverse = 1 / sqrt(variance + eps)
 *
 * Mean and variance take two passes, over x less its first number, as in the definitions: a constant gives 0, and a
 * small variance around a large mean is kept. gain, bias and gradients that nobody wants are NULL.
 */


#ifndef TILE
#define TILE 64 /* columns that are handled together: their numbers of all rows stay in a near cache */
#endif

#ifdef REAL

/* y = gain normalized + bias, for one row of `count` numbers; y may be normalized. */
INLINE void NAME(scale_row)(const REAL *normalized, const REAL *gain, const REAL *bias, REAL *y, int64_t count)
{
    if (gain != NULL && bias != NULL) {
        INDEPENDENT for (int64_t j = 0; j < count; j++) y[j] = normalized[j] * gain[j] + bias[j];
    } else if (gain != NULL) {
        INDEPENDENT for (int64_t j = 0; j < count; j++) y[j] = normalized[j] * gain[j];
    } else if (bias != NULL) {
        INDEPENDENT for (int64_t j = 0; j < count; j++) y[j] = normalized[j] + bias[j];
    } else {
        INDEPENDENT for (int64_t j = 0; j < count; j++) y[j] = normalized[j];
    }
}

/* A column's numbers in an array that may be missing. */
INLINE REAL *NAME(from)(void *array, int64_t start) { return array == NULL ? NULL : (REAL *)array + start; }

#ifndef ON_DEVICE /* backends/cuda/columns.h */

/* Batch norm in training, for columns first ... last; sums row after row, as NumPy adds. */
CLONED void NAME(batch_norm)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL count = (REAL)rows, eps = (REAL)value_of(c->numbers);
    REAL shift[TILE], mean[TILE], variance[TILE], inverse[TILE];
    for (int64_t start = first; start < last; start += TILE) {
        const int64_t width = last - start < TILE ? last - start : TILE;
        const REAL *x = (const REAL *)c->arrays[0] + start, *gain = NAME(from)(c->arrays[1], start);
        const REAL *bias = NAME(from)(c->arrays[2], start);
        for (int64_t j = 0; j < width; j++) shift[j] = x[j], mean[j] = variance[j] = 0;
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < width; j++) mean[j] += x[i * columns + j] - shift[j];
        }
        for (int64_t j = 0; j < width; j++) mean[j] /= count;
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < width; j++) {
                const REAL centered = x[i * columns + j] - shift[j] - mean[j];
                variance[j] += centered * centered;
            }
        }
        for (int64_t j = 0; j < width; j++) {
            variance[j] /= count;
            inverse[j] = 1 / SQRT(variance[j] + eps);
        }
        for (int64_t i = 0; i < rows; i++) {
            REAL *restrict normalized = (REAL *)c->arrays[4] + i * columns + start;
            for (int64_t j = 0; j < width; j++) {
                normalized[j] = (x[i * columns + j] - shift[j] - mean[j]) * inverse[j];
            }
            NAME(scale_row)(normalized, gain, bias, (REAL *)c->arrays[3] + i * columns + start, width);
        }
        for (int64_t j = 0; j < width; j++) {
            NAME(from)(c->arrays[5], start)[j] = mean[j] + shift[j];
            NAME(from)(c->arrays[6], start)[j] = variance[j];
            NAME(from)(c->arrays[7], start)[j] = inverse[j];
        }
    }
}

/* dgain = sum of dy normalized, dbias = sum of dy, over the rows, for columns first ... last; NULL where not wanted. */
CLONED void NAME(affine_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    REAL sum[TILE];
    for (int64_t start = first; start < last; start += TILE) {
        const int64_t width = last - start < TILE ? last - start : TILE;
        const REAL *dy = (const REAL *)c->arrays[0] + start, *normalized = NAME(from)(c->arrays[1], start);
        REAL *dgain = NAME(from)(c->arrays[2], start), *dbias = NAME(from)(c->arrays[3], start);
        if (dgain != NULL) {
            for (int64_t j = 0; j < width; j++) sum[j] = 0;
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < width; j++) sum[j] += dy[i * columns + j] * normalized[i * columns + j];
            }
            for (int64_t j = 0; j < width; j++) dgain[j] = sum[j];
        }
        if (dbias != NULL) {
            for (int64_t j = 0; j < width; j++) sum[j] = 0;
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < width; j++) sum[j] += dy[i * columns + j];
            }
            for (int64_t j = 0; j < width; j++) dbias[j] = sum[j];
        }
    }
}

/* dx = gain inverse (dy - normalized * mean of dy normalized - mean of dy), and the sums of affine_gradient. */
CLONED void NAME(batch_norm_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL count = (REAL)rows;
    REAL sum[TILE], product_sum[TILE], factor[TILE];
    for (int64_t start = first; start < last; start += TILE) {
        const int64_t width = last - start < TILE ? last - start : TILE;
        const REAL *dy = (const REAL *)c->arrays[0] + start, *normalized = (const REAL *)c->arrays[1] + start;
        const REAL *gain = NAME(from)(c->arrays[5], start), *inverse = (const REAL *)c->arrays[6] + start;
        REAL *dgain = NAME(from)(c->arrays[2], start), *dbias = NAME(from)(c->arrays[3], start);
        for (int64_t j = 0; j < width; j++) sum[j] = product_sum[j] = 0;
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < width; j++) {
                sum[j] += dy[i * columns + j];
                product_sum[j] += dy[i * columns + j] * normalized[i * columns + j];
            }
        }
        for (int64_t j = 0; j < width; j++) {
            if (dgain != NULL) dgain[j] = product_sum[j];
            if (dbias != NULL) dbias[j] = sum[j];
            sum[j] /= count;
            product_sum[j] /= count;
            factor[j] = gain == NULL ? inverse[j] : gain[j] * inverse[j];
        }
        for (int64_t i = 0; i < rows; i++) {
            REAL *restrict dx = (REAL *)c->arrays[4] + i * columns + start;
            for (int64_t j = 0; j < width; j++) {
                dx[j] = (dy[i * columns + j] - normalized[i * columns + j] * product_sum[j] - sum[j]) * factor[j];
            }
        }
    }
}

#endif

/* Batch norm with a mean and a variance that are given: evaluation. normalized may be NULL, or y itself; inverse is
 * NULL where another call notes it. */
CLONED void NAME(batch_norm_evaluation)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL eps = (REAL)value_of(c->numbers);
    REAL mean[TILE], inverse[TILE], normalized[TILE];
    for (int64_t start = first; start < last; start += TILE) {
        const int64_t width = last - start < TILE ? last - start : TILE;
        const REAL *gain = NAME(from)(c->arrays[1], start), *bias = NAME(from)(c->arrays[2], start);
        const REAL *variance = (const REAL *)c->arrays[6] + start;
        for (int64_t j = 0; j < width; j++) {
            mean[j] = NAME(from)(c->arrays[5], start)[j];
            inverse[j] = 1 / SQRT(variance[j] + eps);
        }
        for (int64_t i = 0; i < rows; i++) {
            const REAL *x = (const REAL *)c->arrays[0] + i * columns + start;
            for (int64_t j = 0; j < width; j++) normalized[j] = (x[j] - mean[j]) * inverse[j];
            REAL *kept = NAME(from)(c->arrays[4], i * columns + start);
            if (kept != NULL) memcpy(kept, normalized, sizeof(REAL) * (size_t)width);
            NAME(scale_row)(normalized, gain, bias, (REAL *)c->arrays[3] + i * columns + start, width);
        }
        REAL *found = NAME(from)(c->arrays[7], start);
        for (int64_t j = 0; found != NULL && j < width; j++) found[j] = inverse[j];
    }
}

/* dx = gain inverse dy. */
CLONED void NAME(batch_norm_evaluation_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[1];
    const REAL *gain = c->arrays[1], *inverse = c->arrays[2];
    for (int64_t i = first; i < last; i++) {
        const REAL *dy = (const REAL *)c->arrays[0] + i * columns;
        REAL *dx = (REAL *)c->arrays[3] + i * columns;
        if (gain == NULL) {
            INDEPENDENT for (int64_t j = 0; j < columns; j++) dx[j] = dy[j] * inverse[j];
        } else {
            INDEPENDENT for (int64_t j = 0; j < columns; j++) dx[j] = dy[j] * (gain[j] * inverse[j]);
        }
    }
}

/* running <- (1 - momentum) running + momentum factor batch, for mean and variance, factor being 1 and n / (n - 1). */
CLONED void NAME(update_running)(const Call *c, int64_t first, int64_t last)
{
    const double momentum = value_of(c->numbers), batch = value_of(c->numbers + 1);
    const REAL rest = (REAL)(1.0 - momentum);
    for (int k = 0; k < 2; k++) {
        const REAL *restrict found = c->arrays[k], weight = (REAL)(momentum * (k == 0 ? 1.0 : batch / (batch - 1.0)));
        REAL *restrict running = c->arrays[2 + k];
        for (int64_t j = first; j < last; j++) running[j] = running[j] * rest + found[j] * weight;
    }
}

#ifndef ON_DEVICE /* backends/cuda/rows.h */

/* Layer norm, for rows first ... last. */
CLONED void NAME(layer_norm)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[1];
    const REAL *gain = c->arrays[1], *bias = c->arrays[2], count = (REAL)columns, eps = (REAL)value_of(c->numbers);
    for (int64_t i = first; i < last; i++) {
        const REAL *x = (const REAL *)c->arrays[0] + i * columns, shift = x[0];
        REAL *restrict normalized = (REAL *)c->arrays[4] + i * columns, mean, variance;
        ROW_SUM(mean, columns, x[j] - shift);
        mean /= count;
        for (int64_t j = 0; j < columns; j++) normalized[j] = x[j] - shift - mean;
        ROW_SUM(variance, columns, normalized[j] * normalized[j]);
        const REAL inverse = 1 / SQRT(variance / count + eps);
        for (int64_t j = 0; j < columns; j++) normalized[j] *= inverse;
        NAME(scale_row)(normalized, gain, bias, (REAL *)c->arrays[3] + i * columns, columns);
        ((REAL *)c->arrays[5])[i] = inverse;
    }
}

/* dx = inverse (g - normalized * mean of g normalized - mean of g), g = gain dy, for rows first ... last. */
CLONED void NAME(layer_norm_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[1];
    const REAL *gain = c->arrays[2], *inverse = c->arrays[3], count = (REAL)columns;
    for (int64_t i = first; i < last; i++) {
        const REAL *dy = (const REAL *)c->arrays[0] + i * columns;
        const REAL *normalized = (const REAL *)c->arrays[1] + i * columns;
        REAL *restrict dx = (REAL *)c->arrays[4] + i * columns, mean, product_mean;
        NAME(scale_row)(dy, gain, NULL, dx, columns);
        ROW_SUM(product_mean, columns, dx[j] * normalized[j]);
        product_mean /= count;
        for (int64_t j = 0; j < columns; j++) dx[j] -= normalized[j] * product_mean;
        ROW_SUM(mean, columns, dx[j]); /* the sum of g still: normalized sums to 0 */
        mean /= count;
        for (int64_t j = 0; j < columns; j++) dx[j] = (dx[j] - mean) * inverse[i];
    }
}

#endif

#else

/* Read arrays, a letter each: m is a matrix, r a row (columns,), c a column (rows, 1); a capital is written, and one
 * after "?" may be None, which is NULL. */
static int take_shapes(const char *letters, PyObject *const *objects, Given *given, Call *call)
{
    int64_t *rows = call->sizes, *columns = call->sizes + 1;
    *rows = *columns = -1;
    for (int i = 0; *letters != '\0'; i++, letters++) {
        int missing = *letters == '?' && objects[i] == Py_None, written;
        letters += *letters == '?';
        written = *letters < 'a';
        call->arrays[i] = NULL;
        if (missing) continue;
        call->arrays[i] = *letters == 'm' || *letters == 'M' ? matrix(given, objects[i], written, rows, columns)
                          : *letters == 'r' || *letters == 'R' ? reals(given, objects[i], written, columns)
                                                               : reals(given, objects[i], written, rows);
        if (call->arrays[i] == NULL) return 0;
    }
    return 1;
}

/* batch_norm(x, gain, bias, y, normalized, mean, variance, inverse, eps) */
static int take_batch_norm(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("m?r?rMMRRR", objects, given, call) || !number(given, objects[8], call->numbers)) return 0;
    RANGE(call, given, batch_norm, call->sizes[1], 5 * call->sizes[0]);
    return 1;
}

/* batch_norm_gradient(dy, normalized, dgain, dbias, dx, gain, inverse) */
static int take_batch_norm_gradient(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("mm?R?RM?rr", objects, given, call)) return 0;
    RANGE(call, given, batch_norm_gradient, call->sizes[1], 5 * call->sizes[0]);
    return 1;
}

/* affine_gradient(dy, normalized, dgain, dbias) */
static int take_affine_gradient(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("m?m?R?R", objects, given, call)) return 0;
    if (call->arrays[1] == NULL && call->arrays[2] != NULL) return 0;
    RANGE(call, given, affine_gradient, call->sizes[1], 3 * call->sizes[0]);
    return 1;
}

/* batch_norm_evaluation(x, gain, bias, y, normalized, running mean, running variance, inverse, eps) */
static int take_batch_norm_evaluation(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("m?r?rM?MrrR", objects, given, call) || !number(given, objects[8], call->numbers)) return 0;
    RANGE(call, given, batch_norm_evaluation, call->sizes[1], 3 * call->sizes[0]);
    return 1;
}

/* batch_norm_evaluation_gradient(dy, gain, inverse, dx) */
static int take_batch_norm_evaluation_gradient(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("m?rrM", objects, given, call)) return 0;
    RANGE(call, given, batch_norm_evaluation_gradient, call->sizes[0], 2 * call->sizes[1]);
    return 1;
}

/* update_running(mean, variance, running mean, running variance, momentum, batch) */
static int take_update_running(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("rrRR", objects, given, call) || !numbers(given, objects + 4, 2, call->numbers)) return 0;
    RANGE(call, given, update_running, call->sizes[1], 6);
    return 1;
}

/* layer_norm(x, gain, bias, y, normalized, inverse, eps) */
static int take_layer_norm(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("m?r?rMMC", objects, given, call) || !number(given, objects[6], call->numbers)) return 0;
    RANGE(call, given, layer_norm, call->sizes[0], 5 * call->sizes[1]);
    return 1;
}

/* layer_norm_gradient(dy, normalized, gain, inverse, dx) */
static int take_layer_norm_gradient(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_shapes("mm?rcM", objects, given, call)) return 0;
    RANGE(call, given, layer_norm_gradient, call->sizes[0], 5 * call->sizes[1]);
    return 1;
}

#endif
