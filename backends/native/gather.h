/* How is a batch gathered? Rows of a contiguous array by their numbers, as they are, or bytes as real numbers. */

#ifndef REAL

/* The number of a row, made one that the array has, as NumPy's mode "clip" does: no number reads other memory. */
INLINE int64_t row_of(const Call *c, int64_t i)
{
    const int64_t row = ((const int64_t *)c->arrays[1])[i], most = c->sizes[1];
    return row < 0 ? 0 : row < most ? row : most;
}

#ifndef ON_DEVICE /* there: backends/cuda/cells.h */

#define ROWS_OF(name, type)                                                                                            \
    CLONED void name(const Call *c, int64_t first, int64_t last)                                                       \
    {                                                                                                                  \
        const type *x = c->arrays[0];                                                                                  \
        type *y = c->arrays[2];                                                                                        \
        for (int64_t i = first; i < last; i++) y[i] = x[row_of(c, i)];                                                 \
    }

ROWS_OF(take_four_bytes, uint32_t)
ROWS_OF(take_eight_bytes, uint64_t)

#if defined(__GNUC__)
#define PREFETCH(place) __builtin_prefetch(place)
#else
#define PREFETCH(place) ((void)(place))
#endif
enum { AHEAD = 2 };

/* Rows of sizes[0] bytes each. They lie apart: what comes next is asked of memory before its turn. */
static void take_many_bytes(const Call *c, int64_t first, int64_t last)
{
    const size_t size = (size_t)c->sizes[0];
    const char *x = c->arrays[0];
    char *y = c->arrays[2];
    for (int64_t i = first; i < last; i++) {
        const char *ahead = x + (size_t)row_of(c, i + AHEAD < last ? i + AHEAD : i) * size;
        for (size_t line = 0; line < size && line < 4096; line += 64) PREFETCH(ahead + line);
        memcpy(y + (size_t)i * size, x + (size_t)row_of(c, i) * size, size);
    }
}

/* Rows of sizes[0] bytes, each made a real number. */
CLONED void widen_rows_float(const Call *c, int64_t first, int64_t last)
{
    const int64_t size = c->sizes[0];
    for (int64_t i = first; i < last; i++) {
        const unsigned char *restrict x = (unsigned char *)c->arrays[0] + row_of(c, i) * size;
        float *restrict y = (float *)c->arrays[2] + i * size;
        for (int64_t j = 0; j < size; j++) y[j] = (float)x[j];
    }
}

CLONED void widen_rows_double(const Call *c, int64_t first, int64_t last)
{
    const int64_t size = c->sizes[0];
    for (int64_t i = first; i < last; i++) {
        const unsigned char *restrict x = (unsigned char *)c->arrays[0] + row_of(c, i) * size;
        double *restrict y = (double *)c->arrays[2] + i * size;
        for (int64_t j = 0; j < size; j++) y[j] = (double)x[j];
    }
}

/* take_rows(x, rows, y): y = x[rows], of x's type, or of real numbers where x is of bytes; rows (batch,). */
static int take_take_rows(PyObject *const *objects, Given *given, Call *call)
{
    int64_t count = -1, size = 1;
    Py_buffer *x = view(given, objects[0], 0), *y = x == NULL ? NULL : view(given, objects[2], 1);
    if (y == NULL || x->ndim < 1 || x->ndim != y->ndim || x->len == 0 || y->len == 0) return 0;
    if (format(x) == '?' && x->itemsize > 1) return 0; /* other byte orders, records, objects */
    for (int i = 1; i < x->ndim; i++) {
        if (x->shape[i] != y->shape[i]) return 0;
        size *= x->shape[i];
    }
    call->arrays[1] = integers(given, objects[1], 0, &count);
    if (call->arrays[1] == NULL || given->views[given->held - 1].ndim != 1 || count != y->shape[0]) return 0;
    call->arrays[0] = x->buf, call->arrays[2] = y->buf;
    call->sizes[1] = x->shape[0] - 1;
    call->run = run_range, call->length = count, call->work = 2 * size;
    call->sizes[0] = size;
    call->sizes[2] = 0; /* as they are */
    if (format(x) == format(y) && x->itemsize == y->itemsize && format(x) != 'O') {
        call->sizes[0] = size * x->itemsize;
        call->range = call->sizes[0] == 4 ? take_four_bytes : call->sizes[0] == 8 ? take_eight_bytes : take_many_bytes;
        return 1;
    }
    if (format(x) != 'B' || (format(y) != 'f' && format(y) != 'd')) return 0;
    call->range = format(y) == 'f' ? widen_rows_float : widen_rows_double;
    call->sizes[2] = y->itemsize;
    return 1;
}

#endif

#endif
