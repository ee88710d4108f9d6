/* How are softmax, its logarithm and maxout computed? Row by row; a NaN spreads over its row, as in the definitions. */

#ifdef REAL

/* y = e^z / sum of e^z, z = x - the largest x, for rows first ... last; some at a time, so that short ones fill
 * vectors. */
CLONED void NAME(softmax)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0], together = 1 + 1024 / columns;
    for (int64_t start = first; start < last; start += together) {
        const int64_t rows = start + together < last ? together : last - start;
        const REAL *x = (const REAL *)c->arrays[0] + start * columns;
        REAL *y = (REAL *)c->arrays[1] + start * columns;
        for (int64_t i = 0; i < rows; i++) {
            const REAL largest = NAME(largest_of)(x + i * columns, columns);
            INDEPENDENT for (int64_t j = 0; j < columns; j++) y[i * columns + j] = x[i * columns + j] - largest;
        }
        for (int64_t j = 0; j < rows * columns; j++) y[j] = NAME(exponential)(y[j]);
        for (int64_t i = 0; i < rows; i++) {
            REAL *row = y + i * columns, sum;
            ROW_SUM(sum, columns, row[j]);
            for (int64_t j = 0; j < columns; j++) row[j] /= sum;
        }
    }
}

/* dx = y (dy - sum of dy y) for rows first ... last. */
CLONED void NAME(softmax_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    for (int64_t i = first; i < last; i++) {
        const REAL *dy = (const REAL *)c->arrays[0] + i * columns, *y = (const REAL *)c->arrays[1] + i * columns;
        REAL *dx = (REAL *)c->arrays[2] + i * columns, sum;
        ROW_SUM(sum, columns, dy[j] * y[j]);
        INDEPENDENT for (int64_t j = 0; j < columns; j++) dx[j] = (dy[j] - sum) * y[j];
    }
}

/* y = z - log(sum of e^z), z = x - the largest x, for rows first ... last. */
CLONED void NAME(log_softmax)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0], together = 1 + 1024 / columns;
    REAL exponentials[1024];
    for (int64_t start = first; start < last; start += together) {
        const int64_t rows = start + together < last ? together : last - start;
        const REAL *x = (const REAL *)c->arrays[0] + start * columns;
        REAL *y = (REAL *)c->arrays[1] + start * columns;
        for (int64_t i = 0; i < rows; i++) {
            const REAL largest = NAME(largest_of)(x + i * columns, columns);
            INDEPENDENT for (int64_t j = 0; j < columns; j++) y[i * columns + j] = x[i * columns + j] - largest;
        }
        for (int64_t i = 0; i < rows; i++) {
            REAL *row = y + i * columns, total = 0;
            for (int64_t piece = 0; piece < columns; piece += 1024) {
                const int64_t count = columns - piece < 1024 ? columns - piece : 1024;
                REAL sum;
                for (int64_t j = 0; j < count; j++) exponentials[j] = NAME(exponential)(row[piece + j]);
                ROW_SUM(sum, count, exponentials[j]);
                total += sum;
            }
            const REAL logarithm = LOG(total);
            for (int64_t j = 0; j < columns; j++) row[j] -= logarithm;
        }
    }
}

/* dx = dy - e^y sum of dy, for rows first ... last. */
CLONED void NAME(log_softmax_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    for (int64_t i = first; i < last; i++) {
        const REAL *dy = (const REAL *)c->arrays[0] + i * columns, *y = (const REAL *)c->arrays[1] + i * columns;
        REAL *dx = (REAL *)c->arrays[2] + i * columns, sum;
        ROW_SUM(sum, columns, dy[j]);
        INDEPENDENT for (int64_t j = 0; j < columns; j++) dx[j] = dy[j] - NAME(exponential)(y[j]) * sum;
    }
}

/* y = the largest of the pieces, for samples first ... last of x (batch, pieces, features). */
CLONED void NAME(maxout)(const Call *c, int64_t first, int64_t last)
{
    const int64_t pieces = c->sizes[0], features = c->sizes[1];
    for (int64_t i = first; i < last; i++) {
        const REAL *x = (const REAL *)c->arrays[0] + i * pieces * features;
        REAL *restrict y = (REAL *)c->arrays[1] + i * features;
        for (int64_t j = 0; j < features; j++) y[j] = x[j];
        for (int64_t k = 1; k < pieces; k++) {
            const REAL *restrict piece = x + k * features;
            for (int64_t j = 0; j < features; j++) y[j] = piece[j] > y[j] || piece[j] != piece[j] ? piece[j] : y[j];
        }
    }
}

/* dx = dy / n where x = y, else 0, n being how many pieces are as large, for samples first ... last. */
CLONED void NAME(maxout_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t pieces = c->sizes[0], features = c->sizes[1];
    REAL shares[64];
    for (int64_t i = first; i < last; i++) {
        for (int64_t start = 0; start < features; start += 64) {
            const int64_t count = features - start < 64 ? features - start : 64;
            const REAL *dy = (const REAL *)c->arrays[0] + i * features + start;
            const REAL *y = (const REAL *)c->arrays[2] + i * features + start;
            const REAL *x = (const REAL *)c->arrays[1] + i * pieces * features + start;
            REAL *dx = (REAL *)c->arrays[3] + i * pieces * features + start;
            for (int64_t j = 0; j < count; j++) shares[j] = 0;
            for (int64_t k = 0; k < pieces; k++) {
                for (int64_t j = 0; j < count; j++) shares[j] += (REAL)(x[k * features + j] == y[j]);
            }
            for (int64_t j = 0; j < count; j++) shares[j] = dy[j] / (shares[j] < 1 ? 1 : shares[j]); /* NaN: none */
            for (int64_t k = 0; k < pieces; k++) {
                INDEPENDENT for (int64_t j = 0; j < count; j++) {
                    dx[k * features + j] = (REAL)(x[k * features + j] == y[j]) * shares[j];
                }
            }
        }
    }
}

#else

/* `count` arrays of one shape, the last of them written, seen as rows along their last axis; sizes[0] is its length. */
static int take_rows(PyObject *const *objects, Given *given, Call *call, int count, int64_t *rows)
{
    int64_t size = -1;
    for (int i = 0; i < count; i++) {
        call->arrays[i] = reals(given, objects[i], i == count - 1, &size);
        if (call->arrays[i] == NULL) return 0;
    }
    const Py_buffer *last = &given->views[given->held - 1];
    if (last->ndim < 1) return 0;
    call->sizes[0] = last->shape[last->ndim - 1];
    *rows = size / call->sizes[0];
    return 1;
}

/* softmax(x, y), log_softmax(x, y); softmax_gradient(dy, y, dx), log_softmax_gradient(dy, y, dx) */
#define TAKES(name, count, cost)                                                                                       \
    static int take_##name(PyObject *const *objects, Given *given, Call *call)                                         \
    {                                                                                                                  \
        int64_t rows;                                                                                                  \
        if (!take_rows(objects, given, call, count, &rows)) return 0;                                                  \
        RANGE(call, given, name, rows, call->sizes[0] * (cost));                                                       \
        return 1;                                                                                                      \
    }
TAKES(softmax, 2, 12)
TAKES(log_softmax, 2, 12)
TAKES(softmax_gradient, 3, 4)
TAKES(log_softmax_gradient, 3, 12)
#undef TAKES

/* x (batch, pieces, features) at one index, y and dy (batch, features) at others */
static int take_pieces(PyObject *const *objects, Given *given, Call *call, int count, int x, int dx, int64_t *batch)
{
    Py_buffer *found = real(given, objects[x], 0);
    if (found == NULL || found->ndim != 3 || found->len == 0) return 0;
    int64_t features = found->shape[2], size = found->len / found->itemsize;
    *batch = found->shape[0];
    call->arrays[x] = found->buf;
    call->sizes[0] = found->shape[1], call->sizes[1] = features;
    for (int i = 0; i < count; i++) {
        if (i == x) continue;
        call->arrays[i] = i == dx ? reals(given, objects[i], 1, &size)
                                  : matrix(given, objects[i], i == count - 1, batch, &features);
        if (call->arrays[i] == NULL) return 0;
    }
    return 1;
}

/* maxout(x, y) */
static int take_maxout(PyObject *const *objects, Given *given, Call *call)
{
    int64_t batch;
    if (!take_pieces(objects, given, call, 2, 0, -1, &batch)) return 0;
    RANGE(call, given, maxout, batch, call->sizes[0] * call->sizes[1]);
    return 1;
}

/* maxout_gradient(dy, x, y, dx) */
static int take_maxout_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t batch;
    if (!take_pieces(objects, given, call, 4, 1, 3, &batch)) return 0;
    RANGE(call, given, maxout_gradient, batch, 3 * call->sizes[0] * call->sizes[1]);
    return 1;
}

#endif
