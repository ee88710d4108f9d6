/* How are matrices multiplied? Thin ones by loops, others in tiles, or by a BLAS that Python found. */

#include "tilings.h"

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

/* Multiplications: up to which loops are as fast as tiles, or as a BLAS; up to which tiles are as fast as a BLAS; of a
 * part that another thread is given. */
enum { TINY = 1 << 7, SMALL = 1 << 10, LARGE = 1 << 28, LEAST_SHARED = 1 << 19 };

typedef void (*Sgemm)(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                      float, float *, int64_t);
typedef void (*Dgemm)(int, int, int, int64_t, int64_t, int64_t, double, const double *, int64_t, const double *,
                      int64_t, double, double *, int64_t);

static Sgemm gemm_float = NULL;
static Dgemm gemm_double = NULL;

/* Whether tiles are as fast as a BLAS, or faster. Few columns fill them badly, which only counts where one thread
 * computes and b lies well for a BLAS; and a BLAS arranges a anew, too, which pays in large products. */
static int fits_tiles(const Call *c, const Tiling *tiling)
{
    const int64_t work = c->length * c->work;
    if (tiling == NULL) return 0;
    return 2 * c->sizes[1] > tiling->columns ? work <= LARGE : c->sizes[4] || work >= LEAST_SHARED;
}

/* y = a b in tiles, by as many threads as it is worth, in the grid whose largest part is the smallest. */
static void run_tiles(const Call *c, const Tiling *tiling)
{
    const int64_t tall = (c->sizes[0] + tiling->rows - 1) / tiling->rows;
    const int64_t broad = (c->sizes[1] + tiling->columns - 1) / tiling->columns;
    int64_t count = crew == NULL ? 1 : c->length * c->work / LEAST_SHARED, down = 1;
    if (count > 1) {
        const int64_t most = threads() < MOST_THREADS ? threads() : MOST_THREADS;
        count = count < most ? count : most;
    }
    Call shared = *c;
    shared.range = tiling->range;
    shared.words[0] = shared.words[1] = 1;
    if (count < 2) {
        shared.range(&shared, 0, 1);
        return;
    }
    double least = 0;
    for (int64_t rows = 1; rows <= count; rows++) {
        if (count % rows != 0) continue;
        const int64_t high = (tall + rows - 1) / rows, wide = (broad + count / rows - 1) / (count / rows);
        const double cost = (double)wide * ((double)high + (c->sizes[4] ? 1 : 0.5)); /* each part gathers its b */
        if (rows == 1 || cost < least) least = cost, down = rows;
    }
    shared.words[0] = (uint64_t)down, shared.words[1] = (uint64_t)(count / down);
    Part parts[MOST_THREADS];
    for (int64_t i = 0; i < count; i++) parts[i] = (Part){&shared, i, i + 1};
    crew((int)count, (void *)run_part, parts, sizeof(Part));
}

/* y (rows, columns) = a b over `inner`; a is (inner, rows) where it is transposed, b (columns, inner).
 *
 * A single row goes once through b, eight of its rows at a time, and a product over one sample is a table of products:
 * both are as fast as memory, where a BLAS would first arrange b anew.
 */
#define PRODUCTS(REAL, kind)                                                                                           \
    CLONED void row_##kind(int64_t columns, int64_t inner, const REAL *restrict a, const REAL *restrict b,             \
                           REAL *restrict y)                                                                           \
    {                                                                                                                  \
        for (int64_t j = 0; j < columns; j++) y[j] = 0;                                                                \
        int64_t k = 0;                                                                                                 \
        for (; k + 8 <= inner; k += 8) {                                                                               \
            const REAL *p = b + k * columns, *q = p + 4 * columns;                                                     \
            for (int64_t j = 0; j < columns; j++) {                                                                    \
                REAL first = (a[k] * p[j] + a[k + 1] * p[columns + j]) +                                               \
                             (a[k + 2] * p[2 * columns + j] + a[k + 3] * p[3 * columns + j]);                          \
                REAL second = (a[k + 4] * q[j] + a[k + 5] * q[columns + j]) +                                          \
                              (a[k + 6] * q[2 * columns + j] + a[k + 7] * q[3 * columns + j]);                         \
                y[j] += first + second;                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        for (; k < inner; k++) {                                                                                       \
            for (int64_t j = 0; j < columns; j++) y[j] += a[k] * b[k * columns + j];                                   \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    CLONED void table_##kind(int64_t rows, int64_t columns, const REAL *restrict a, const REAL *restrict b,            \
                             REAL *restrict y)                                                                         \
    {                                                                                                                  \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            for (int64_t j = 0; j < columns; j++) y[i * columns + j] = a[i] * b[j];                                    \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    /* product(a, b, y, a turned, b turned): y = a b, with either turned around. */                                    \
    static int product_run_##kind(const Call *c)                                                                       \
    {                                                                                                                  \
        const int64_t rows = c->sizes[0], columns = c->sizes[1], inner = c->sizes[2];                                  \
        const int a_turned = (int)c->sizes[3], b_turned = (int)c->sizes[4];                                            \
        const REAL *a = c->arrays[0], *b = c->arrays[1];                                                               \
        REAL *y = c->arrays[2];                                                                                        \
        if (inner == 1) {                                                                                              \
            table_##kind(rows, columns, a, b, y);                                                                      \
        } else if (rows == 1 && !b_turned && tiling_##kind != NULL && 2 * columns >= tiling_##kind->columns) {         \
            tiling_##kind->row(c);                                                                                     \
        } else if (rows == 1 && !b_turned) {                                                                           \
            row_##kind(columns, inner, a, b, y);                                                                       \
        } else if (rows * columns * inner <= (tiling_##kind != NULL ? TINY : SMALL)) {                                 \
            for (int64_t i = 0; i < rows; i++) {                                                                       \
                for (int64_t j = 0; j < columns; j++) {                                                                \
                    REAL sum = 0;                                                                                      \
                    for (int64_t k = 0; k < inner; k++) {                                                              \
                        sum += a[a_turned ? k * rows + i : i * inner + k] *                                            \
                               b[b_turned ? j * inner + k : k * columns + j];                                          \
                    }                                                                                                  \
                    y[i * columns + j] = sum;                                                                          \
                }                                                                                                      \
            }                                                                                                          \
        } else if (fits_tiles(c, tiling_##kind)) {                                                                     \
            run_tiles(c, tiling_##kind);                                                                               \
        } else {                                                                                                       \
            gemm_##kind(ROW_MAJOR, a_turned ? TRANSPOSED : PLAIN, b_turned ? TRANSPOSED : PLAIN, rows, columns, inner, \
                        1, a, a_turned ? rows : inner, b, b_turned ? inner : columns, 0, y, columns);                  \
        }                                                                                                              \
        return 0;                                                                                                      \
    }

PRODUCTS(float, float)
PRODUCTS(double, double)

static int can_multiply(const Given *given) { return given->type == 'f' ? gemm_float != NULL : gemm_double != NULL; }

static int take_product(PyObject *const *objects, Given *given, Call *call)
{
    int64_t rows = -1, columns = -1, inner = -1;
    uint64_t a_turned, b_turned;
    if (!word(objects[3], &a_turned) || !word(objects[4], &b_turned)) return 0;
    int64_t *n = call->sizes;
    call->arrays[2] = matrix(given, objects[2], 1, &rows, &columns);
    if (call->arrays[2] == NULL) return 0;
    int64_t *first = a_turned ? &inner : &rows, *second = a_turned ? &rows : &inner;
    call->arrays[0] = matrix(given, objects[0], 0, first, second);
    if (call->arrays[0] == NULL) return 0;
    first = b_turned ? &columns : &inner, second = b_turned ? &inner : &columns;
    call->arrays[1] = matrix(given, objects[1], 0, first, second);
    if (call->arrays[1] == NULL || !can_multiply(given)) return 0;
    n[0] = rows, n[1] = columns, n[2] = inner, n[3] = (int64_t)a_turned, n[4] = (int64_t)b_turned;
    call->length = rows, call->work = columns * inner;
    RUN(call, given, product_run);
    return 1;
}
