/* How are activations computed? Element by element, with the arithmetic of bodies.h. */

#ifdef REAL

CLONED void NAME(relu)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0];
    REAL *y = c->arrays[1];
    for (int64_t i = first; i < last; i++) y[i] = NAME(relu_of)(x[i]);
}

CLONED void NAME(relu_gradient)(const Call *c, int64_t first, int64_t last)
{
    const REAL *dy = c->arrays[0], *y = c->arrays[1];
    REAL *dx = c->arrays[2];
    for (int64_t i = first; i < last; i++) dx[i] = NAME(relu_slope)(dy[i], y[i]);
}

#else

/* relu(x, y) */
static int take_relu(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &size);
    if (call->arrays[1] == NULL) return 0;
    RANGE(call, given, relu, size, 2);
    return 1;
}

/* relu_gradient(dy, y, dx) */
static int take_relu_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    for (int i = 0; i < 3; i++) {
        call->arrays[i] = reals(given, objects[i], i == 2, &size);
        if (call->arrays[i] == NULL) return 0;
    }
    RANGE(call, given, relu_gradient, size, 3);
    return 1;
}

#endif
