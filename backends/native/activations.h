/* How are activations computed? Each element by itself, with the arithmetic of curves.h; alone, or with a bias as well.
 *
 *     name(x, y)                              y = f(x)
 *     name_gradient(dy, saved, dx)            dx = dy f'(x), saved being what the definition saves: x or y
 *     bias_name(y, b, z)                      y += b, then z = f(y); z may be y
 *     name_gradient_sum(dy, saved, dx, db)    the gradient, and db = its sum over the rows
 *
 * followed by the setting, where there is one. The last two go through matrices (rows, columns) and give the bits that
 * their steps give one by one. Of relu they are in linear.h.
 */

/* Every other activation: its name, the cost of an element (forward, gradient) in elements moved, how many settings. */
#define CURVES(_)                                                                                                      \
    _(leaky_relu, 2, 3, 1) _(elu, 8, 8, 1) _(sigmoid, 8, 3, 0) _(tanh, 8, 3, 0) _(gelu, 16, 16, 0) _(silu, 8, 8, 0)    \
    _(softplus, 8, 8, 0)

#ifndef BLOCK
#define BLOCK 2048 /* elements that stay in the nearest cache from one step to the next */
#ifdef ON_DEVICE
#define ENDS_APART(columns) 0
#else
#define ENDS_APART(columns) ((columns) % 16 != 0)
#endif
typedef void (*Range)(const Call *, int64_t, int64_t);
#endif

#ifdef REAL

/* y += b for rows first ... last, then z = f(y): some rows at a time, so that the ends of short ones fill vectors. */
static void NAME(bias_curve)(const Call *c, int64_t first, int64_t last, Range curve)
{
    Call part = *c;
    part.arrays[1] = c->arrays[2];
    const int64_t columns = c->sizes[0], rows = 1 + BLOCK / columns;
    for (int64_t i = first; i < last; i += rows) {
        int64_t end = i + rows < last ? i + rows : last;
        NAME(add_bias)(c, i, end);
        curve(&part, i * columns, end * columns);
    }
}

/* dx = dy f'(x), and db = its sum over the rows, for columns first ... last; row after row, as column_sum adds. */
CLONED void NAME(curve_sum)(const Call *c, int64_t first, int64_t last, Range gradient)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1];
    const int64_t together = last - first == columns ? 1 + BLOCK / columns : 1; /* whole rows lie one after the other */
    const REAL *dx = c->arrays[2];
    REAL *restrict db = c->arrays[3];
    for (int64_t i = 0; i < rows; i += together) {
        int64_t end = i + together < rows ? i + together : rows;
        gradient(c, i * columns + first, (end - 1) * columns + last);
        for (int64_t k = i; k < end; k++) {
            const REAL *restrict row = dx + k * columns;
            if (k == 0) {
                for (int64_t j = first; j < last; j++) db[j] = row[j];
            } else {
                for (int64_t j = first; j < last; j++) db[j] += row[j];
            }
        }
    }
}

CLONED void NAME(relu)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0];
    REAL *y = c->arrays[1];
    INDEPENDENT for (int64_t i = first; i < last; i++) y[i] = NAME(relu_of)(x[i]);
}

CLONED void NAME(relu_gradient)(const Call *c, int64_t first, int64_t last)
{
    const REAL *dy = c->arrays[0], *y = c->arrays[1];
    REAL *dx = c->arrays[2];
    INDEPENDENT for (int64_t i = first; i < last; i++) dx[i] = NAME(relu_slope)(dy[i], y[i]);
}

#define LOOPS(name, cost, gradient_cost, settings)                                                                     \
    CLONED void NAME(name)(const Call *c, int64_t first, int64_t last)                                                 \
    {                                                                                                                  \
        const double given = value_of(c->numbers);                                                                     \
        const REAL *x = c->arrays[0], setting = (REAL)given, rest = (REAL)(1.0 - given);                               \
        REAL *y = c->arrays[1];                                                                                        \
        INDEPENDENT for (int64_t i = first; i < last; i++) y[i] = NAME(name##_of)(x[i], setting, rest);                \
    }                                                                                                                  \
    CLONED void NAME(name##_gradient)(const Call *c, int64_t first, int64_t last)                                      \
    {                                                                                                                  \
        const double given = value_of(c->numbers);                                                                     \
        const REAL *dy = c->arrays[0], *saved = c->arrays[1], setting = (REAL)given, rest = (REAL)(1.0 - given);       \
        REAL *dx = c->arrays[2];                                                                                       \
        INDEPENDENT for (int64_t i = first; i < last; i++) dx[i] = NAME(name##_slope)(dy[i], saved[i], setting, rest); \
    }                                                                                                                  \
    CLONED void NAME(bias_##name)(const Call *c, int64_t first, int64_t last)                                          \
    {                                                                                                                  \
        const int64_t columns = c->sizes[0];                                                                           \
        if (ENDS_APART(columns)) { /* part of a row would fill no vector */                                            \
            NAME(bias_curve)(c, first, last, NAME(name));                                                              \
            return;                                                                                                    \
        }                                                                                                              \
        const double given = value_of(c->numbers);                                                                     \
        const REAL *restrict b = c->arrays[1], setting = (REAL)given, rest = (REAL)(1.0 - given);                      \
        for (int64_t i = first; i < last; i++) {                                                                       \
            REAL *y = (REAL *)c->arrays[0] + i * columns, *z = (REAL *)c->arrays[2] + i * columns;                     \
            INDEPENDENT for (int64_t j = 0; j < columns; j++) {                                                        \
                const REAL sum = y[j] + b[j];                                                                          \
                y[j] = sum;                                                                                            \
                z[j] = NAME(name##_of)(sum, setting, rest);                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
CURVES(LOOPS)
#undef LOOPS

#ifndef ON_DEVICE /* sums of columns: backends/cuda/columns.h */
#define SUMS_OF_COLUMNS(name, cost, gradient_cost, settings)                                                           \
    CLONED void NAME(name##_gradient_sum)(const Call *c, int64_t first, int64_t last)                                  \
    {                                                                                                                  \
        if (gradient_cost > 4) {                                                                                       \
            NAME(curve_sum)(c, first, last, NAME(name##_gradient));                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        const double given = value_of(c->numbers);                                                                     \
        const REAL setting = (REAL)given, rest = (REAL)(1.0 - given);                                                  \
        const int64_t rows = c->sizes[0], columns = c->sizes[1];                                                       \
        REAL *restrict db = c->arrays[3];                                                                              \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            const REAL *dy = (REAL *)c->arrays[0] + i * columns, *saved = (REAL *)c->arrays[1] + i * columns;          \
            REAL *dx = (REAL *)c->arrays[2] + i * columns;                                                             \
            INDEPENDENT for (int64_t j = first; j < last; j++) {                                                       \
                const REAL one = NAME(name##_slope)(dy[j], saved[j], setting, rest);                                   \
                dx[j] = one;                                                                                           \
                db[j] = i == 0 ? one : db[j] + one;                                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }
CURVES(SUMS_OF_COLUMNS)
#undef SUMS_OF_COLUMNS
#endif

#else

/* What the kernels below have in common: `count` arrays of one size, the last of them written; then the setting. */
static int take_elements(PyObject *const *objects, Given *given, Call *call, int count, int settings, int64_t *size)
{
    *size = -1;
    for (int i = 0; i < count; i++) {
        call->arrays[i] = reals(given, objects[i], i == count - 1, size);
        if (call->arrays[i] == NULL) return 0;
    }
    call->numbers[0] = (Number){0};
    return numbers(given, objects + count, settings, call->numbers);
}

/* The same of matrices and the row of a bias; the bias, or its gradient, stands at `row`. */
static int take_matrices(PyObject *const *objects, Given *given, Call *call, int count, int row, int settings)
{
    int64_t rows = -1, columns = -1;
    for (int i = 0; i < count; i++) {
        int written = i >= 2 || (count == 3 && i == 0); /* y and z; dx and db */
        call->arrays[i] = i == row ? reals(given, objects[i], written, &columns)
                                   : matrix(given, objects[i], written, &rows, &columns);
        if (call->arrays[i] == NULL) return 0;
    }
    call->sizes[0] = count == 3 ? columns : rows, call->sizes[1] = count == 3 ? rows : columns;
    call->numbers[0] = (Number){0};
    return numbers(given, objects + count, settings, call->numbers);
}

#define TAKES(name, cost, gradient_cost, settings)                                                                     \
    static int take_##name(PyObject *const *objects, Given *given, Call *call)                                         \
    {                                                                                                                  \
        int64_t size;                                                                                                  \
        if (!take_elements(objects, given, call, 2, settings, &size)) return 0;                                        \
        RANGE(call, given, name, size, cost);                                                                          \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static int take_##name##_gradient(PyObject *const *objects, Given *given, Call *call)                              \
    {                                                                                                                  \
        int64_t size;                                                                                                  \
        if (!take_elements(objects, given, call, 3, settings, &size)) return 0;                                        \
        RANGE(call, given, name##_gradient, size, gradient_cost);                                                      \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static int take_bias_##name(PyObject *const *objects, Given *given, Call *call)                                    \
    {                                                                                                                  \
        if (!take_matrices(objects, given, call, 3, 1, settings)) return 0;                                            \
        RANGE(call, given, bias_##name, call->sizes[1], call->sizes[0] * (2 + cost));                                  \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static int take_##name##_gradient_sum(PyObject *const *objects, Given *given, Call *call)                          \
    {                                                                                                                  \
        if (!take_matrices(objects, given, call, 4, 3, settings)) return 0;                                            \
        RANGE(call, given, name##_gradient_sum, call->sizes[1], call->sizes[0] * (1 + gradient_cost));                 \
        return 1;                                                                                                      \
    }
TAKES(relu, 2, 3, 0)
CURVES(TAKES)
#undef TAKES

#endif
