/* How are losses computed? Row by row; what the rows have in common is in bodies.h. */

#ifdef REAL

/* losses_i = log(sum of e^z) - z_label, z = logits - max; probabilities = e^z / sum. */
CLONED void NAME(cross_entropy)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[1];
    for (int64_t i = first; i < last; i++) {
        const REAL *restrict logits = (REAL *)c->arrays[0] + i * classes;
        REAL *restrict p = (REAL *)c->arrays[3] + i * classes;
        REAL largest = logits[0], sum = 0;
        for (int64_t j = 1; j < classes; j++) largest = logits[j] > largest || logits[j] != logits[j] ? logits[j] : largest;
        for (int64_t j = 0; j < classes; j++) p[j] = NAME(exponential)(logits[j] - largest);
        for (int64_t j = 0; j < classes; j++) sum += p[j];
        for (int64_t j = 0; j < classes; j++) p[j] /= sum;
        ((REAL *)c->arrays[2])[i] = LOG(sum) - (logits[labels[i]] - largest);
    }
}

/* dlogits = dloss (p - [c = label]); dloss is one for all, or one a row. */
CLONED void NAME(cross_entropy_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[2];
    const REAL *dlosses = c->arrays[0];
    for (int64_t i = first; i < last; i++) {
        const REAL *restrict p = (REAL *)c->arrays[1] + i * classes;
        REAL *restrict dlogits = (REAL *)c->arrays[3] + i * classes;
        REAL dloss = dlosses[c->sizes[1] ? i : 0];
        for (int64_t j = 0; j < classes; j++) dlogits[j] = p[j] * dloss;
        dlogits[labels[i]] -= dloss;
    }
}

/* value = sum(losses) / count, eight sums side by side. */
static int NAME(average)(const Call *c)
{
    const REAL *losses = c->arrays[0];
    REAL sums[8] = {0}, count = (REAL)value_of(c->numbers);
    for (int64_t i = 0; i < c->sizes[0]; i++) sums[i % 8] += losses[i];
    REAL sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    *(REAL *)c->arrays[1] = count != 1 ? sum / count : sum;
    return 0;
}

/* dloss = dvalue / count. */
static int NAME(average_gradient)(const Call *c)
{
    *(REAL *)c->arrays[1] = *(REAL *)c->arrays[0] / (REAL)value_of(c->numbers);
    return 0;
}

#else

/* cross_entropy(logits, labels, losses, probabilities); the labels were checked. */
static int take_cross_entropy(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, classes = -1;
    call->arrays[0] = matrix(given, objects[0], 0, &rows, &classes);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : integers(given, objects[1], 0, &rows);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, objects[2], 1, &rows);
    call->arrays[3] = call->arrays[2] == NULL ? NULL : matrix(given, objects[3], 1, &rows, &classes);
    if (call->arrays[3] == NULL) return 0;
    call->sizes[0] = classes;
    RANGE(call, given, cross_entropy, rows, 16 * classes);
    return 1;
}

/* cross_entropy_gradient(dlosses, probabilities, labels, dlogits) */
static int take_cross_entropy_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, classes = -1, units = -1;
    call->arrays[1] = matrix(given, objects[1], 0, &rows, &classes);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : integers(given, objects[2], 0, &rows);
    call->arrays[3] = call->arrays[2] == NULL ? NULL : matrix(given, objects[3], 1, &rows, &classes);
    call->arrays[0] = call->arrays[3] == NULL ? NULL : reals(given, objects[0], 0, &units);
    if (call->arrays[0] == NULL || (units != 1 && units != rows)) return 0;
    call->sizes[0] = classes, call->sizes[1] = units != 1;
    RANGE(call, given, cross_entropy_gradient, rows, 2 * classes);
    return 1;
}

/* average(losses, value, count) */
static int take_average(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &one);
    if (call->arrays[1] == NULL || size > 1 << 12 || !number(given, objects[2], call->numbers)) return 0;
    call->sizes[0] = size;
    RUN(call, given, average);
    return 1;
}

/* average_gradient(dvalue, dloss, count) */
static int take_average_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &one);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &one);
    if (call->arrays[1] == NULL || !number(given, objects[2], call->numbers)) return 0;
    RUN(call, given, average_gradient);
    return 1;
}

/* labels_fit(labels, classes): whether all are 0 ... classes - 1; as unsigned numbers the negative ones are huge. */
static int labels_fit_run(const Call *c)
{
    const uint64_t *labels = c->arrays[0];
    uint64_t largest = 0;
    for (int64_t i = 0; i < c->sizes[0]; i++) largest = labels[i] > largest ? labels[i] : largest;
    return largest >= c->words[0];
}

static int take_labels_fit(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = integers(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL || !word(objects[1], call->words)) return 0;
    call->sizes[0] = size;
    call->run = labels_fit_run;
    return 1;
}

#endif
