/* How are numbers combined, element by element? Arrays of one shape, an array with a number or with one row for all. */

#ifndef ARITHMETIC
#define ARITHMETIC

/* How b goes with a: element by element, one row with each of a's, a number with all; or a is one, or both are. */
enum { ALIKE, ONE_ROW, RIGHT_NUMBER, LEFT_NUMBER, TWO_NUMBERS };

#endif

#ifdef REAL

#define EACH for (int64_t i = first; i < last; i++)

/* y = a OPERATOR b; y may be a or b. */
#define BINARY(name, OPERATOR)                                                                                         \
    CLONED void NAME(name)(const Call *c, int64_t first, int64_t last)                                                 \
    {                                                                                                                  \
        const REAL *a = c->arrays[0], *b = c->arrays[1];                                                               \
        REAL *y = c->arrays[2];                                                                                        \
        if (c->sizes[0] == ALIKE) {                                                                                    \
            EACH y[i] = a[i] OPERATOR b[i];                                                                            \
        } else if (c->sizes[0] == ONE_ROW) {                                                                           \
            const int64_t columns = c->sizes[1];                                                                       \
            EACH {                                                                                                     \
                for (int64_t j = 0; j < columns; j++) y[i * columns + j] = a[i * columns + j] OPERATOR b[j];           \
            }                                                                                                          \
        } else if (c->sizes[0] == RIGHT_NUMBER) {                                                                      \
            const REAL right = (REAL)value_of(c->numbers + 1);                                                         \
            EACH y[i] = a[i] OPERATOR right;                                                                           \
        } else if (c->sizes[0] == LEFT_NUMBER) {                                                                       \
            const REAL left = (REAL)value_of(c->numbers);                                                              \
            EACH y[i] = left OPERATOR b[i];                                                                            \
        } else {                                                                                                       \
            const REAL one = (REAL)value_of(c->numbers) OPERATOR (REAL)value_of(c->numbers + 1);                       \
            EACH y[i] = one;                                                                                           \
        }                                                                                                              \
    }

BINARY(add, +)
BINARY(subtract, -)
BINARY(multiply, *)
BINARY(divide, /)

/* y = f(x); y may be x. */
#define UNARY(name, FUNCTION)                                                                                          \
    CLONED void NAME(name)(const Call *c, int64_t first, int64_t last)                                                 \
    {                                                                                                                  \
        const REAL *x = c->arrays[0];                                                                                  \
        REAL *y = c->arrays[1];                                                                                        \
        EACH y[i] = FUNCTION(x[i]);                                                                                    \
    }

UNARY(negative, -)
UNARY(square_roots, SQRT)

/* y = sum of x over its last axis, for rows first ... last. */
CLONED void NAME(row_sums)(const Call *c, int64_t first, int64_t last)
{
    const int64_t columns = c->sizes[0];
    const REAL *x = c->arrays[0];
    REAL *y = c->arrays[1];
    EACH y[i] = (REAL)NAME(sum_of)(x + i * columns, NULL, columns);
}

#undef EACH
#undef BINARY
#undef UNARY

#else

/* One of the operands of y: its array where it is as large as y, otherwise a number. */
static int operand(PyObject *object, Given *given, Call *call, int place, int64_t size, int64_t *found)
{
    *found = -1;
    call->arrays[place] = NULL;
    if (PyFloat_Check(object) || PyLong_Check(object)) return number(given, object, call->numbers + place);
    call->arrays[place] = reals(given, object, 0, found);
    if (call->arrays[place] == NULL) return 0;
    if (*found == 1 && size != 1) {
        call->numbers[place] = (Number){.place = call->arrays[place], .type = given->type};
        call->arrays[place] = NULL;
    }
    return 1;
}

/* binary(a, b, y): the mode of the call is in sizes[0], the length of b's row in sizes[1]. */
static int take_binary(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, left, right;
    call->arrays[2] = reals(given, objects[2], 1, &size);
    if (call->arrays[2] == NULL) return 0;
    const int dimensions = given->views[0].ndim;
    const int64_t columns = dimensions > 0 ? given->views[0].shape[dimensions - 1] : 1;
    if (!operand(objects[0], given, call, 0, size, &left)) return 0;
    if (!operand(objects[1], given, call, 1, size, &right)) return 0;
    call->sizes[1] = 0;
    call->length = size, call->work = 3;
    if (call->arrays[0] == NULL) {
        call->sizes[0] = call->arrays[1] == NULL ? TWO_NUMBERS : LEFT_NUMBER;
        return call->arrays[1] == NULL || right == size;
    }
    if (left != size) return 0;
    if (call->arrays[1] == NULL) {
        call->sizes[0] = RIGHT_NUMBER;
        return 1;
    }
    call->sizes[0] = right == size ? ALIKE : ONE_ROW;
    if (right == size) return 1;
    const Py_buffer *row = &given->views[given->held - 1];
    if (right != columns || row->shape[row->ndim - 1] != columns) return 0;
    call->sizes[1] = columns;
    call->length = size / columns, call->work = 3 * columns;
    return 1;
}

#define BINARY(name)                                                                                                   \
    static int take_##name(PyObject *const *objects, Given *given, Call *call)                                         \
    {                                                                                                                  \
        if (!take_binary(objects, given, call)) return 0;                                                              \
        RANGE(call, given, name, call->length, call->work);                                                            \
        return 1;                                                                                                      \
    }

BINARY(add)
BINARY(subtract)
BINARY(multiply)
BINARY(divide)

#define UNARY(name, cost)                                                                                              \
    static int take_##name(PyObject *const *objects, Given *given, Call *call)                                         \
    {                                                                                                                  \
        int64_t size = -1;                                                                                             \
        if (!alike(objects, given, call, 0, 2, &size)) return 0;                                                       \
        RANGE(call, given, name, size, cost);                                                                          \
        return 1;                                                                                                      \
    }

UNARY(negative, 2)
UNARY(square_roots, 4)

/* row_sums(x, y): y is x's shape without the last axis, or with one of length 1 in its place. */
static int take_row_sums(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, rows = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL || given->views[0].ndim < 1) return 0;
    call->sizes[0] = given->views[0].shape[given->views[0].ndim - 1];
    rows = size / call->sizes[0];
    call->arrays[1] = reals(given, objects[1], 1, &rows);
    if (call->arrays[1] == NULL) return 0;
    RANGE(call, given, row_sums, rows, call->sizes[0]);
    return 1;
}

#endif
