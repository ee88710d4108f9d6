/* What does a GPU run? The kernels of backends/native, each thread on its share of a call; list.h says which there are.
 *
 * Compiled by NVRTC, which knows no standard headers, without contraction and without fast arithmetic: an element has
 * the bits that a CPU gives it. A Call comes by value, laid out as by the host: the assertions below see to it.
 */

#define ON_DEVICE

#ifdef __CUDACC_RTC__
typedef signed int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
#define INFINITY __int_as_float(0x7F800000)
#define NAN __int_as_float(0x7FFFFFFF)
#define OFFSET(type, part) ((size_t)__INTADDR__(&((type *)0)->part)) /* NVRTC's compiler has it in place of offsetof */
#else
#define OFFSET(type, part) __builtin_offsetof(type, part)
#endif
#ifndef NULL
#define NULL nullptr
#endif

#define INLINE static __device__ __forceinline__
#define CLONED static __device__ __forceinline__
#define INDEPENDENT
#define WITHIN(i, count) ((i) < 0 ? 0 : (i) < (count) ? (i) : (count) - 1)
#define restrict __restrict__

/* Where an array is: as a void pointer in C, it becomes a pointer of any type by itself. */
struct Place {
    void *address;
    template <typename T> __device__ operator T *() const { return static_cast<T *>(address); }
};
#define PLACE Place

#include "call.h"
#include "functions.h"
#include "list.h"
#include "logarithms.h"
#include "shares.h"

static_assert(sizeof(Call) == SIZE_OF_CALL && sizeof(Number) == SIZE_OF_NUMBER, "a Call is as large as the host's");
static_assert(OFFSET(Call, length) == AT_LENGTH, "the length is where the host puts it");
static_assert(OFFSET(Call, arrays) == AT_ARRAYS, "the arrays are where the host puts them");
static_assert(OFFSET(Call, sizes) == AT_SIZES, "the sizes are where the host puts them");
static_assert(OFFSET(Call, numbers) == AT_NUMBERS, "the numbers are where the host puts them");
static_assert(OFFSET(Call, words) == AT_WORDS, "the words are where the host puts them");
static_assert(OFFSET(Number, place) == AT_PLACE, "a number's place is where the host puts it");
static_assert(OFFSET(Number, type) == AT_TYPE, "a number's type is where the host puts it");

#ifndef ONLY_DOUBLE
#define REAL float
#define SQRT sqrtf
#define LOG logf
#define NAME(kernel) kernel##_float
#include "every.h"
#include "rows.h"
#include "columns.h"
#include "whole.h"
#undef REAL
#undef SQRT
#undef LOG
#undef NAME
#endif

#ifndef ONLY_FLOAT
#define REAL double
#define SQRT sqrt
#define LOG log
#define NAME(kernel) kernel##_double
#include "every.h"
#include "rows.h"
#include "columns.h"
#include "whole.h"
#undef REAL
#undef SQRT
#undef LOG
#undef NAME
#endif

#include "gather.h"
#include "masks.h"
#include "rounding.h"
#include "cells.h"

/* -- a kernel for each of the list, by how its work is shared ------------------------------------------------------ */

#define LAUNCH(kernel, threads, BODY)                                                                                  \
    extern "C" __global__ void __launch_bounds__(threads) launch_##kernel(const __grid_constant__ Call call)           \
    {                                                                                                                  \
        const Call *const c = &call;                                                                                   \
        BODY                                                                                                           \
    }
#ifdef ONLY_DOUBLE
#define IF_FLOAT(code)
#else
#define IF_FLOAT(code) code
#endif
#ifdef ONLY_FLOAT
#define IF_DOUBLE(code)
#else
#define IF_DOUBLE(code) code
#endif
#define OF_TYPES(KERNEL, name) IF_FLOAT(KERNEL(name##_float, float)) IF_DOUBLE(KERNEL(name##_double, double))
#define OF_NO_TYPE(name, threads, BODY) IF_FLOAT(LAUNCH(name, threads, BODY))

#define LAUNCH_HOST(name)

#define ON_ELEMENTS(kernel, T) LAUNCH(kernel, 256, EACH_OF_ALL(i, c->length) kernel(c, i, i + 1);)
#define LAUNCH_ELEMENTS(name) OF_TYPES(ON_ELEMENTS, name)

#define ON_PACKS(kernel, T, letters)                                                                                   \
    LAUNCH(kernel, 256, on_packs<T>(c, letters, kernel);)
#define LAUNCH_PACKS_AS(name, letters)                                                                                 \
    IF_FLOAT(ON_PACKS(name##_float, float, letters)) IF_DOUBLE(ON_PACKS(name##_double, double, letters))
#define LAUNCH_PACKS(name) LAUNCH_PACKS_AS(name, PACKS_OF_##name)
#define LAUNCH_MAP(name) LAUNCH_PACKS_AS(name, "io")
#define LAUNCH_MAP_2(name) LAUNCH_PACKS_AS(name, "iio")

#define ON_CELLS_0(kernel, T) LAUNCH(kernel, 256, ON_EACH_CELL(kernel, T, "mrm", c->length, c->sizes[0], 0, 0))
#define ON_CELLS_1(kernel, T)                                                                                          \
    LAUNCH(kernel, 256, ON_EACH_CELL(kernel, T, CELLS_OF_##kernel, c->length, c->sizes[1], 1, 1))
#define ON_CELLS(kernel, T)                                                                                            \
    LAUNCH(kernel, 256, ON_EACH_CELL(kernel, T, CELLS_OF_##kernel, c->sizes[0], c->sizes[1], 0, 1))
#define LAUNCH_CELLS_0(name) OF_TYPES(ON_CELLS_0, name)
#define LAUNCH_CELLS_1(name) OF_TYPES(ON_CELLS_1, name)
#define LAUNCH_CELLS(name) OF_TYPES(ON_CELLS, name)

#define AS(kernel, mode)                                                                                               \
    [](Call *c, int64_t first, int64_t last) {                                                                         \
        c->sizes[0] = mode;                                                                                            \
        kernel(c, first, last);                                                                                        \
    }
#define ON_BINARY(kernel, T)                                                                                           \
    LAUNCH(kernel, 256, switch (c->sizes[0]) {                                                                         \
        case ONE_ROW: { ON_EACH_CELL(kernel, T, "mrm", c->length, c->sizes[1], 1, 1) } break;                          \
        case ALIKE: on_packs<T>(c, "iio", AS(kernel, ALIKE)); break;                                                   \
        case RIGHT_NUMBER: on_packs<T>(c, "i-o", AS(kernel, RIGHT_NUMBER)); break;                                     \
        case LEFT_NUMBER: on_packs<T>(c, "-io", AS(kernel, LEFT_NUMBER)); break;                                       \
        default: EACH_OF_ALL(i, c->length) kernel(c, i, i + 1);                                                        \
    })
#define LAUNCH_BINARY(name) OF_TYPES(ON_BINARY, name)

#define ON_ROWS_0(kernel, T) LAUNCH(kernel, ROW_BLOCK, ON_EACH_ROW(kernel, c->sizes[0]))
#define ON_ROWS_1(kernel, T) LAUNCH(kernel, ROW_BLOCK, ON_EACH_ROW(kernel, c->sizes[1]))
#define LAUNCH_ROWS_0(name) OF_TYPES(ON_ROWS_0, name)
#define LAUNCH_ROWS_1(name) OF_TYPES(ON_ROWS_1, name)

#define ON_COLUMNS(kernel, T) LAUNCH(kernel, COLUMN_BLOCK, ON_EACH_COLUMN(kernel, c->sizes[1]))
#define LAUNCH_COLUMNS(name) OF_TYPES(ON_COLUMNS, name)

#define ON_WHOLE(kernel, T) LAUNCH(kernel, WHOLE_BLOCK, kernel(c);)
#define LAUNCH_WHOLE(name) OF_TYPES(ON_WHOLE, name)

#define LAUNCH_MASK(name) OF_NO_TYPE(name, 256, EACH_OF_ALL(i, (c->sizes[0] + 3) / 4) keep_range(c, i, i + 1);)
#define LAUNCH_GATHER(name) OF_NO_TYPE(name, 256, gather_cells(c);)
#define LAUNCH_FLOATS(name) OF_NO_TYPE(name, 256, EACH_OF_ALL(i, c->length) name(c, i, i + 1);)
#define LAUNCH_ONCE(name) OF_NO_TYPE(name, 1, name##_once(c);)

#define LAUNCH_BY_LAYOUT(name, wanted, layout) LAUNCH_##layout(name)
KERNELS(LAUNCH_BY_LAYOUT)
