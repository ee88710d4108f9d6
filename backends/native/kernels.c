/* What does Python see? Kernels as functions, which are True where they could take their arguments, and sequences.
 *
 * call.h and calls.h say what a call is, list.h which there are, sequence.h how many are run in one go, replay.h how a
 * whole step is, device.h how one runs on a GPU; functions.h and bodies.h are arithmetic, the other headers are
 * kernels, a family each.
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

#define WITHIN(i, count) (i) /* an index that was checked; a GPU's was not, and is made one that there is */

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
#include "list.h"
#include "device.h"
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

/* -- every kernel -------------------------------------------------------------------------------------------------- */

#define FUNCTION(name, wanted, layout)                                                                                 \
    static PyObject *call_##name(PyObject *self, PyObject *const *objects, Py_ssize_t count)                           \
    {                                                                                                                  \
        return enter(take_##name, KERNEL_##name, wanted, objects, count);                                              \
    }
KERNELS(FUNCTION)

/* use(sgemm, dgemm, crew, threads, tiles=False): the addresses of a BLAS's functions, 0 for none, and whether to
 * multiply in tiles what they are as fast at. Whether products are. */
static PyObject *use(PyObject *self, PyObject *arguments)
{
    unsigned long long addresses[4];
    int tiles = 0;
    if (!PyArg_ParseTuple(arguments, "KKKK|p", addresses, addresses + 1, addresses + 2, addresses + 3, &tiles)) {
        return NULL;
    }
    gemm_float = (Sgemm)(uintptr_t)addresses[0];
    gemm_double = (Dgemm)(uintptr_t)addresses[1];
    crew = addresses[3] == 0 ? NULL : (Crew)(uintptr_t)addresses[2];
    threads = (Threads)(uintptr_t)addresses[3];
    return PyBool_FromLong(use_tiles(tiles));
}

#define ENTRY(name, wanted, layout) {#name, (PyCFunction)(void (*)(void))call_##name, METH_FASTCALL, NULL},
static PyMethodDef functions[] = {
    KERNELS(ENTRY)
    {"advance", (PyCFunction)(void (*)(void))advance, METH_FASTCALL, NULL},
    {"extent", extent, METH_O, NULL},
    {"set_rate", (PyCFunction)(void (*)(void))set_rate, METH_FASTCALL, NULL},
    {"use", use, METH_VARARGS, NULL},
    {"use_device", use_device, METH_VARARGS, NULL},
    {"device_kernels", device_kernels, METH_O, NULL},
    {"device_layout", device_layout, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
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
        {&name_values, "_values"},    {&name_rate, "learning_rate"}, {&name_data, "data"},
        {&name_ptr, "ptr"},           {&name_device_id, "device_id"}, {&name_shape, "shape"},
        {&name_dtype, "dtype"},       {&name_char, "char"},         {&name_flags, "flags"},
        {&name_whole, "c_contiguous"},
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
