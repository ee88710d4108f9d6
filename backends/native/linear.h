/* What comes before and after the products of a linear map? Its bias and the bias's gradient, with ReLU's too. */

#ifdef REAL

/* y += b for rows first ... last of y (rows, columns). */
CLONED void NAME(add_bias)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    const REAL *restrict b = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        REAL *restrict y = (REAL *)c->arrays[0] + i * columns;
        for (int64_t j = 0; j < columns; j++) y[j] += b[j];
    }
}

/* x += b, y = max(0, x) for rows first ... last; y may be x. */
CLONED void NAME(bias_relu)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    const REAL *restrict b = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        REAL *x = (REAL *)c->arrays[0] + i * columns, *y = (REAL *)c->arrays[2] + i * columns;
        if (x == y) {
            for (int64_t j = 0; j < columns; j++) x[j] = NAME(relu_of)(x[j] + b[j]);
        } else {
            INDEPENDENT for (int64_t j = 0; j < columns; j++) {
                x[j] += b[j];
                y[j] = NAME(relu_of)(x[j]);
            }
        }
    }
}

#ifndef ON_DEVICE /* sums of columns: backends/cuda/columns.h */

/* db = sum of dy over its rows, for columns first ... last; row after row, as NumPy adds. */
CLONED void NAME(column_sum)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const REAL *dy = c->arrays[0];
    REAL *restrict db = c->arrays[1];
    for (int64_t j = first; j < last; j++) db[j] = dy[j];
    for (int64_t i = 1; i < rows; i++) {
        const REAL *restrict row = dy + i * columns;
        for (int64_t j = first; j < last; j++) db[j] += row[j];
    }
}

/* dx = dy where y > 0, and db = its sum over the rows, for columns first ... last. */
CLONED void NAME(relu_gradient_sum)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    REAL *restrict db = c->arrays[3];
    for (int64_t i = 0; i < rows; i++) {
        const REAL *dy = (REAL *)c->arrays[0] + i * columns;
        const REAL *y = (REAL *)c->arrays[1] + i * columns;
        REAL *dx = (REAL *)c->arrays[2] + i * columns;
        if (i == 0) {
            INDEPENDENT for (int64_t j = first; j < last; j++) db[j] = dx[j] = NAME(relu_slope)(dy[j], y[j]);
        } else {
            INDEPENDENT for (int64_t j = first; j < last; j++) {
                REAL one = NAME(relu_slope)(dy[j], y[j]);
                dx[j] = one;
                db[j] += one;
            }
        }
    }
}

#endif

#else

/* add_bias(y, b) */
static int take_add_bias(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, columns = -1;
    call->arrays[0] = matrix(given, objects[0], 1, &rows, &columns);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 0, &columns);
    if (call->arrays[1] == NULL) return 0;
    call->sizes[0] = columns;
    RANGE(call, given, add_bias, rows, 2 * columns);
    return 1;
}

/* column_sum(dy, db) */
static int take_column_sum(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, columns = -1;
    call->arrays[0] = matrix(given, objects[0], 0, &rows, &columns);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &columns);
    if (call->arrays[1] == NULL) return 0;
    call->sizes[0] = rows, call->sizes[1] = columns;
    RANGE(call, given, column_sum, columns, rows);
    return 1;
}

#endif
