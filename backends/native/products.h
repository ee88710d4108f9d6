/* How are matrices multiplied? By a BLAS that Python found; small and thin ones by loops, without its preparations. */

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112, SMALLEST = 1 << 10 };

typedef void (*Sgemm)(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                      float, float *, int64_t);
typedef void (*Dgemm)(int, int, int, int64_t, int64_t, int64_t, double, const double *, int64_t, const double *,
                      int64_t, double, double *, int64_t);

static Sgemm gemm_float = NULL;
static Dgemm gemm_double = NULL;

/* y (rows, columns) = a b over `inner`; a is (inner, rows) where it is transposed, b (columns, inner).
 *
 * A single row goes once through b, eight of its rows at a time, and a product over one sample is a table of products:
 * both are as fast as memory, where a BLAS would first arrange b anew.
 */
#define PRODUCTS(REAL, kind, gemm)                                                                                     \
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
    static void product_##kind(int a_turned, int b_turned, int64_t rows, int64_t columns, int64_t inner,               \
                               const REAL *a, const REAL *b, REAL *y)                                                  \
    {                                                                                                                  \
        if (inner == 1) {                                                                                              \
            table_##kind(rows, columns, a, b, y);                                                                      \
        } else if (rows == 1 && !b_turned) {                                                                           \
            row_##kind(columns, inner, a, b, y);                                                                       \
        } else if (rows * columns * inner > SMALLEST) {                                                                \
            gemm(ROW_MAJOR, a_turned ? TRANSPOSED : PLAIN, b_turned ? TRANSPOSED : PLAIN, rows, columns, inner, 1, a,  \
                 a_turned ? rows : inner, b, b_turned ? inner : columns, 0, y, columns);                               \
        } else {                                                                                                       \
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
        }                                                                                                              \
    }

PRODUCTS(float, float, gemm_float)
PRODUCTS(double, double, gemm_double)

static int can_multiply(const Given *given) { return given->type == 'f' ? gemm_float != NULL : gemm_double != NULL; }

/* product(a, b, y, a turned, b turned): y = a b, with either turned around. */
static int product_run_float(const Call *c)
{
    const int64_t *n = c->sizes;
    product_float((int)n[3], (int)n[4], n[0], n[1], n[2], c->arrays[0], c->arrays[1], c->arrays[2]);
    return 0;
}

static int product_run_double(const Call *c)
{
    const int64_t *n = c->sizes;
    product_double((int)n[3], (int)n[4], n[0], n[1], n[2], c->arrays[0], c->arrays[1], c->arrays[2]);
    return 0;
}

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
    call->length = rows * columns, call->work = inner;
    RUN(call, given, product_run);
    return 1;
}
