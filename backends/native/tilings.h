/* On which processors are matrices multiplied in tiles, and how large are these? On x86-64 with vectors of 64 bytes, of
 * which 32 fit into registers; with narrower ones a BLAS is as fast.
 */

typedef struct {
    void (*range)(const Call *, int64_t, int64_t); /* cells of a grid on y: words[0] down, words[1] across */
    void (*row)(const Call *);                     /* the whole of y, where it is one row of half a tile or more */
    int64_t rows, columns;                         /* of a tile */
} Tiling;

static const Tiling *tiling_float = NULL, *tiling_double = NULL; /* NULL: the BLAS multiplies */

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_TILES

enum { ROWS = 8, VECTORS = 2, SUMS = ROWS * VECTORS }; /* of a tile; what they are made of has the other registers */
enum { FEW_ROWS = 64 };         /* of a, for which b's rows are read where they lie, instead of being gathered */
enum { DEEPEST_BYTES = 1600 };  /* of a piece of the inner axis */
enum { WIDEST = 256 };          /* columns of b that are gathered at once: 400 kB, which the second cache holds */
static THREAD_LOCAL char near_memory[DEEPEST_BYTES * WIDEST] __attribute__((aligned(64)));

/* Where part number `part` of `parts` starts, in whole tiles. */
INLINE int64_t start_of(int64_t part, int64_t parts, int64_t length, int64_t tile)
{
    const int64_t start = (length + tile - 1) / tile * part / parts * tile;
    return start < length ? start : length;
}

/* A product need only agree to rounding: a multiplication and an addition may become one instruction. */
#ifdef __clang__
#define TILED __attribute__((target("avx512f")))
#define MAY_CONTRACT _Pragma("clang fp contract(fast)")
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TILED __attribute__((target("avx512f"), optimize("fp-contract=fast")))
#define MAY_CONTRACT
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, (NAME(order)){__VA_ARGS__})
#endif

#define NAME(name) name##_float
#define REAL float
#define WHOLE int32_t
#define LANES 16
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define LAST_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#include "tiles.h"
#undef NAME
#undef REAL
#undef WHOLE
#undef LANES
#undef FIRST_HALVES
#undef LAST_HALVES

#define NAME(name) name##_double
#define REAL double
#define WHOLE int64_t
#define LANES 8
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define LAST_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#include "tiles.h"
#undef NAME
#undef REAL
#undef WHOLE
#undef LANES
#undef FIRST_HALVES
#undef LAST_HALVES
#endif

/* Multiply in tiles where this is wanted and the processor can: whether it does. */
static int use_tiles(int wanted)
{
    tiling_float = tiling_double = NULL;
#ifdef HAS_TILES
    __builtin_cpu_init();
    if (wanted && __builtin_cpu_supports("avx512f")) {
        static const Tiling of_floats = {tiles_float, row_tiles_float, ROWS, 16 * VECTORS};
        static const Tiling of_doubles = {tiles_double, row_tiles_double, ROWS, 8 * VECTORS};
        tiling_float = &of_floats, tiling_double = &of_doubles;
    }
#endif
    return tiling_float != NULL;
}
