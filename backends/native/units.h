/* How far off is each number, or each point? Losses of elements, and of rows by their distance. */

#ifdef REAL

#define EACH for (int64_t i = first; i < last; i++)

/* One element's loss or slope: of a prediction p, a target t and the constant a. */

/* max(x, bound), min(x, bound); NaN is neither above nor below, and stays. */
INLINE REAL NAME(at_least)(REAL x, REAL bound) { return x < bound ? bound : x; }
INLINE REAL NAME(at_most)(REAL x, REAL bound) { return x > bound ? bound : x; }

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|). */
INLINE REAL NAME(soft_plus)(REAL x)
{
    return NAME(at_least)(x, 0) + NAME(logarithm_of_one_and)(NAME(exponential)(-NAME(magnitude)(x)));
}

/* 1 / (1 + e^-x) = max(e^-|x|, [x >= 0]) / (1 + e^-|x|). */
INLINE REAL NAME(logistic_curve)(REAL x)
{
    const REAL decay = NAME(exponential)(-NAME(magnitude)(x)), one = x >= 0 ? 1 : decay;
    return one / (decay + 1);
}

INLINE REAL NAME(squared)(REAL p, REAL t, REAL a)
{
    (void)a;
    return (p - t) * (p - t);
}

INLINE REAL NAME(squared_slope)(REAL p, REAL t, REAL a)
{
    (void)a;
    return (p - t) * 2;
}

INLINE REAL NAME(absolute)(REAL p, REAL t, REAL a)
{
    (void)a;
    return NAME(magnitude)(p - t);
}

/* The sign of p - t; NaN stays. */
INLINE REAL NAME(absolute_slope)(REAL p, REAL t, REAL a)
{
    const REAL d = p - t;
    (void)a;
    return d != d ? d : (REAL)(d > 0) - (REAL)(d < 0);
}

/* c (|d| - c / 2) with c = min(|d|, a). */
INLINE REAL NAME(huber)(REAL p, REAL t, REAL a)
{
    const REAL d = NAME(magnitude)(p - t), half = NAME(at_most)(d, a) * (REAL)0.5;
    return (d - half) * half * 2;
}

INLINE REAL NAME(huber_slope)(REAL p, REAL t, REAL a) { return NAME(at_most)(NAME(at_least)(p - t, -a), a); }

/* -(t ln p + (1 - t) ln(1 - p)), each logarithm -100 at least. */
INLINE REAL NAME(binary)(REAL p, REAL t, REAL a)
{
    (void)a;
    const REAL right = NAME(at_least)(NAME(logarithm_from_zero)(p), -100);
    const REAL wrong = NAME(at_least)(NAME(logarithm_from_zero)(1 - p), -100);
    return -(right * t + wrong * (1 - t));
}

INLINE REAL NAME(binary_slope)(REAL p, REAL t, REAL a)
{
    (void)a;
    return (p - t) / NAME(at_least)((1 - p) * p, (REAL)1e-12);
}

/* ln(1 + e^p) - t p. */
INLINE REAL NAME(binary_logits)(REAL p, REAL t, REAL a)
{
    (void)a;
    return NAME(soft_plus)(p) - t * p;
}

INLINE REAL NAME(binary_logits_slope)(REAL p, REAL t, REAL a)
{
    (void)a;
    return NAME(logistic_curve)(p) - t;
}

/* ln(1 + e^(-t p)). */
INLINE REAL NAME(logistic)(REAL p, REAL t, REAL a)
{
    (void)a;
    return NAME(soft_plus)(-(p * t));
}

/* Of the loss p that was: t (e^-p - 1). */
INLINE REAL NAME(logistic_slope)(REAL p, REAL t, REAL a)
{
    (void)a;
    return NAME(exponential_less_one)(-p) * t;
}

/* losses = f(prediction, target); dprediction = f'(prediction, target) dloss, dtarget its negative; dloss is one for
 * all, or one an element. */
#define UNIT_LOSS(name)                                                                                                \
    CLONED void NAME(name##_losses)(const Call *c, int64_t first, int64_t last)                                        \
    {                                                                                                                  \
        const REAL *p = c->arrays[0], *t = c->arrays[1], a = (REAL)value_of(c->numbers);                               \
        REAL *losses = c->arrays[2];                                                                                   \
        EACH losses[i] = NAME(name)(p[i], t[i], a);                                                                    \
    }                                                                                                                  \
    CLONED void NAME(name##_gradient)(const Call *c, int64_t first, int64_t last)                                      \
    {                                                                                                                  \
        const REAL *dlosses = c->arrays[0], *p = c->arrays[1], *t = c->arrays[2], a = (REAL)value_of(c->numbers);      \
        REAL *dprediction = c->arrays[3], *dtarget = c->arrays[4];                                                     \
        if (c->sizes[0] == 1) {                                                                                        \
            const REAL dloss = dlosses[0];                                                                             \
            EACH dprediction[i] = NAME(name##_slope)(p[i], t[i], a) * dloss;                                           \
        } else {                                                                                                       \
            EACH dprediction[i] = NAME(name##_slope)(p[i], t[i], a) * dlosses[i];                                      \
        }                                                                                                              \
        if (dtarget != NULL) EACH dtarget[i] = -dprediction[i];                                                        \
    }

UNIT_LOSS(squared)
UNIT_LOSS(absolute)
UNIT_LOSS(huber)
UNIT_LOSS(binary)
UNIT_LOSS(binary_logits)
UNIT_LOSS(logistic)

/* loss = factor ||prediction - target||^2, one a row. */
CLONED void NAME(squared_error)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    const REAL *p = c->arrays[0], *t = c->arrays[1], factor = (REAL)value_of(c->numbers);
    REAL *losses = c->arrays[2];
    EACH losses[i] = (REAL)NAME(squared_distance)(p + i * columns, t + i * columns, columns) * factor;
}

/* dprediction = (prediction - target) (2 factor dloss); dtarget its negative. */
CLONED void NAME(squared_error_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[1];
    const REAL *dlosses = c->arrays[0], *p = c->arrays[1], *t = c->arrays[2];
    const REAL twice = (REAL)(2.0 * value_of(c->numbers));
    REAL *dprediction = c->arrays[3], *dtarget = c->arrays[4];
    if (columns == 1 && c->sizes[0] != 1) {
        EACH dprediction[i] = (p[i] - t[i]) * (twice * dlosses[i]);
    } else {
        EACH {
            const REAL slope = twice * dlosses[c->sizes[0] == 1 ? 0 : i];
            for (int64_t j = i * columns; j < (i + 1) * columns; j++) dprediction[j] = (p[j] - t[j]) * slope;
        }
    }
    if (dtarget != NULL) {
        for (int64_t j = first * columns; j < last * columns; j++) dtarget[j] = -dprediction[j];
    }
}

/* loss = max(0, ||a - p||^2 - ||a - n||^2 + margin), one a row. */
CLONED void NAME(triplet)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    const REAL *anchor = c->arrays[0], *positive = c->arrays[1], *negative = c->arrays[2];
    const REAL margin = (REAL)value_of(c->numbers);
    REAL *losses = c->arrays[3];
    EACH {
        const REAL *row = anchor + i * columns;
        const REAL near = (REAL)NAME(squared_distance)(row, positive + i * columns, columns);
        const REAL far = (REAL)NAME(squared_distance)(row, negative + i * columns, columns);
        losses[i] = NAME(at_least)(near - far + margin, 0);
    }
}

/* Where loss > 0: da = 2 dloss (n - p), dp = 2 dloss (p - a), dn = 2 dloss (a - n); else 0. */
CLONED void NAME(triplet_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[1];
    const REAL *dlosses = c->arrays[0], *losses = c->arrays[1];
    const REAL *a = c->arrays[2], *p = c->arrays[3], *n = c->arrays[4];
    const REAL *const ends[3] = {n, p, a}, *const starts[3] = {p, a, n};
    EACH {
        const REAL slope = (REAL)(losses[i] > 0) * (2 * dlosses[c->sizes[0] == 1 ? 0 : i]);
        for (int k = 0; k < 3; k++) {
            REAL *gradient = c->arrays[5 + k];
            if (gradient == NULL) continue;
            for (int64_t j = i * columns; j < (i + 1) * columns; j++) gradient[j] = (ends[k][j] - starts[k][j]) * slope;
        }
    }
}

#undef EACH
#undef UNIT_LOSS

#else

/* Arrays of one size in the places from `first` on; the last is written. */
static int alike(PyObject *const *objects, Given *given, Call *call, int first, int count, int64_t *size)
{
    for (int i = first; i < first + count; i++) {
        call->arrays[i] = reals(given, objects[i], i == first + count - 1, size);
        if (call->arrays[i] == NULL) return 0;
    }
    return 1;
}

static int optional_output(PyObject *object, Given *given, void **place, int64_t *size)
{
    *place = object == Py_None ? NULL : reals(given, object, 1, size);
    return object == Py_None || *place != NULL;
}

/* name(prediction, target, losses, constant); name_gradient(dlosses, prediction, target, dprediction, dtarget or None,
 * constant), or in the place of the prediction what the forward pass saved. */
#define UNIT_LOSS(name, cost)                                                                                          \
    static int take_##name##_losses(PyObject *const *objects, Given *given, Call *call)                                \
    {                                                                                                                  \
        int64_t size = -1;                                                                                             \
        if (!alike(objects, given, call, 0, 3, &size) || !number(given, objects[3], call->numbers)) return 0;          \
        RANGE(call, given, name##_losses, size, cost);                                                                 \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static int take_##name##_gradient(PyObject *const *objects, Given *given, Call *call)                              \
    {                                                                                                                  \
        int64_t size = -1, units = -1;                                                                                 \
        if (!alike(objects, given, call, 1, 3, &size)) return 0;                                                       \
        call->arrays[0] = reals(given, objects[0], 0, &units);                                                         \
        if (call->arrays[0] == NULL || (units != 1 && units != size)) return 0;                                        \
        if (!optional_output(objects[4], given, call->arrays + 4, &size)) return 0;                                    \
        if (!number(given, objects[5], call->numbers)) return 0;                                                       \
        call->sizes[0] = units;                                                                                        \
        RANGE(call, given, name##_gradient, size, cost);                                                               \
        return 1;                                                                                                      \
    }

UNIT_LOSS(squared, 3)
UNIT_LOSS(absolute, 3)
UNIT_LOSS(huber, 3)
UNIT_LOSS(binary, 16)
UNIT_LOSS(binary_logits, 16)
UNIT_LOSS(logistic, 16)

/* squared_error(prediction, target, losses, factor): any shapes (batch, ...). */
static int take_squared_error(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, rows = -1;
    for (int i = 0; i < 2; i++) {
        call->arrays[i] = reals(given, objects[i], 0, &size);
        if (call->arrays[i] == NULL) return 0;
    }
    call->arrays[2] = reals(given, objects[2], 1, &rows);
    if (call->arrays[2] == NULL || size % rows != 0 || !number(given, objects[3], call->numbers)) return 0;
    call->sizes[0] = size / rows;
    RANGE(call, given, squared_error, rows, 2 * call->sizes[0]);
    return 1;
}

/* squared_error_gradient(dlosses, prediction, target, dprediction, dtarget or None, factor) */
static int take_squared_error_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, units = -1;
    if (!alike(objects, given, call, 1, 3, &size)) return 0;
    const int64_t rows = given->views[0].ndim > 0 ? given->views[0].shape[0] : 1;
    call->arrays[0] = reals(given, objects[0], 0, &units);
    if (call->arrays[0] == NULL || (units != 1 && units != rows)) return 0;
    if (!optional_output(objects[4], given, call->arrays + 4, &size)) return 0;
    if (!number(given, objects[5], call->numbers)) return 0;
    call->sizes[0] = units, call->sizes[1] = size / rows;
    RANGE(call, given, squared_error_gradient, rows, 3 * call->sizes[1]);
    return 1;
}

/* triplet(anchor, positive, negative, losses, margin) */
static int take_triplet(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, columns = -1;
    for (int i = 0; i < 3; i++) {
        call->arrays[i] = matrix(given, objects[i], 0, &rows, &columns);
        if (call->arrays[i] == NULL) return 0;
    }
    call->arrays[3] = reals(given, objects[3], 1, &rows);
    if (call->arrays[3] == NULL || !number(given, objects[4], call->numbers)) return 0;
    call->sizes[0] = columns;
    RANGE(call, given, triplet, rows, 4 * columns);
    return 1;
}

/* triplet_gradient(dlosses, losses, anchor, positive, negative, danchor, dpositive, dnegative), gradients or None */
static int take_triplet_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, columns = -1, units = -1;
    for (int i = 2; i < 8; i++) {
        call->arrays[i] = i > 4 && objects[i] == Py_None ? NULL : matrix(given, objects[i], i > 4, &rows, &columns);
        if (call->arrays[i] == NULL && (i < 5 || objects[i] != Py_None)) return 0;
    }
    call->arrays[1] = reals(given, objects[1], 0, &rows);
    call->arrays[0] = call->arrays[1] == NULL ? NULL : reals(given, objects[0], 0, &units);
    if (call->arrays[0] == NULL || (units != 1 && units != rows)) return 0;
    call->sizes[0] = units, call->sizes[1] = columns;
    RANGE(call, given, triplet_gradient, rows, 6 * columns);
    return 1;
}

#endif
