/* Are the values of a batch what a kernel can work on? Checks that write nothing: 1 where a value is wrong, upon which
 * Python's function beside the call says which.
 */

#ifndef CHECKS
#define CHECKS

/* What the segments of a call's first array have found, in one number; `range` notes it for each in the last array. */
static int any_segment(void (*range)(const Call *, int64_t, int64_t), const Call *c)
{
    int32_t found[MOST_SEGMENTS], all = 0;
    Call call = *c;
    call.range = range;
    call.arrays[MOST_ARRAYS - 1] = found;
    call.work = segment_of(c->sizes[0]);
    call.length = (c->sizes[0] + call.work - 1) / call.work;
    run_range(&call);
    for (int64_t s = 0; s < call.length; s++) all |= found[s];
    return all;
}

/* The elements start ... end of segment s. */
INLINE int bounds_of(const Call *c, int64_t s, int64_t *start, int64_t *end)
{
    *start = s * c->work;
    *end = *start + c->work < c->sizes[0] ? *start + c->work : c->sizes[0];
    return 1;
}

#endif

#ifdef REAL

/* A check goes through whole segments, so that threads can share a long array; each notes what it found. */
#define EACH_SEGMENT for (int64_t s = first, start, end; s < last && bounds_of(c, s, &start, &end); s++)

/* Whether all are finite: x - x is 0 of nothing else. */
CLONED void NAME(finite_segments)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0];
    int32_t *found = c->arrays[MOST_ARRAYS - 1];
    EACH_SEGMENT {
        int32_t wrong = 0;
        for (int64_t i = start; i < end; i++) wrong |= !(x[i] - x[i] == 0);
        found[s] = wrong;
    }
}

static int NAME(finite)(const Call *c) { return any_segment(NAME(finite_segments), c) & 1; }

/* Whether all are 0 or above and finite: 1 where one is not; 2 where one is above 0. */
CLONED void NAME(weights_segments)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0];
    int32_t *found = c->arrays[MOST_ARRAYS - 1];
    EACH_SEGMENT {
        int32_t wrong = 0, some = 0;
        for (int64_t i = start; i < end; i++) {
            wrong |= !(x[i] >= 0) | !(x[i] < (REAL)INFINITY);
            some |= x[i] != 0;
        }
        found[s] = wrong + 2 * some;
    }
}

static int NAME(weights_fit)(const Call *c)
{
    const int found = any_segment(NAME(weights_segments), c);
    return (found & 1) != 0 || (c->words[0] != 0 && (found & 2) == 0);
}

/* Whether all are between two bounds, the bounds included, or, where words[0] is 0, one of the two; NaN is neither. */
CLONED void NAME(range_segments)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0], low = (REAL)value_of(c->numbers), high = (REAL)value_of(c->numbers + 1);
    int32_t *found = c->arrays[MOST_ARRAYS - 1];
    EACH_SEGMENT {
        int32_t outside = 0, other = 0;
        for (int64_t i = start; i < end; i++) {
            outside |= !(x[i] >= low) | !(x[i] <= high);
            other |= (x[i] != low) & (x[i] != high);
        }
        found[s] = c->words[0] != 0 ? outside : other;
    }
}

static int NAME(range_fit)(const Call *c) { return any_segment(NAME(range_segments), c) & 1; }

/* Whether none is outside two bounds; NaN is not. */
CLONED void NAME(bounds_segments)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0], low = (REAL)value_of(c->numbers), high = (REAL)value_of(c->numbers + 1);
    int32_t *found = c->arrays[MOST_ARRAYS - 1];
    EACH_SEGMENT {
        int32_t outside = 0;
        for (int64_t i = start; i < end; i++) outside |= (x[i] < low) | (x[i] > high);
        found[s] = outside;
    }
}

static int NAME(bounds_fit)(const Call *c) { return any_segment(NAME(bounds_segments), c) & 1; }

#undef EACH_SEGMENT

#else

/* all_finite(array): fails where an element is NaN or infinite. */
static int take_all_finite(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
    RUN(call, given, finite);
    return 1;
}

/* weights_fit(weights, some): fails where one is negative or not finite, and, where some is 1, where all are 0. */
static int take_weights_fit(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL || !word(objects[1], call->words)) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
    RUN(call, given, weights_fit);
    return 1;
}

static int take_bounds(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL || !numbers(given, objects + 1, 2, call->numbers)) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
    return 1;
}

/* range_fit(values, low, high, between): fails where a value is not low ... high, or, with between 0, neither. */
static int take_range_fit(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_bounds(objects, given, call) || !word(objects[3], call->words)) return 0;
    RUN(call, given, range_fit);
    return 1;
}

/* bounds_fit(values, low, high): fails where a value is below low or above high; NaN passes: the loss shows it. */
static int take_bounds_fit(PyObject *const *objects, Given *given, Call *call)
{
    if (!take_bounds(objects, given, call)) return 0;
    RUN(call, given, bounds_fit);
    return 1;
}

/* labels_fit(labels, classes): whether all are 0 ... classes - 1; as unsigned numbers the negative ones are huge. */
CLONED void labels_segments(const Call *c, int64_t first, int64_t last)
{
    const uint64_t *labels = c->arrays[0], classes = c->words[0];
    int32_t *found = c->arrays[MOST_ARRAYS - 1];
    for (int64_t s = first, start, end; s < last && bounds_of(c, s, &start, &end); s++) {
        uint64_t largest = 0;
        for (int64_t i = start; i < end; i++) largest = labels[i] > largest ? labels[i] : largest;
        found[s] = largest >= classes;
    }
}

static int labels_fit_run(const Call *c) { return any_segment(labels_segments, c); }

static int take_labels_fit(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = integers(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL || !word(objects[1], call->words)) return 0;
    call->sizes[0] = size;
    call->length = size, call->work = 1;
    call->run = labels_fit_run;
    return 1;
}

#endif

