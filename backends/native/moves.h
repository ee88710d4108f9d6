/* How are numbers moved from place to place? Copies of contiguous arrays, one number everywhere, one added up. */

#ifdef REAL

CLONED void NAME(fill)(const Call *c, int64_t first, int64_t last)
{
    REAL value = (REAL)value_of(c->numbers), *restrict y = c->arrays[0];
    for (int64_t i = first; i < last; i++) y[i] = value;
}

#else

/* copy(x, y): arrays of one shape and type. */
static int copy_run(const Call *c)
{
    memcpy(c->arrays[1], c->arrays[0], (size_t)c->sizes[0]);
    return 0;
}

static int take_copy(PyObject *const *objects, Given *given, Call *call)
{
    Py_buffer *x = view(given, objects[0], 0), *y = x == NULL ? NULL : view(given, objects[1], 1);
    if (y == NULL || x->ndim != y->ndim || x->len != y->len || format(x) != format(y) || format(x) == '?') return 0;
    for (int i = 0; i < x->ndim; i++) {
        if (x->shape[i] != y->shape[i]) return 0;
    }
    call->arrays[0] = x->buf, call->arrays[1] = y->buf, call->sizes[0] = x->len;
    call->run = copy_run;
    call->length = x->len, call->work = 1;
    return 1;
}

/* fill(y, value) */
static int take_fill(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 1, &size);
    if (call->arrays[0] == NULL || !number(given, objects[1], call->numbers)) return 0;
    RANGE(call, given, fill, size, 1);
    return 1;
}

/* count(counter): one more. */
static int count_run(const Call *c)
{
    ++*(uint64_t *)c->arrays[0];
    return 0;
}

static int take_count(PyObject *const *objects, Given *given, Call *call)
{
    int64_t one = 1;
    call->arrays[0] = integers(given, objects[0], 1, &one);
    call->run = count_run;
    return call->arrays[0] != NULL;
}

#endif
