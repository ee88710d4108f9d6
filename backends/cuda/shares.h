/* Which share of a call is a thread's? An element, the cell of a matrix, a part of a row or of a column.
 *
 * Threads that share a row or a column exchange what they found: in pairs within a warp, then through shared memory.
 * All that sums up adds in pieces of PIECE numbers, whose rounding errors grow slower than those of one long sum.
 */

enum { PIECE = 32 };

#define EACH_OF_ALL(i, count)                                                                                          \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, step_ = (int64_t)gridDim.x * blockDim.x;          \
         i < (count); i += step_)

/* -- cells of a matrix --------------------------------------------------------------------------------------------- */

struct Cell {
    int64_t row, column;
};

/* The cell with this number; by a division of 32 bits where that does, the longer one takes many times as long. */
INLINE Cell cell_of(int64_t number, int64_t columns)
{
    Cell cell;
    if (((uint64_t)number | (uint64_t)columns) >> 32 == 0) {
        const uint32_t row = (uint32_t)number / (uint32_t)columns;
        cell.row = row, cell.column = (uint32_t)number - row * (uint32_t)columns;
    } else {
        cell.row = number / columns, cell.column = number - cell.row * columns;
    }
    return cell;
}

/* The call of one cell, as if the matrix had no other. Of its arrays a letter each: m is a matrix, r one row, c one
 * column, u a column or a number for all (sizes[0] is 1), w a row that the cells of the first row write. */
template <typename T, int COUNT>
static __device__ __forceinline__ Call call_of(const Call *c, const char (&letters)[COUNT], Cell at, int64_t columns)
{
    Call part = *c;
#pragma unroll
    for (int k = 0; k < COUNT - 1; k++) {
        const int64_t place = letters[k] == 'm'                          ? at.row * columns + at.column
                              : letters[k] == 'r' || letters[k] == 'w'   ? at.column
                              : letters[k] == 'c' || c->sizes[0] != 1    ? at.row
                                                                         : 0;
        T *const array = c->arrays[k];
        part.arrays[k].address = array == NULL || (letters[k] == 'w' && at.row != 0) ? NULL : array + place;
    }
    return part;
}

/* Run a range on each cell; `one` and `other` say which sizes are its rows' and columns'. */
#define ON_EACH_CELL(kernel, T, letters, rows, columns, one, other)                                                    \
    EACH_OF_ALL(number, (rows) * (columns)) {                                                                          \
        Call part = call_of<T>(c, letters, cell_of(number, columns), columns);                                         \
        part.sizes[one] = part.sizes[other] = 1;                                                                       \
        kernel(&part, 0, 1);                                                                                           \
    }

/* -- rows ---------------------------------------------------------------------------------------------------------- */

/* A thread among those that share a row, and which of its warp these are. */
struct Lanes {
    int lane, count;
    unsigned members;
};

INLINE Lanes lanes_of(int count)
{
    Lanes l;
    l.count = count;
    l.lane = (int)threadIdx.x % count;
    l.members = count >= 32 ? 0xFFFFFFFFu : ((1u << count) - 1) << ((int)threadIdx.x % 32 - l.lane);
    return l;
}

#define ON_EACH_ROW(kernel, columns)                                                                                   \
    const Lanes l = lanes_of(threads_of_row(columns));                                                                 \
    const int64_t together = blockDim.x / l.count, all_ = together * gridDim.x;                                        \
    for (int64_t i = together * blockIdx.x + threadIdx.x / l.count; i < c->length; i += all_) kernel(c, i, l);

#define EACH_OF_ROW(j, count_of_row) for (int64_t j = l.lane; j < (count_of_row); j += l.count)

/* What all threads of a row found, as one; each gets it. */
template <typename T, typename Combine>
static __device__ __forceinline__ T combined(const Lanes &l, T value, Combine combine)
{
    for (int step = (l.count < 32 ? l.count : 32) / 2; step > 0; step /= 2) {
        value = combine(value, __shfl_xor_sync(l.members, value, step));
    }
    if (l.count <= 32) return value;
    __shared__ T warps[32];
    if (l.lane % 32 == 0) warps[l.lane / 32] = value;
    __syncthreads();
    value = warps[0];
    for (int k = 1; k < l.count / 32; k++) value = combine(value, warps[k]);
    __syncthreads(); /* before the next one writes */
    return value;
}

template <typename T> struct Adds {
    __device__ T operator()(T a, T b) const { return a + b; }
};
template <typename T> struct Larger {
    __device__ T operator()(T a, T b) const { return b > a ? b : a; }
};

/* The sum of term(first), term(first + step) ... below count. */
template <typename T, typename Term>
static __device__ __forceinline__ T sum_of_terms(int64_t first, int64_t step, int64_t count, Term term)
{
    T sum = 0;
    for (int64_t start = first; start < count; start += PIECE * step) {
        const int64_t end = count - start < PIECE * step ? count : start + PIECE * step;
        T part = 0;
        for (int64_t i = start; i < end; i += step) part += term(i);
        sum += part;
    }
    return sum;
}

template <typename T, typename Term>
static __device__ __forceinline__ T sum_of_row(const Lanes &l, int64_t count, Term term)
{
    return combined(l, sum_of_terms<T>(l.lane, l.count, count, term), Adds<T>());
}

/* The largest of a row; where there is a NaN, any number. */
template <typename T> static __device__ __forceinline__ T largest_of_row(const Lanes &l, const T *x, int64_t count)
{
    T largest = -(T)INFINITY;
    EACH_OF_ROW(j, count) largest = x[j] > largest ? x[j] : largest;
    return combined(l, largest, Larger<T>());
}

/* -- columns ------------------------------------------------------------------------------------------------------- */

/* A thread's column, and which of its rows: slice, slice + slices, ... Where the block is wider than the matrix there
 * is no such column, and the thread has to be there all the same when the block's threads meet. */
struct Column {
    int64_t j;
    int slice, slices, together, inside;
};

#define ON_EACH_COLUMN(kernel, columns)                                                                                \
    Column at;                                                                                                         \
    at.together = columns_of_block(columns), at.slices = COLUMN_BLOCK / at.together;                                   \
    at.slice = (int)threadIdx.x / at.together;                                                                         \
    const int64_t step_ = (int64_t)gridDim.x * at.together;                                                            \
    for (int64_t start = (int64_t)blockIdx.x * at.together; start < (columns); start += step_) {                       \
        at.j = start + (int)threadIdx.x % at.together, at.inside = at.j < (columns);                                   \
        kernel(c, at);                                                                                                 \
    }

#define EACH_OF_COLUMN(i, rows) for (int64_t i = at.inside ? at.slice : (rows); i < (rows); i += at.slices)

/* What all threads of a column found, added; each gets it. */
template <typename T> static __device__ __forceinline__ T sum_of_slices(const Column &at, T value)
{
    __shared__ T slices[COLUMN_BLOCK];
    const int place = (int)threadIdx.x;
    slices[place] = value;
    __syncthreads();
    for (int step = COLUMN_BLOCK / 2; step >= at.together; step /= 2) {
        if (place < step) slices[place] += slices[place + step];
        __syncthreads();
    }
    value = slices[place % at.together];
    __syncthreads(); /* before the next one writes */
    return value;
}

template <typename T, typename Term>
static __device__ __forceinline__ T sum_of_column(const Column &at, int64_t rows, Term term)
{
    return sum_of_slices(at, at.inside ? sum_of_terms<T>(at.slice, at.slices, rows, term) : (T)0);
}
