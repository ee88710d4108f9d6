/* How are the fused kernels called from Python? Arrays come as buffers; what is not plain memory is left to NumPy.
 *
 * Each function returns True when it has done its work, and False, with nothing touched, when an array is not contiguous,
 * not of the expected type, or not as long as the others: the caller then computes the definition.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && (defined(__GNUC__) && !defined(__clang__))
/* One copy for each kind of processor, chosen when the module is loaded. */
#define CLONED __attribute__((target_clones("avx512f", "avx2", "default"))) static
#else
#define CLONED static
#endif

#define REAL float
#define SQRT sqrtf
#define NAME(kernel) kernel##_float
#include "bodies.h"
#include "loops.h"
#undef REAL
#undef SQRT
#undef NAME

#define REAL double
#define SQRT sqrt
#define NAME(kernel) kernel##_double
#include "bodies.h"
#include "loops.h"
#undef REAL
#undef SQRT
#undef NAME

/* -- Philox4x32-10, many blocks side by side ----------------------------------------------------------------------- */

enum { LANES = 64 }; /* blocks drawn together: whole vectors of any processor */

CLONED void philox_lanes(uint64_t block, uint64_t counter, uint32_t key0, uint32_t key1, uint32_t words[4][LANES])
{
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    for (int i = 0; i < LANES; i++) {
        c0[i] = (uint32_t)(block + (uint64_t)i);
        c1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
        c2[i] = (uint32_t)counter;
        c3[i] = (uint32_t)(counter >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            uint64_t first = (uint64_t)0xD2511F53u * c0[i], second = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(second >> 32) ^ c1[i] ^ key0;
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ c3[i] ^ key1;
            c3[i] = (uint32_t)first;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < LANES; i++) {
        words[0][i] = c0[i];
        words[1][i] = c1[i];
        words[2][i] = c2[i];
        words[3][i] = c3[i];
    }
}

/* mask[i] = word i below the threshold; word i is word i % 4 of block i / 4. */
static void keep(size_t n, unsigned char *mask, uint64_t counter, uint32_t key0, uint32_t key1, uint32_t threshold)
{
    uint32_t words[4][LANES];
    for (size_t start = 0; start < n; start += 4 * LANES) {
        size_t count = n - start < 4 * LANES ? n - start : 4 * LANES;
        philox_lanes(start / 4, counter, key0, key1, words);
        if (count == 4 * LANES) {
            for (size_t i = 0; i < LANES; i++) {
                for (size_t j = 0; j < 4; j++) mask[start + 4 * i + j] = words[j][i] < threshold;
            }
        } else {
            for (size_t i = 0; i < count; i++) mask[start + i] = words[i % 4][i / 4] < threshold;
        }
    }
}

/* -- arguments ----------------------------------------------------------------------------------------------------- */

enum { MOST = 6 };

typedef struct {
    Py_buffer buffers[MOST];
    int held;
    Py_ssize_t size;
    char type; /* 'f' or 'd', of the first array */
} Arrays;

static void release(Arrays *arrays)
{
    while (arrays->held) PyBuffer_Release(&arrays->buffers[--arrays->held]);
}

/* The memory of one more array of this type ('r': that of the first), as long as the others; NULL where it is not. */
static void *memory(Arrays *arrays, PyObject *object, char type, int written)
{
    Py_buffer *view = &arrays->buffers[arrays->held];
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) != 0) {
        PyErr_Clear();
        return NULL;
    }
    arrays->held++;
    char found = view->format != NULL && view->format[1] == '\0' ? view->format[0] : '?';
    if (type == 'r') {
        if (found != 'f' && found != 'd') return NULL;
        if (arrays->type == '\0') arrays->type = found;
        if (found != arrays->type) return NULL;
    } else if (type == 'm') {
        if (view->itemsize != 1) return NULL;
    }
    Py_ssize_t size = view->len / view->itemsize;
    if (arrays->size < 0) arrays->size = size;
    return size == arrays->size && size > 0 ? view->buf : NULL;
}

/* A number of Python, or the only one of an array. */
static int number(PyObject *object, double *value)
{
    if (PyFloat_Check(object) || PyLong_Check(object)) {
        *value = PyFloat_AsDouble(object);
        if (*value != -1.0 || !PyErr_Occurred()) return 1;
        PyErr_Clear();
        return 0;
    }
    Arrays one = {.held = 0, .size = 1, .type = '\0'};
    const void *found = memory(&one, object, 'r', 0);
    if (found != NULL) *value = one.type == 'f' ? *(const float *)found : *(const double *)found;
    release(&one);
    return found != NULL;
}

static int numbers(PyObject *const *given, int count, double *values)
{
    for (int i = 0; i < count; i++) {
        if (!number(given[i], values + i)) return 0;
    }
    return 1;
}

static PyObject *done(Arrays *arrays, int whole)
{
    release(arrays);
    return PyBool_FromLong(whole);
}

#define BEGIN(count)                                                                                                   \
    if (given_count != (count)) {                                                                                      \
        PyErr_SetString(PyExc_TypeError, "wrong number of arguments");                                                 \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    Arrays arrays = {.held = 0, .size = -1, .type = '\0'}
#define RUN(kernel, ...)                                                                                               \
    Py_BEGIN_ALLOW_THREADS if (arrays.type == 'f') kernel##_loop_float((size_t)arrays.size, __VA_ARGS__);              \
    else kernel##_loop_double((size_t)arrays.size, __VA_ARGS__);                                                       \
    Py_END_ALLOW_THREADS
#define FUNCTION(name) static PyObject *name(PyObject *self, PyObject *const *given, Py_ssize_t given_count)

/* -- what Python calls --------------------------------------------------------------------------------------------- */

FUNCTION(relu)
{
    BEGIN(2);
    const void *x = memory(&arrays, given[0], 'r', 0);
    void *y = memory(&arrays, given[1], 'r', 1);
    if (x == NULL || y == NULL) return done(&arrays, 0);
    RUN(relu, x, y);
    return done(&arrays, 1);
}

FUNCTION(relu_gradient)
{
    BEGIN(3);
    const void *dy = memory(&arrays, given[0], 'r', 0), *y = memory(&arrays, given[1], 'r', 0);
    void *dx = memory(&arrays, given[2], 'r', 1);
    if (dy == NULL || y == NULL || dx == NULL) return done(&arrays, 0);
    RUN(relu_gradient, dy, y, dx);
    return done(&arrays, 1);
}

/* (mask, counter, key0, key1, threshold) */
static int draw(Arrays *arrays, PyObject *const *given)
{
    unsigned char *mask = memory(arrays, given[0], 'm', 1);
    Py_buffer counter;
    if (mask == NULL || PyObject_GetBuffer(given[1], &counter, PyBUF_C_CONTIGUOUS) != 0) {
        PyErr_Clear();
        return 0;
    }
    uint64_t drawn = counter.len == 8 ? *(const uint64_t *)counter.buf : 0;
    int plain = counter.len == 8;
    PyBuffer_Release(&counter);
    uint64_t values[3];
    for (int i = 0; i < 3; i++) {
        values[i] = PyLong_AsUnsignedLongLong(given[2 + i]);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
    }
    if (!plain || values[2] > UINT32_MAX) return 0;
    Py_BEGIN_ALLOW_THREADS
    keep((size_t)arrays->size, mask, drawn, (uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2]);
    Py_END_ALLOW_THREADS
    return 1;
}

FUNCTION(keep_mask)
{
    BEGIN(5);
    return done(&arrays, draw(&arrays, given));
}

/* (x, mask, scale, y) */
FUNCTION(masked)
{
    BEGIN(4);
    double scale = 0;
    const void *x = memory(&arrays, given[0], 'r', 0);
    const unsigned char *mask = memory(&arrays, given[1], 'm', 0);
    void *y = memory(&arrays, given[3], 'r', 1);
    if (x == NULL || mask == NULL || y == NULL || !number(given[2], &scale)) return done(&arrays, 0);
    if (arrays.type == 'f') masked_loop_float((size_t)arrays.size, x, mask, (float)scale, y);
    else masked_loop_double((size_t)arrays.size, x, mask, scale, y);
    return done(&arrays, 1);
}

/* The weights, the gradient and the states of an optimizer; a state that is None is NULL. */
static int laid_out(Arrays *arrays, PyObject *const *given, int states, void **found)
{
    found[0] = memory(arrays, given[0], 'r', 1);
    found[1] = found[0] == NULL ? NULL : memory(arrays, given[1], 'r', 0);
    if (found[1] == NULL) return 0;
    for (int i = 2; i < 2 + states; i++) {
        found[i] = given[i] == Py_None ? NULL : memory(arrays, given[i], 'r', 1);
        if (found[i] == NULL && given[i] != Py_None) return 0;
    }
    return 1;
}

/* (w, g, velocity or None, rate, momentum, nesterov, weight_decay) */
FUNCTION(sgd)
{
    BEGIN(7);
    void *a[3];
    double v[4];
    if (!laid_out(&arrays, given, 1, a) || !numbers(given + 3, 4, v)) return done(&arrays, 0);
    RUN(sgd, a[0], a[1], a[2], v[0], v[1], v[2] != 0, v[3]);
    return done(&arrays, 1);
}

/* (w, g, s, rate, eps, weight_decay) */
FUNCTION(adagrad)
{
    BEGIN(6);
    void *a[3];
    double v[3];
    if (!laid_out(&arrays, given, 1, a) || !numbers(given + 3, 3, v)) return done(&arrays, 0);
    RUN(adagrad, a[0], a[1], a[2], v[0], v[1], v[2]);
    return done(&arrays, 1);
}

/* (w, g, v, velocity or None, rate, alpha, 1 - alpha, eps, momentum, weight_decay) */
FUNCTION(rmsprop)
{
    BEGIN(10);
    void *a[4];
    double v[6];
    if (!laid_out(&arrays, given, 2, a) || !numbers(given + 4, 6, v)) return done(&arrays, 0);
    RUN(rmsprop, a[0], a[1], a[2], a[3], v[0], v[1], v[2], v[3], v[4], v[5]);
    return done(&arrays, 1);
}

/* (w, g, m, v, rate, correction 1, correction 2, 1 - beta1, beta2, 1 - beta2, eps, weight_decay, shrinking) */
FUNCTION(adam)
{
    BEGIN(13);
    void *a[4];
    double v[9];
    if (!laid_out(&arrays, given, 2, a) || !numbers(given + 4, 9, v)) return done(&arrays, 0);
    if (arrays.type == 'f') {
        float rate = (float)v[0], root = sqrtf((float)v[2]);
        float shrink = v[8] != 0 ? rate * (float)-v[8] + 1 : 1;
        RUN(adam, a[0], a[1], a[2], a[3], root * rate / (float)v[1], v[3], v[4], v[5], root * (float)v[6], v[7], shrink);
    } else {
        double root = sqrt(v[2]), shrink = v[8] != 0 ? v[0] * -v[8] + 1 : 1;
        RUN(adam, a[0], a[1], a[2], a[3], root * v[0] / v[1], v[3], v[4], v[5], root * v[6], v[7], shrink);
    }
    return done(&arrays, 1);
}

/* (w, g, m, v, rate, gradient_weight, momentum_weight, correction, 1 - beta1, beta2, 1 - beta2, eps, weight_decay) */
FUNCTION(nadam)
{
    BEGIN(13);
    void *a[4];
    double v[9];
    if (!laid_out(&arrays, given, 2, a) || !numbers(given + 4, 9, v)) return done(&arrays, 0);
    RUN(nadam, a[0], a[1], a[2], a[3], v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]);
    return done(&arrays, 1);
}

/* (w, g, m, rate, 1 - beta1, 1 - beta2, shrinking) */
FUNCTION(lion)
{
    BEGIN(7);
    void *a[3];
    double v[4];
    if (!laid_out(&arrays, given, 1, a) || !numbers(given + 3, 4, v)) return done(&arrays, 0);
    double shrink = 1;
    if (v[3] != 0) shrink = arrays.type == 'f' ? (float)v[0] * (float)-v[3] + 1 : v[0] * -v[3] + 1;
    RUN(lion, a[0], a[1], a[2], v[0], v[1], v[2], shrink);
    return done(&arrays, 1);
}

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}

static PyMethodDef functions[] = {
    ENTRY(relu), ENTRY(relu_gradient), ENTRY(keep_mask), ENTRY(masked), ENTRY(sgd),   ENTRY(adagrad),
    ENTRY(rmsprop), ENTRY(adam),       ENTRY(nadam),     ENTRY(lion),   {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
