/* How do many losses become one, how large are all gradients, what do large weights cost? Sums and their slopes. */

#ifdef REAL

#define EACH for (int64_t i = first; i < last; i++)

/* dloss = dvalue / count. */
CLONED void NAME(average_gradient)(const Call *c, int64_t first, int64_t last)
{
    const REAL *dvalue = c->arrays[0], count = (REAL)value_of(c->numbers);
    REAL *dloss = c->arrays[1];
    EACH dloss[i] = dvalue[i] / count;
}

/* dloss = dvalue w / total; dvalue is one for all, or one a unit. */
CLONED void NAME(weighted_average_gradient)(const Call *c, int64_t first, int64_t last)
{
    const REAL *dvalue = c->arrays[0], *w = c->arrays[1], total = *(REAL *)c->arrays[2];
    REAL *dlosses = c->arrays[3];
    if (c->sizes[0] == 1) {
        const REAL slope = dvalue[0];
        EACH dlosses[i] = w[i] * slope / total;
    } else {
        EACH dlosses[i] = w[i] * dvalue[i] / total;
    }
}

/* weights = the weight of each label's class. */
CLONED void NAME(label_weights)(const Call *c, int64_t first, int64_t last)
{
    const REAL *class_weight = c->arrays[0];
    const int64_t *labels = c->arrays[1];
    REAL *weights = c->arrays[2];
    EACH weights[i] = class_weight[WITHIN(labels[i], c->sizes[1])];
}

/* average <- average + rest (w - average). */
CLONED void NAME(move_average)(const Call *c, int64_t first, int64_t last)
{
    const REAL *w = c->arrays[0], rest = (REAL)value_of(c->numbers);
    REAL *average = c->arrays[1];
    EACH average[i] = NAME(blend)(average[i], w[i], rest);
}

/* g <- g min(1, max_norm / (sqrt(norm_squared) + 1e-6)); a norm that is NaN makes all of them NaN. */
CLONED void NAME(scale_by_norm)(const Call *c, int64_t first, int64_t last)
{
    REAL *g = c->arrays[0];
    const REAL norm = SQRT(*(REAL *)c->arrays[1]) + (REAL)1e-6;
    const REAL factor = NAME(at_most)((REAL)value_of(c->numbers) / norm, 1);
    EACH g[i] *= factor;
}

/* g <- the nearest number in -limit ... limit. */
CLONED void NAME(clip_by_value)(const Call *c, int64_t first, int64_t last)
{
    REAL *g = c->arrays[0];
    const REAL limit = (REAL)value_of(c->numbers);
    EACH g[i] = NAME(at_most)(NAME(at_least)(g[i], -limit), limit);
}

/* dw = dvalue (2 squares w + absolutes sign(w)). */
CLONED void NAME(elastic_net_gradient)(const Call *c, int64_t first, int64_t last)
{
    const REAL dvalue = *(REAL *)c->arrays[0], *w = c->arrays[1];
    const REAL twice = (REAL)(2 * value_of(c->numbers)), absolutes = (REAL)value_of(c->numbers + 1);
    REAL *dw = c->arrays[2];
    if (absolutes == 0) {
        EACH dw[i] = w[i] * twice * dvalue;
    } else {
        EACH dw[i] = (w[i] * twice + NAME(absolute_slope)(w[i], 0, 0) * absolutes) * dvalue;
    }
}

#undef EACH

#ifndef ON_DEVICE /* sums of everything: backends/cuda/whole.h */

/* value = sum(losses) / count. */
static int NAME(average)(const Call *c)
{
    const REAL sum = NAME(whole_sum_of)(c->arrays[0], NULL, c->sizes[0]), count = (REAL)value_of(c->numbers);
    *(REAL *)c->arrays[1] = count != 1 ? sum / count : sum;
    return 0;
}

/* value = sum(w loss) / total. */
static int NAME(weighted_average)(const Call *c)
{
    const REAL sum = NAME(whole_sum_of_products)(c->arrays[0], c->arrays[1], c->sizes[0]);
    *(REAL *)c->arrays[3] = sum / *(REAL *)c->arrays[2];
    return 0;
}

/* out = the sum of g^2. */
static int NAME(squared_norm)(const Call *c)
{
    *(REAL *)c->arrays[1] = NAME(whole_sum_of_squares)(c->arrays[0], NULL, c->sizes[0]);
    return 0;
}

/* out[i] = the sum of g^2 in piece i. */
static int NAME(squared_pieces)(const Call *c)
{
    const REAL *g = c->arrays[0];
    REAL *out = c->arrays[1];
    for (int64_t i = 0; i < c->length; i++) {
        const int64_t start = i * c->sizes[0], left = c->sizes[1] - start;
        out[i] = NAME(whole_sum_of_squares)(g + start, NULL, left < c->sizes[0] ? left : c->sizes[0]);
    }
    return 0;
}

/* value <- value + squares sum(w^2) + absolutes sum(|w|). */
static int NAME(elastic_net)(const Call *c)
{
    const REAL *w = c->arrays[0], squares = (REAL)value_of(c->numbers), absolutes = (REAL)value_of(c->numbers + 1);
    REAL *value = c->arrays[1];
    if (squares != 0) *value += NAME(whole_sum_of_squares)(w, NULL, c->sizes[0]) * squares;
    if (absolutes != 0) *value += NAME(whole_sum_of_magnitudes)(w, NULL, c->sizes[0]) * absolutes;
    return 0;
}

#endif

#else

/* average(losses, value, count) */
static int take_average(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &one);
    if (call->arrays[1] == NULL || !number(given, objects[2], call->numbers)) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
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
    RANGE(call, given, average_gradient, 1, 2);
    return 1;
}

/* weighted_average(losses, weights, total, value) */
static int take_weighted_average(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    for (int i = 0; i < 4; i++) {
        call->arrays[i] = reals(given, objects[i], i == 3, i < 2 ? &size : &one);
        if (call->arrays[i] == NULL) return 0;
    }
    call->sizes[0] = size;
    call->length = size, call->work = 2;
    RUN(call, given, weighted_average);
    return 1;
}

/* weighted_average_gradient(dvalue, weights, total, dlosses) */
static int take_weighted_average_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1, units = -1;
    call->arrays[1] = reals(given, objects[1], 0, &size);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, objects[2], 0, &one);
    call->arrays[3] = call->arrays[2] == NULL ? NULL : reals(given, objects[3], 1, &size);
    call->arrays[0] = call->arrays[3] == NULL ? NULL : reals(given, objects[0], 0, &units);
    if (call->arrays[0] == NULL || (units != 1 && units != size)) return 0;
    call->sizes[0] = units;
    RANGE(call, given, weighted_average_gradient, size, 3);
    return 1;
}

/* label_weights(class_weight, labels, weights); the labels were checked. */
static int take_label_weights(PyObject *const *objects, Given *given, Call *call)
{
    int64_t classes = -1, size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &classes);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : integers(given, objects[1], 0, &size);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, objects[2], 1, &size);
    if (call->arrays[2] == NULL) return 0;
    call->sizes[1] = classes;
    RANGE(call, given, label_weights, size, 3);
    return 1;
}

/* move_average(w, average, 1 - decay) */
static int take_move_average(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    if (!alike(objects, given, call, 0, 2, &size) || !number(given, objects[2], call->numbers)) return 0;
    RANGE(call, given, move_average, size, 3);
    return 1;
}

/* squared_norm(g, out) */
static int take_squared_norm(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &one);
    if (call->arrays[1] == NULL) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
    RUN(call, given, squared_norm);
    return 1;
}

/* squared_pieces(g, out, length of a piece); the last one may be shorter */
static int take_squared_pieces(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, pieces = -1;
    uint64_t length;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &pieces);
    if (call->arrays[1] == NULL || !word(objects[2], &length)) return 0;
    if (length == 0 || length > INT32_MAX || pieces != (size - 1) / (int64_t)length + 1) return 0;
    call->sizes[0] = (int64_t)length, call->sizes[1] = size;
    call->length = pieces, call->work = (int64_t)length;
    RUN(call, given, squared_pieces);
    return 1;
}

/* scale_by_norm(g, norm_squared, max_norm) */
static int take_scale_by_norm(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 1, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 0, &one);
    if (call->arrays[1] == NULL || !number(given, objects[2], call->numbers)) return 0;
    RANGE(call, given, scale_by_norm, size, 2);
    return 1;
}

/* clip_by_value(g, limit) */
static int take_clip_by_value(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 1, &size);
    if (call->arrays[0] == NULL || !number(given, objects[1], call->numbers)) return 0;
    RANGE(call, given, clip_by_value, size, 2);
    return 1;
}

/* elastic_net(w, value, squares, absolutes) */
static int take_elastic_net(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : reals(given, objects[1], 1, &one);
    if (call->arrays[1] == NULL || !numbers(given, objects + 2, 2, call->numbers)) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 2;
    RUN(call, given, elastic_net);
    return 1;
}

/* elastic_net_gradient(dvalue, w, dw, squares, absolutes) */
static int take_elastic_net_gradient(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = reals(given, objects[0], 0, &one);
    if (call->arrays[0] == NULL || !alike(objects, given, call, 1, 2, &size)) return 0;
    if (!numbers(given, objects + 3, 2, call->numbers)) return 0;
    RANGE(call, given, elastic_net_gradient, size, 3);
    return 1;
}

#endif
