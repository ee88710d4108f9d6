/* What is a call of a kernel? A function and the memory that it works on: run at once, or kept and run many times.
 *
 * A `take` function reads Python's arguments into a Call. It returns 1 where the kernel can compute them, and 0, with
 * nothing touched, where it cannot (an array is not contiguous, of another type, of another shape): the definition then
 * computes. A Call knows nothing of Python, so that a list of them runs without it.
 */

#include "call.h"

/* -- threads: the BLAS's own, so that no two kinds of them wait for work at once ----------------------------------- */

typedef int (*Crew)(int, void *, void *, int);
typedef int (*Threads)(void);
static Crew crew = NULL;       /* runs a function on several of the BLAS's threads; NULL where it cannot be asked to */
static Threads threads = NULL; /* how many there are */
static int64_t least_work = 1 << 17; /* of a call that several threads share, in elements moved */

enum { MOST_THREADS = 16 };

typedef struct {
    const Call *call;
    int64_t first, last;
} Part;

static void run_part(Part *part) { part->call->range(part->call, part->first, part->last); }

/* Run a call that has a range: in one piece where it is small. */
static int run_range(const Call *call)
{
    int64_t count = crew == NULL || call->length * call->work < least_work || call->length < 2 ? 1 : threads();
    if (count < 2) {
        call->range(call, 0, call->length);
        return 0;
    }
    Part parts[MOST_THREADS];
    count = count < MOST_THREADS ? count : MOST_THREADS;
    int64_t share = (call->length + count - 1) / count;
    if (call->work < 64) share = (share + 63) / 64 * 64; /* whole lines of the cache */
    int used = 0;
    for (int64_t first = 0; first < call->length; first += share) {
        int64_t last = first + share < call->length ? first + share : call->length;
        parts[used++] = (Part){call, first, last};
    }
    crew(used, (void *)run_part, parts, sizeof(Part));
    return 0;
}

/* -- Python's arguments -------------------------------------------------------------------------------------------- */

enum { IN_HOST = 1, ON_GPU = 2, MOST_AXES = 24 };

typedef struct {
    Py_buffer views[MOST_ARRAYS];
    int held;
    char type;                     /* 'f' or 'd', of the first array of real numbers */
    int place;                     /* where all arrays are: 0 not known yet, IN_HOST, ON_GPU + its number */
    int axes;                      /* how many lengths of a GPU's arrays are noted */
    Py_ssize_t lengths[MOST_AXES];
} Given;

typedef int (*Take)(PyObject *const *, Given *, Call *);

static void release(Given *given)
{
    while (given->held) PyBuffer_Release(&given->views[--given->held]);
}

static int is_of_a_device(PyObject *object);
static int view_on_device(Given *given, PyObject *array, Py_buffer *found);

/* An array's contiguous memory; NULL where it has none such. The view stays in `given`, as its last one. */
static Py_buffer *view(Given *given, PyObject *object, int written)
{
    if (given->held == MOST_ARRAYS) return NULL;
    Py_buffer *found = &given->views[given->held];
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0), place = IN_HOST;
    if (is_of_a_device(object)) {
        place = view_on_device(given, object, found);
    } else if (PyObject_GetBuffer(object, found, flags) != 0) {
        place = 0;
    }
    if (place == 0) {
        PyErr_Clear();
        return NULL;
    }
    given->held++;
    if (given->place == 0) given->place = place;
    return given->place == place ? found : NULL;
}

INLINE char format(const Py_buffer *found)
{
    return found->format != NULL && found->format[0] != '\0' && found->format[1] == '\0' ? found->format[0] : '?';
}

/* An array of real numbers, all of a call of one type. */
static Py_buffer *real(Given *given, PyObject *object, int written)
{
    Py_buffer *found = view(given, object, written);
    if (found == NULL) return NULL;
    char type = format(found);
    if (type != 'f' && type != 'd') return NULL;
    if (given->type == '\0') given->type = type;
    return type == given->type ? found : NULL;
}

/* The memory of real numbers, `*size` of them (any number of them, noted there, where that is negative). */
static void *reals(Given *given, PyObject *object, int written, int64_t *size)
{
    Py_buffer *found = real(given, object, written);
    if (found == NULL) return NULL;
    int64_t count = found->len / found->itemsize;
    if (*size < 0) *size = count;
    return count == *size && count > 0 ? found->buf : NULL;
}

/* The memory of a matrix of real numbers (rows, columns); lengths are noted where they are negative. */
static void *matrix(Given *given, PyObject *object, int written, int64_t *rows, int64_t *columns)
{
    Py_buffer *found = real(given, object, written);
    if (found == NULL || found->ndim != 2) return NULL;
    if (*rows < 0) *rows = found->shape[0];
    if (*columns < 0) *columns = found->shape[1];
    return found->shape[0] == *rows && found->shape[1] == *columns && found->len > 0 ? found->buf : NULL;
}

/* The memory of one byte an element (bool), `*size` of them. */
static void *bytes(Given *given, PyObject *object, int written, int64_t *size)
{
    Py_buffer *found = view(given, object, written);
    if (found == NULL || found->itemsize != 1) return NULL;
    if (*size < 0) *size = found->len;
    return found->len == *size && *size > 0 ? found->buf : NULL;
}

/* The memory of 64-bit whole numbers, `*size` of them; class labels are such. */
static void *integers(Given *given, PyObject *object, int written, int64_t *size)
{
    Py_buffer *found = view(given, object, written);
    if (found == NULL || found->itemsize != 8) return NULL;
    char type = format(found);
    if (type != 'l' && type != 'q' && type != 'L' && type != 'Q') return NULL;
    if (*size < 0) *size = found->len / 8;
    return found->len / 8 == *size && *size > 0 ? found->buf : NULL;
}

/* A number of Python, or the only one of an array of the call's type. */
static int number(Given *given, PyObject *object, Number *found)
{
    if (PyFloat_Check(object) || PyLong_Check(object)) {
        *found = (Number){.value = PyFloat_AsDouble(object)};
        if (found->value != -1.0 || !PyErr_Occurred()) return 1;
        PyErr_Clear();
        return 0;
    }
    int64_t one = 1;
    void *place = reals(given, object, 0, &one);
    *found = (Number){.place = place, .type = given->type};
    return place != NULL;
}

static int numbers(Given *given, PyObject *const *objects, int count, Number *found)
{
    for (int i = 0; i < count; i++) {
        if (!number(given, objects[i], found + i)) return 0;
    }
    return 1;
}

/* A whole number of 64 bits, 0 or above. */
static int word(PyObject *object, uint64_t *found)
{
    *found = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred()) return 1;
    PyErr_Clear();
    return 0;
}

/* What computes the call, by the type of its numbers. */
#define RUN(call, given, kernel) ((call)->run = (given)->type == 'f' ? kernel##_float : kernel##_double)
#define RANGE(call, given, kernel, count, cost)                                                                        \
    ((call)->run = run_range, (call)->range = (given)->type == 'f' ? kernel##_float : kernel##_double,                 \
     (call)->length = (count), (call)->work = (cost))
