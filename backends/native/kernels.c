/* What does Python see? Kernels as functions, which are True where they could take their arguments, and sequences.
 *
 * calls.h says what a call is, sequence.h how many are run in one go, replay.h how a whole step is; functions.h and
 * bodies.h are arithmetic, the other headers are kernels, a family each.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#define INLINE static __forceinline
#elif defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline)) /* into every copy that CLONED makes */
#else
#define INLINE static inline
#endif
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && (defined(__GNUC__) && !defined(__clang__))
/* One copy for each kind of processor, chosen when the module is loaded. */
#define CLONED __attribute__((target_clones("avx512f", "avx2", "default"))) static
#else
#define CLONED static
#endif
#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#define restrict __restrict
#else
#define THREAD_LOCAL _Thread_local
#endif

/* Before a loop: no element that it writes is read by another of its rounds. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define INDEPENDENT __pragma(loop(ivdep))
#else
#define INDEPENDENT
#endif

#include "calls.h"
#include "functions.h"
#include "logarithms.h"
#include "products.h"
#include "sequence.h"

#include "replay.h"

#include "bookkeeping.h"

#define REAL float
#define SQRT sqrtf
#define LOG logf
#define NAME(kernel) kernel##_float
#include "every.h"
#undef REAL
#undef SQRT
#undef LOG
#undef NAME

#define REAL double
#define SQRT sqrt
#define LOG log
#define NAME(kernel) kernel##_double
#include "every.h"
#undef REAL
#undef SQRT
#undef LOG
#undef NAME

#include "every.h"

/* -- every kernel, with the number of its arguments ---------------------------------------------------------------- */

#define KERNELS(_)                                                                                                     \
    _(product, 5) _(add_bias, 2) _(column_sum, 2) _(keep_mask, 5) _(masked, 4)                                         \
    _(softmax, 2) _(softmax_gradient, 3) _(log_softmax, 2) _(log_softmax_gradient, 3)                                  \
    _(maxout, 2) _(maxout_gradient, 4) _(layer_norm, 7) _(layer_norm_gradient, 5)                                      \
    _(batch_norm, 9) _(batch_norm_gradient, 7) _(affine_gradient, 4) _(update_running, 6)                              \
    _(batch_norm_evaluation, 9) _(batch_norm_evaluation_gradient, 4)                                                   \
    _(cross_entropy, 4) _(cross_entropy_gradient, 4) _(weighted_cross_entropy, 6)                                      \
    _(weighted_cross_entropy_gradient, 6) _(soft_cross_entropy, 6) _(soft_cross_entropy_gradient, 6)                   \
    _(hinge, 4) _(hinge_gradient, 5) _(squared_losses, 4) _(squared_gradient, 6) _(absolute_losses, 4)                 \
    _(absolute_gradient, 6) _(huber_losses, 4) _(huber_gradient, 6) _(binary_losses, 4) _(binary_gradient, 6)          \
    _(binary_logits_losses, 4) _(binary_logits_gradient, 6) _(logistic_losses, 4) _(logistic_gradient, 6)              \
    _(squared_error, 4) _(squared_error_gradient, 6) _(triplet, 5) _(triplet_gradient, 8)                              \
    _(average, 3) _(average_gradient, 3) _(weighted_average, 4) _(weighted_average_gradient, 4)                        \
    _(label_weights, 3) _(move_average, 3) _(squared_norm, 2) _(scale_by_norm, 3) _(clip_by_value, 2)                  \
    _(elastic_net, 4) _(elastic_net_gradient, 5)                                                                       \
    _(labels_fit, 2) _(all_finite, 1) _(weights_fit, 2) _(range_fit, 4) _(bounds_fit, 3) _(take_rows, 3)               \
    _(add, 3) _(subtract, 3) _(multiply, 3) _(divide, 3) _(negative, 2) _(square_roots, 2) _(row_sums, 2)              \
    _(copy, 2) _(fill, 2) _(count, 1)                                                                                  \
    _(sgd, 7) _(adagrad, 6) _(rmsprop, 10) _(adam, 13) _(nadam, 13) _(lion, 7)

#define FUNCTION(name, wanted)                                                                                         \
    static PyObject *call_##name(PyObject *self, PyObject *const *objects, Py_ssize_t count)                           \
    {                                                                                                                  \
        return enter(take_##name, wanted, objects, count);                                                             \
    }
#define CURVE_FUNCTIONS(name, cost, gradient_cost, settings)                                                           \
    FUNCTION(name, 2 + settings) FUNCTION(name##_gradient, 3 + settings)                                               \
    FUNCTION(bias_##name, 3 + settings) FUNCTION(name##_gradient_sum, 4 + settings)
KERNELS(FUNCTION)
CURVE_FUNCTIONS(relu, , , 0)
CURVES(CURVE_FUNCTIONS)

/* use(sgemm, dgemm, crew, threads): the addresses of a BLAS's functions, 0 for none. */
static PyObject *use(PyObject *self, PyObject *arguments)
{
    unsigned long long addresses[4];
    if (!PyArg_ParseTuple(arguments, "KKKK", addresses, addresses + 1, addresses + 2, addresses + 3)) return NULL;
    gemm_float = (Sgemm)(uintptr_t)addresses[0];
    gemm_double = (Dgemm)(uintptr_t)addresses[1];
    crew = addresses[3] == 0 ? NULL : (Crew)(uintptr_t)addresses[2];
    threads = (Threads)(uintptr_t)addresses[3];
    Py_RETURN_NONE;
}

#define ENTRY(name, wanted) {#name, (PyCFunction)(void (*)(void))call_##name, METH_FASTCALL, NULL},
#define CURVE_ENTRIES(name, cost, gradient_cost, settings)                                                             \
    ENTRY(name, ) ENTRY(name##_gradient, ) ENTRY(bias_##name, ) ENTRY(name##_gradient_sum, )
static PyMethodDef functions[] = {
    KERNELS(ENTRY) CURVE_ENTRIES(relu, , , 0) CURVES(CURVE_ENTRIES)
    {"advance", (PyCFunction)(void (*)(void))advance, METH_FASTCALL, NULL},
    {"extent", extent, METH_O, NULL},
    {"set_rate", (PyCFunction)(void (*)(void))set_rate, METH_FASTCALL, NULL},
    {"use", use, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return failed;
}

static int fill_module(PyObject *module)
{
    static const struct { PyObject **place; const char *text; } names[] = {
        {&name_array, "array"},       {&name_backend, "backend"},   {&name_requires_grad, "requires_grad"},
        {&name_copy, "copy"},         {&name_counts, "_counts"},    {&name_version, "_version"},
        {&name_changed, "changed"},   {&name_latest, "latest"},     {&name_settings, "settings"},
        {&name_values, "_values"},    {&name_rate, "learning_rate"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].place = PyUnicode_InternFromString(names[i].text);
        if (*names[i].place == NULL) return -1;
    }
    return add_type(module, &sequence_spec) < 0 || add_type(module, &replay_spec) < 0 ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, functions, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
