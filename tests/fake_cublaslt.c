/* What does cuBLASLt promise? Its entry points over host memory, by plain loops; written from NVIDIA's description.
 *
 * It refuses what the library may refuse: unknown attributes, sizes of another type, layouts that do not fit, pointers
 * that an algorithm does not allow, a workspace that is too small. The clock goes on by what an algorithm costs.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID = 7, FAILED = 13, UNSUPPORTED = 15 };
enum { DEFAULT = 1, BIAS = 4, BGRADA = 256 };
enum { MAGIC = 0x4c54, ALGORITHMS = 4, OPERATION = 11, LAYOUT = 12, PREFERENCE = 13, HANDLE = 14 };

typedef struct {
    int kind, compute, scale;
    int32_t turned[2];
    uint32_t epilogue;
    void *bias;
} Operation;

typedef struct {
    int kind, type;
    uint64_t rows, columns;
    int64_t leading, step;
    int32_t order, count;
} Layout;

typedef struct {
    int kind;
    uint64_t workspace;
    uint32_t alignment[4];
} Preference;

typedef struct {
    uint64_t data[8]; /* magic, number, workspace, alignment */
} Algorithm;

typedef struct {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} Found;

/* What tests set: */
int64_t fake_version = 120901;
int64_t fake_create = SUCCESS;                       /* how cublasLtCreate ends */
int64_t fake_cost[2][ALGORITHMS] = {{4, 3, 2, 1}, {4, 3, 2, 1}}; /* of each algorithm, without and with an epilogue */
int64_t fake_cost_of_odd = 0;                        /* more, where columns of 16 bits do not begin at whole 16 bytes */
int64_t fake_runs[ALGORITHMS] = {1, 1, 1, 1};        /* whether it does not fail when it is run */
int64_t fake_states[ALGORITHMS] = {0, 0, 0, 0};      /* what heuristics say of each */
int64_t fake_epilogue_types = 1;                     /* 1: for float alone; 3: for double, too; 0: for none */
int64_t fake_kinds = 31;                             /* which of KINDS there are, the first one's bit being 1 */
/* What they read: */
int64_t fake_clock = 0, fake_products = 0, fake_queries = 0, fake_made = 0, fake_preferences = 0;
int64_t fake_last = -1, fake_last_stream = -1, fake_last_workspace = 0, fake_last_size = 0, fake_with_bias = 0;
int64_t fake_bias_puts = 0, fake_with_sums = 0, fake_kind = -1, fake_odd = 0;

static int handle = HANDLE;

size_t cublasLtGetVersion(void) { return (size_t)fake_version; }

int cublasLtCreate(void **made)
{
    *made = fake_create == SUCCESS ? &handle : NULL;
    return (int)fake_create;
}

/* -- descriptors -------------------------------------------------------------------------------------------------- */

int cublasLtMatmulDescCreate(void **made, int compute, int scale)
{
    Operation *operation = calloc(1, sizeof *operation);
    operation->kind = OPERATION, operation->compute = compute, operation->scale = scale, operation->epilogue = 1;
    *made = operation;
    fake_made++;
    return SUCCESS;
}

static int put(void *place, size_t wanted, const void *value, size_t size)
{
    if (size != wanted || value == NULL) return INVALID;
    memcpy(place, value, size);
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(void *made, int attribute, const void *value, size_t size)
{
    Operation *operation = made;
    if (operation == NULL || operation->kind != OPERATION) return INVALID;
    switch (attribute) {
    case 3: return put(&operation->turned[0], 4, value, size);
    case 4: return put(&operation->turned[1], 4, value, size);
    case 7: return put(&operation->epilogue, 4, value, size);
    case 8: fake_bias_puts++; return put(&operation->bias, sizeof(void *), value, size);
    default: return INVALID;
    }
}

int cublasLtMatrixLayoutCreate(void **made, int type, uint64_t rows, uint64_t columns, int64_t leading)
{
    Layout *layout = calloc(1, sizeof *layout);
    layout->kind = LAYOUT, layout->type = type, layout->rows = rows, layout->columns = columns;
    layout->leading = leading, layout->count = 1;
    *made = layout;
    return SUCCESS;
}

int cublasLtMatrixLayoutSetAttribute(void *made, int attribute, const void *value, size_t size)
{
    Layout *layout = made;
    if (layout == NULL || layout->kind != LAYOUT) return INVALID;
    switch (attribute) {
    case 1: return put(&layout->order, 4, value, size);
    case 5: return put(&layout->count, 4, value, size);
    case 6: return put(&layout->step, 8, value, size);
    default: return INVALID;
    }
}

int cublasLtMatmulPreferenceCreate(void **made)
{
    Preference *preference = calloc(1, sizeof *preference);
    preference->kind = PREFERENCE;
    for (int i = 0; i < 4; i++) preference->alignment[i] = 256;
    *made = preference;
    fake_preferences++;
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(void *made)
{
    Preference *preference = made;
    if (preference == NULL || preference->kind != PREFERENCE) return INVALID;
    preference->kind = 0;
    free(preference);
    fake_preferences--;
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(void *made, int attribute, const void *value, size_t size)
{
    Preference *preference = made;
    if (preference == NULL || preference->kind != PREFERENCE) return INVALID;
    if (attribute == 1) return put(&preference->workspace, 8, value, size);
    return attribute >= 5 && attribute <= 8 ? put(&preference->alignment[attribute - 5], 4, value, size) : INVALID;
}

/* -- algorithms --------------------------------------------------------------------------------------------------- */

static const uint64_t NEEDS[ALGORITHMS] = {0, 1 << 20, 8 << 20, 0}; /* of workspace */
static const uint64_t ALIGNED[ALGORITHMS] = {4, 16, 16, 256};       /* of every matrix */

static uint64_t stored(const Layout *layout) { return layout->order == 0 ? layout->rows : layout->columns; }

/* Of operands, result (cudaDataType), sums (cublasComputeType_t). */
enum { SINGLE = 0, DOUBLE = 1, HALF = 2, BRAIN = 14 };
static const int KINDS[][3] = {{SINGLE, SINGLE, 68}, {DOUBLE, DOUBLE, 70}, {SINGLE, SINGLE, 77}, {BRAIN, SINGLE, 68},
                               {HALF, SINGLE, 68}};

/* Which kind of product it is; -1 for none. alpha and beta are of the result's type. */
static int kind_of(const Operation *o, const Layout *a, const Layout *b, const Layout *c, const Layout *d)
{
    for (int i = 0; i < 5; i++) {
        const int *kind = KINDS[i];
        if (a->type == kind[0] && b->type == kind[0] && c->type == kind[1] && d->type == kind[1] &&
            o->scale == kind[1] && o->compute == kind[2]) {
            return (fake_kinds >> i) & 1 ? i : -1;
        }
    }
    return -1;
}

/* Whether operation and layouts fit together. */
static int fits(const Operation *operation, const Layout *a, const Layout *b, const Layout *c, const Layout *d)
{
    const Layout *all[4] = {a, b, c, d};
    if (operation == NULL || operation->kind != OPERATION) return INVALID;
    for (int i = 0; i < 4; i++) {
        if (all[i] == NULL || all[i]->kind != LAYOUT || all[i]->rows == 0 || all[i]->columns == 0) return INVALID;
        if (all[i]->leading < (int64_t)stored(all[i]) || all[i]->count != d->count || all[i]->count < 1) return INVALID;
        if (all[i]->order < 0 || all[i]->order > 1) return UNSUPPORTED;
    }
    if (kind_of(operation, a, b, c, d) < 0) return UNSUPPORTED;
    uint64_t rows = operation->turned[0] ? a->columns : a->rows, inner = operation->turned[0] ? a->rows : a->columns;
    uint64_t columns = operation->turned[1] ? b->rows : b->columns;
    if (inner != (operation->turned[1] ? b->columns : b->rows)) return INVALID;
    if (rows != d->rows || columns != d->columns || rows != c->rows || columns != c->columns) return INVALID;
    if (d->count > 1 && d->step == 0) return INVALID;
    if (operation->epilogue == BIAS || operation->epilogue == BGRADA) {
        if (operation->bias == NULL) return INVALID;
        if (operation->epilogue == BGRADA && d->count > 1) return UNSUPPORTED;
        return (fake_epilogue_types >> operation->scale) & 1 ? SUCCESS : UNSUPPORTED;
    }
    return operation->epilogue == DEFAULT ? SUCCESS : UNSUPPORTED;
}

static void describe(Found *found, int number)
{
    memset(found, 0, sizeof *found);
    uint64_t data[4] = {MAGIC, (uint64_t)number, NEEDS[number], ALIGNED[number]};
    memcpy(found->algorithm.data, data, sizeof data);
    found->workspace = NEEDS[number];
    found->waves = 1;
}

int cublasLtMatmulAlgoGetHeuristic(void *given, void *operation, void *a, void *b, void *c, void *d, void *wanted,
                                   int most, Found *found, int *count)
{
    const Preference *preference = wanted;
    fake_queries++;
    *count = 0;
    if (given != &handle) return NOT_INITIALIZED;
    if (preference == NULL || preference->kind != PREFERENCE || most < 1) return INVALID;
    int status = fits(operation, a, b, c, d);
    if (status != SUCCESS) return status;
    for (int i = 0; i < ALGORITHMS && *count < most; i++) {
        int good = NEEDS[i] <= preference->workspace;
        for (int j = 0; j < 4; j++) good &= preference->alignment[j] >= ALIGNED[i];
        if (!good) continue;
        describe(&found[*count], i);
        found[(*count)++].state = (int)fake_states[i];
    }
    return *count ? SUCCESS : UNSUPPORTED;
}

int cublasLtMatmulAlgoCheck(void *given, void *operation, void *a, void *b, void *c, void *d,
                            const Algorithm *algorithm, Found *found)
{
    if (given != &handle) return NOT_INITIALIZED;
    int status = fits(operation, a, b, c, d);
    if (status != SUCCESS) return status;
    if (algorithm->data[0] != MAGIC || algorithm->data[1] >= ALGORITHMS) return INVALID;
    Found made;
    describe(&made, (int)algorithm->data[1]);
    found->workspace = made.workspace, found->state = SUCCESS, found->waves = made.waves;
    return SUCCESS; /* the algorithm is never written there */
}

/* -- the product -------------------------------------------------------------------------------------------------- */

static int64_t place(const Layout *layout, int64_t row, int64_t column)
{
    return layout->order == 0 ? column * layout->leading + row : row * layout->leading + column;
}

static int64_t size_of(int type) { return type == SINGLE ? 4 : type == DOUBLE ? 8 : 2; }

/* Number i of an array, whatever its type: all are floats or doubles. */
static double at(const void *array, int type, int64_t i)
{
    if (type == DOUBLE) return ((const double *)array)[i];
    if (type == SINGLE) return ((const float *)array)[i];
    const uint32_t bits = ((const uint16_t *)array)[i];
    uint32_t wide = bits << 16;
    if (type == HALF) {
        const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
        if (exponent == 0) return (bits >> 15 ? -1.0 : 1.0) * fraction / (1 << 24);
        wide = bits >> 15 << 31 | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    }
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

/* What tensor cores read of a float that is to be one of tf32: nobody may lose bits there. */
static int fits_tf32(double value)
{
    uint32_t bits;
    const float single = (float)value;
    memcpy(&bits, &single, 4);
    return value != value || (bits & 0x1fff) == 0;
}

#define PRODUCT(REAL)                                                                                                  \
    static int product_##REAL(const Operation *o, REAL alpha, const void *a, const Layout *la, const void *b,          \
                              const Layout *lb, REAL beta, const REAL *c, const Layout *lc, REAL *d, const Layout *ld)  \
    {                                                                                                                  \
        int64_t inner = (int64_t)(o->turned[0] ? la->rows : la->columns);                                              \
        for (int64_t i = 0; i < (int64_t)ld->rows; i++) {                                                              \
            REAL row = 0;                                                                                              \
            for (int64_t j = 0; j < (int64_t)ld->columns; j++) {                                                       \
                REAL sum = 0;                                                                                          \
                for (int64_t k = 0; k < inner; k++) {                                                                  \
                    REAL one = (REAL)at(a, la->type, o->turned[0] ? place(la, k, i) : place(la, i, k));                \
                    REAL two = (REAL)at(b, lb->type, o->turned[1] ? place(lb, j, k) : place(lb, k, j));                \
                    if (o->compute == 77 && !(fits_tf32(one) && fits_tf32(two))) return INVALID;                       \
                    sum += one * two;                                                                                  \
                    row += j == 0 ? one : 0;                                                                           \
                }                                                                                                      \
                sum *= alpha;                                                                                          \
                if (beta != 0) sum += beta * c[place(lc, i, j)];                                                       \
                if (o->epilogue == BIAS) sum += ((const REAL *)o->bias)[i];                                            \
                d[place(ld, i, j)] = sum;                                                                              \
            }                                                                                                          \
            if (o->epilogue == BGRADA) ((REAL *)o->bias)[i] = row;                                                     \
        }                                                                                                              \
        return SUCCESS;                                                                                                \
    }

PRODUCT(float)
PRODUCT(double)

/* Whether a matrix of 16-bit numbers, or the result beside such, has columns that begin anywhere. */
static int odd(const Layout *layout) { return layout->leading * size_of(layout->type) % 16 != 0; }

int cublasLtMatmul(void *given, void *made, const void *alpha, const void *a, void *la, const void *b, void *lb,
                   const void *beta, const void *c, void *lc, void *d, void *ld, const Algorithm *algorithm,
                   void *workspace, size_t size, void *stream)
{
    const Operation *o = made;
    const Layout *A = la, *B = lb, *C = lc, *D = ld;
    if (given != &handle) return NOT_INITIALIZED;
    int status = fits(o, A, B, C, D);
    if (status != SUCCESS) return status;
    if (algorithm == NULL || algorithm->data[0] != MAGIC || algorithm->data[1] >= ALGORITHMS) return INVALID;
    int number = (int)algorithm->data[1];
    if (size < NEEDS[number] || (NEEDS[number] && workspace == NULL)) return INVALID;
    uintptr_t places = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d;
    if (places == 0 || places % ALIGNED[number]) return UNSUPPORTED;
    if (!fake_runs[number]) return FAILED;
    if (NEEDS[number]) memset(workspace, 0x7f, NEEDS[number]);
    for (int32_t i = 0; i < D->count && status == SUCCESS; i++) {
        const char *one = (const char *)a + i * A->step * size_of(A->type);
        const char *two = (const char *)b + i * B->step * size_of(B->type);
        const char *three = (const char *)c + i * C->step * size_of(C->type);
        char *four = (char *)d + i * D->step * size_of(D->type);
        if (o->scale == SINGLE) {
            status = product_float(o, *(const float *)alpha, one, A, two, B, *(const float *)beta, (const void *)three,
                                   C, (void *)four, D);
        } else {
            status = product_double(o, *(const double *)alpha, one, A, two, B, *(const double *)beta,
                                    (const void *)three, C, (void *)four, D);
        }
    }
    fake_products++;
    fake_kind = kind_of(o, A, B, C, D);
    fake_odd = fake_kind > 1 && (odd(A) || odd(B) || odd(D));
    fake_clock += fake_cost[o->epilogue != DEFAULT][number] + (fake_odd ? fake_cost_of_odd : 0);
    fake_last = number, fake_last_stream = (int64_t)(intptr_t)stream;
    fake_with_bias = o->epilogue == BIAS, fake_with_sums = o->epilogue == BGRADA;
    fake_last_workspace = (int64_t)(intptr_t)workspace, fake_last_size = (int64_t)size;
    return status;
}
