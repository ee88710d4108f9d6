/* How wrong is a classifier that scores every class? Cross-entropies and hinge, some rows at once. */

#ifndef LOSSES
#define LOSSES

/* Rows that are computed together, and from how many classes on they are not turned around. */
enum { GROUP = 32, TURNED = 64 };

#endif

#ifdef REAL

/* p = e^(x - largest) / sum for `rows` rows, GROUP at most; few classes are turned: rows then lie side by side.
 * A NaN need not be the largest to spoil its row: the sum does that. */
INLINE void NAME(softmax_group)(const REAL *x, REAL *p, int64_t rows, int64_t classes, REAL *largest, REAL *sum)
{
    if (classes < TURNED) {
        REAL t[TURNED][GROUP];
        for (int64_t i = 0; i < GROUP; i++) {
            const REAL *row = x + (i < rows ? i : 0) * classes;
            for (int64_t j = 0; j < classes; j++) t[j][i] = row[j];
        }
        for (int i = 0; i < GROUP; i++) largest[i] = t[0][i];
        for (int64_t j = 1; j < classes; j++) {
            for (int i = 0; i < GROUP; i++) largest[i] = t[j][i] > largest[i] ? t[j][i] : largest[i];
        }
        for (int i = 0; i < GROUP; i++) sum[i] = 0;
        for (int64_t j = 0; j < classes; j++) {
            for (int i = 0; i < GROUP; i++) {
                t[j][i] = NAME(exponential)(t[j][i] - largest[i]);
                sum[i] += t[j][i];
            }
        }
        for (int64_t j = 0; j < classes; j++) {
            for (int i = 0; i < GROUP; i++) t[j][i] /= sum[i];
        }
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < classes; j++) p[i * classes + j] = t[j][i];
        }
        return;
    }
    for (int64_t i = 0; i < GROUP; i++) largest[i] = sum[i] = 1;
    for (int64_t i = 0; i < rows; i++) {
        const REAL *row = x + i * classes;
        REAL *out = p + i * classes, most[GROUP];
        int64_t j = GROUP;
        for (int k = 0; k < GROUP; k++) most[k] = row[k];
        for (; j + GROUP <= classes; j += GROUP) {
            for (int k = 0; k < GROUP; k++) most[k] = row[j + k] > most[k] ? row[j + k] : most[k];
        }
        for (int k = 0; k < (int)(classes - j); k++) most[k] = row[j + k] > most[k] ? row[j + k] : most[k];
        for (int half = GROUP / 2; half > 0; half /= 2) {
            for (int k = 0; k < half; k++) most[k] = most[k + half] > most[k] ? most[k + half] : most[k];
        }
        const REAL top = most[0];
        for (j = 0; j < classes; j++) out[j] = NAME(exponential)(row[j] - top);
        const REAL total = (REAL)NAME(sum_of)(out, NULL, classes);
        for (j = 0; j < classes; j++) out[j] /= total;
        largest[i] = top;
        sum[i] = total;
    }
}

#define EACH_GROUP for (int64_t start = first; start < last; start += GROUP)
#define GROUP_AT_START                                                                                                 \
    const int64_t rows = last - start < GROUP ? last - start : GROUP;                                                  \
    const REAL *x = (REAL *)c->arrays[0] + start * classes;                                                            \
    REAL *p = (REAL *)c->arrays[1] + start * classes, *losses = (REAL *)c->arrays[2] + start;                          \
    REAL largest[GROUP], sum[GROUP], logarithm[GROUP];                                                                 \
    NAME(softmax_group)(x, p, rows, classes, largest, sum);                                                            \
    for (int i = 0; i < GROUP; i++) logarithm[i] = NAME(logarithm)(sum[i])

/* loss = ln(sum of e^z) - z_label, z = logits - largest. */
CLONED void NAME(cross_entropy)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0];
    EACH_GROUP {
        GROUP_AT_START;
        const int64_t *labels = (int64_t *)c->arrays[3] + start;
        for (int64_t i = 0; i < rows; i++) losses[i] = logarithm[i] - (x[i * classes + labels[i]] - largest[i]);
    }
}

/* dlogits = dloss (p - [c = label]); dloss is one for all, or one a row. */
CLONED void NAME(cross_entropy_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[2];
    const REAL *dlosses = c->arrays[0];
    const REAL *p = c->arrays[1];
    REAL *dlogits = c->arrays[3];
    if (c->sizes[1] == 0) {
        for (int64_t j = first * classes; j < last * classes; j++) dlogits[j] = p[j] * dlosses[0];
        for (int64_t i = first; i < last; i++) dlogits[i * classes + labels[i]] -= dlosses[0];
        return;
    }
    for (int64_t i = first; i < last; i++) {
        for (int64_t j = i * classes; j < (i + 1) * classes; j++) dlogits[j] = p[j] * dlosses[i];
        dlogits[i * classes + labels[i]] -= dlosses[i];
    }
}

/* What label smoothing adds to the target of a class, for weight 1: s / classes. numbers[0] is s. */
#define SMOOTHING                                                                                                      \
    const double smoothing = value_of(c->numbers);                                                                     \
    const REAL sure = (REAL)(1.0 - smoothing), share = (REAL)(smoothing / (double)classes)

#define SPREAD(i) share * w[i]
#define SPREAD_SCORE(i) (x[i] - largest) * (share * w[i])
TERMS_OF_SUM(spread_mass, (const REAL *w, REAL share, int64_t count), SPREAD)
TERMS_OF_SUM(spread_score, (const REAL *x, const REAL *w, REAL largest, REAL share, int64_t count), SPREAD_SCORE)
#undef SPREAD
#undef SPREAD_SCORE

/* loss = (right + sum of spread) ln(sum of e^z) - right z_label - sum of spread_c z_c; spread_c = share w_c. */
CLONED void NAME(weighted_cross_entropy)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0];
    const REAL *w = c->arrays[4];
    SMOOTHING;
    const REAL spread = (REAL)NAME(spread_mass)(w, share, classes);
    EACH_GROUP {
        GROUP_AT_START;
        const int64_t *labels = (int64_t *)c->arrays[3] + start;
        for (int64_t i = 0; i < rows; i++) {
            const REAL *row = x + i * classes, right = sure * w[labels[i]];
            REAL expected = right * (row[labels[i]] - largest[i]);
            if (smoothing != 0) expected += (REAL)NAME(spread_score)(row, w, largest[i], share, classes);
            losses[i] = (right + spread) * logarithm[i] - expected;
        }
    }
}

/* dlogits = dloss (p (right + sum of spread) - spread_c - right [c = label]). */
CLONED void NAME(weighted_cross_entropy_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[2];
    const REAL *dlosses = c->arrays[0], *p = c->arrays[1], *w = c->arrays[4];
    REAL *dlogits = c->arrays[3];
    SMOOTHING;
    const REAL spread = (REAL)NAME(spread_mass)(w, share, classes);
    for (int64_t i = first; i < last; i++) {
        const REAL right = sure * w[labels[i]], mass = right + spread, dloss = dlosses[c->sizes[1] ? i : 0];
        const int64_t place = i * classes + labels[i];
        const REAL chosen = (p[place] * mass - share * w[labels[i]] - right) * dloss;
        for (int64_t j = 0; j < classes; j++) {
            dlogits[i * classes + j] = (p[i * classes + j] * mass - share * w[j]) * dloss;
        }
        dlogits[place] = chosen;
    }
}

/* t_c = w_c (sure target_c + share), its sum, and that of t_c z_c; w is NULL for ones. */
#define SMOOTHED(i) (target[i] * sure + share)
#define WEIGHTED(i) (target[i] * sure + share) * w[i]
#define SMOOTHED_SCORE(i) SMOOTHED(i) * (x[i] - largest)
#define WEIGHTED_SCORE(i) WEIGHTED(i) * (x[i] - largest)
#define OF_TARGET const REAL *target, const REAL *w, REAL sure, REAL share, int64_t count
TERMS_OF_SUM(smoothed_mass, (OF_TARGET), SMOOTHED)
TERMS_OF_SUM(weighted_mass, (OF_TARGET), WEIGHTED)
TERMS_OF_SUM(smoothed_score, (const REAL *x, REAL largest, OF_TARGET), SMOOTHED_SCORE)
TERMS_OF_SUM(weighted_score, (const REAL *x, REAL largest, OF_TARGET), WEIGHTED_SCORE)

INLINE REAL NAME(mass_of)(OF_TARGET)
{
    return (REAL)(w == NULL ? NAME(smoothed_mass)(target, w, sure, share, count)
                            : NAME(weighted_mass)(target, w, sure, share, count));
}

/* loss = (sum of t) ln(sum of e^z) - sum of t_c z_c. */
CLONED void NAME(soft_cross_entropy)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0];
    const REAL *w = c->arrays[4];
    SMOOTHING;
    EACH_GROUP {
        GROUP_AT_START;
        for (int64_t i = 0; i < rows; i++) {
            const REAL *row = x + i * classes, *target = (REAL *)c->arrays[3] + (start + i) * classes;
            const double score = w == NULL ? NAME(smoothed_score)(row, largest[i], target, w, sure, share, classes)
                                           : NAME(weighted_score)(row, largest[i], target, w, sure, share, classes);
            losses[i] = NAME(mass_of)(target, w, sure, share, classes) * logarithm[i] - (REAL)score;
        }
    }
}

/* dlogits = dloss (p (sum of t) - t). */
CLONED void NAME(soft_cross_entropy_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0];
    const REAL *dlosses = c->arrays[0], *w = c->arrays[4];
    SMOOTHING;
    for (int64_t i = first; i < last; i++) {
        const REAL *p = (REAL *)c->arrays[1] + i * classes, *target = (REAL *)c->arrays[2] + i * classes;
        const REAL dloss = dlosses[c->sizes[1] ? i : 0], mass = NAME(mass_of)(target, w, sure, share, classes);
        REAL *dlogits = (REAL *)c->arrays[3] + i * classes;
        if (w == NULL) {
            for (int64_t j = 0; j < classes; j++) dlogits[j] = (p[j] * mass - SMOOTHED(j)) * dloss;
        } else {
            for (int64_t j = 0; j < classes; j++) dlogits[j] = (p[j] * mass - WEIGHTED(j)) * dloss;
        }
    }
}

#undef SMOOTHED
#undef WEIGHTED
#undef SMOOTHED_SCORE
#undef WEIGHTED_SCORE
#undef OF_TARGET

#define EXCESS(i) (i == label ? 0 : NAME(relu_of)(scores[i] - bound))
TERMS_OF_SUM(excess, (const REAL *scores, REAL bound, int64_t label, int64_t count), EXCESS)
#undef EXCESS

/* loss = sum over c != label of max(0, s_c - s_label + margin). */
CLONED void NAME(hinge)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[1];
    const REAL margin = (REAL)value_of(c->numbers);
    for (int64_t i = first; i < last; i++) {
        const REAL *scores = (REAL *)c->arrays[0] + i * classes, bound = scores[labels[i]] - margin;
        ((REAL *)c->arrays[2])[i] = (REAL)NAME(excess)(scores, bound, labels[i], classes);
    }
}

/* dscores_c = dloss where the term of c is above 0, else 0; dscores_label = -(how many are) dloss. */
CLONED void NAME(hinge_gradient)(const Call *c, int64_t first, int64_t last)
{
    const int64_t classes = c->sizes[0], *labels = c->arrays[2];
    const REAL margin = (REAL)value_of(c->numbers), *dlosses = c->arrays[0];
    for (int64_t i = first; i < last; i++) {
        const REAL *scores = (REAL *)c->arrays[1] + i * classes, bound = scores[labels[i]] - margin;
        const REAL dloss = dlosses[c->sizes[1] ? i : 0];
        REAL *dscores = (REAL *)c->arrays[3] + i * classes;
        int above = -(scores[labels[i]] > bound);
        for (int64_t j = 0; j < classes; j++) {
            const int one = scores[j] > bound;
            above += one;
            dscores[j] = (REAL)one * dloss;
        }
        dscores[labels[i]] = -(REAL)above * dloss;
    }
}

#undef EACH_GROUP
#undef GROUP_AT_START
#undef SMOOTHING

#else

/* The arrays of a cross-entropy's forward pass: logits, probabilities, losses in the places 0 to 2. */
static int scored(PyObject *logits, PyObject *probabilities, PyObject *losses, Given *given, Call *call, int64_t *rows)
{
    int64_t classes = -1;
    *rows = -1;
    call->arrays[0] = matrix(given, logits, 0, rows, &classes);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : matrix(given, probabilities, 1, rows, &classes);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, losses, 1, rows);
    call->sizes[0] = classes;
    return call->arrays[2] != NULL && call->arrays[1] != call->arrays[0]; /* the logits are read again at the end */
}

/* Those of a backward pass: dlosses, one or one a row (sizes[1]), and the matrices of places 1 and 3. */
static int sloped(PyObject *dlosses, PyObject *saved, PyObject *gradient, Given *given, Call *call, int64_t *rows)
{
    int64_t classes = -1, units = -1;
    *rows = -1;
    call->arrays[1] = matrix(given, saved, 0, rows, &classes);
    call->arrays[3] = call->arrays[1] == NULL ? NULL : matrix(given, gradient, 1, rows, &classes);
    call->arrays[0] = call->arrays[3] == NULL ? NULL : reals(given, dlosses, 0, &units);
    if (call->arrays[0] == NULL || (units != 1 && units != *rows)) return 0;
    call->sizes[0] = classes, call->sizes[1] = units != 1;
    return 1;
}

/* cross_entropy(logits, labels, losses, probabilities); the labels were checked. */
static int take_cross_entropy(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!scored(objects[0], objects[3], objects[2], given, call, &rows)) return 0;
    call->arrays[3] = integers(given, objects[1], 0, &rows);
    if (call->arrays[3] == NULL) return 0;
    RANGE(call, given, cross_entropy, rows, 8 * call->sizes[0]);
    return 1;
}

/* cross_entropy_gradient(dlosses, probabilities, labels, dlogits) */
static int take_cross_entropy_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!sloped(objects[0], objects[1], objects[3], given, call, &rows)) return 0;
    call->arrays[2] = integers(given, objects[2], 0, &rows);
    if (call->arrays[2] == NULL) return 0;
    RANGE(call, given, cross_entropy_gradient, rows, 2 * call->sizes[0]);
    return 1;
}

/* weighted_cross_entropy(logits, labels, class_weight, losses, probabilities, label_smoothing) */
static int take_weighted_cross_entropy(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!scored(objects[0], objects[4], objects[3], given, call, &rows)) return 0;
    call->arrays[3] = integers(given, objects[1], 0, &rows);
    call->arrays[4] = call->arrays[3] == NULL ? NULL : reals(given, objects[2], 0, call->sizes);
    if (call->arrays[4] == NULL || !number(given, objects[5], call->numbers)) return 0;
    RANGE(call, given, weighted_cross_entropy, rows, 8 * call->sizes[0]);
    return 1;
}

/* weighted_cross_entropy_gradient(dlosses, probabilities, labels, class_weight, dlogits, label_smoothing) */
static int take_weighted_cross_entropy_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!sloped(objects[0], objects[1], objects[4], given, call, &rows)) return 0;
    call->arrays[2] = integers(given, objects[2], 0, &rows);
    call->arrays[4] = call->arrays[2] == NULL ? NULL : reals(given, objects[3], 0, call->sizes);
    if (call->arrays[4] == NULL || !number(given, objects[5], call->numbers)) return 0;
    RANGE(call, given, weighted_cross_entropy_gradient, rows, 3 * call->sizes[0]);
    return 1;
}

/* An array of a number for each class, or None. */
static int optional_weights(PyObject *object, Given *given, Call *call)
{
    call->arrays[4] = object == Py_None ? NULL : reals(given, object, 0, call->sizes);
    return object == Py_None || call->arrays[4] != NULL;
}

/* soft_cross_entropy(logits, target, class_weight or None, losses, probabilities, label_smoothing) */
static int take_soft_cross_entropy(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!scored(objects[0], objects[4], objects[3], given, call, &rows)) return 0;
    call->arrays[3] = matrix(given, objects[1], 0, &rows, call->sizes);
    if (call->arrays[3] == NULL || !optional_weights(objects[2], given, call)) return 0;
    if (!number(given, objects[5], call->numbers)) return 0;
    RANGE(call, given, soft_cross_entropy, rows, 8 * call->sizes[0]);
    return 1;
}

/* soft_cross_entropy_gradient(dlosses, probabilities, target, class_weight or None, dlogits, label_smoothing) */
static int take_soft_cross_entropy_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!sloped(objects[0], objects[1], objects[4], given, call, &rows)) return 0;
    call->arrays[2] = matrix(given, objects[2], 0, &rows, call->sizes);
    if (call->arrays[2] == NULL || !optional_weights(objects[3], given, call)) return 0;
    if (!number(given, objects[5], call->numbers)) return 0;
    RANGE(call, given, soft_cross_entropy_gradient, rows, 4 * call->sizes[0]);
    return 1;
}

/* hinge(scores, labels, losses, margin) */
static int take_hinge(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, classes = -1;
    call->arrays[0] = matrix(given, objects[0], 0, &rows, &classes);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : integers(given, objects[1], 0, &rows);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, objects[2], 1, &rows);
    if (call->arrays[2] == NULL || !number(given, objects[3], call->numbers)) return 0;
    call->sizes[0] = classes;
    RANGE(call, given, hinge, rows, 2 * classes);
    return 1;
}

/* hinge_gradient(dlosses, scores, labels, dscores, margin) */
static int take_hinge_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows;
    if (!sloped(objects[0], objects[1], objects[3], given, call, &rows)) return 0;
    call->arrays[2] = integers(given, objects[2], 0, &rows);
    if (call->arrays[2] == NULL || !number(given, objects[4], call->numbers)) return 0;
    RANGE(call, given, hinge_gradient, rows, 2 * call->sizes[0]);
    return 1;
}

#endif
