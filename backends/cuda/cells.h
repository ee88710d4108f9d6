/* Which arrays of a call are matrices, and which are rows of one? How does a thread gather, and count? */

#define CELLS_OF_squared_error_gradient_float "ummmm"
#define CELLS_OF_triplet_gradient_float "ucmmmmmm"
#define CELLS_OF_batch_norm_evaluation_float "mrrmmrrw"
#define CELLS_OF_batch_norm_evaluation_gradient_float "mrrm"
#define CELLS_OF_squared_error_gradient_double CELLS_OF_squared_error_gradient_float
#define CELLS_OF_triplet_gradient_double CELLS_OF_triplet_gradient_float
#define CELLS_OF_batch_norm_evaluation_double CELLS_OF_batch_norm_evaluation_float
#define CELLS_OF_batch_norm_evaluation_gradient_double CELLS_OF_batch_norm_evaluation_gradient_float

struct alignas(16) Sixteen {
    uint64_t one, other;
};

/* y = x[rows] in pieces of T; `size` of them are a row. */
template <typename T> static __device__ __forceinline__ void gather_as(const Call *c, int64_t size)
{
    const T *x = c->arrays[0];
    T *y = c->arrays[2];
    EACH_OF_ALL(number, c->length * size) {
        const Cell at = cell_of(number, size);
        y[number] = x[row_of(c, at.row) * size + at.column];
    }
}

/* The same of bytes that become real numbers. */
template <typename T> static __device__ __forceinline__ void widen(const Call *c)
{
    const int64_t size = c->sizes[0];
    const unsigned char *x = c->arrays[0];
    T *y = c->arrays[2];
    EACH_OF_ALL(number, c->length * size) {
        const Cell at = cell_of(number, size);
        y[number] = (T)x[row_of(c, at.row) * size + at.column];
    }
}

INLINE void gather_cells(const Call *c)
{
    const int64_t size = c->sizes[0];
    if (c->sizes[2] == sizeof(float)) return widen<float>(c);
    if (c->sizes[2] == sizeof(double)) return widen<double>(c);
    switch (bytes_together((uintptr_t)c->arrays[0].address, (uintptr_t)c->arrays[2].address, size)) {
    case 16: return gather_as<Sixteen>(c, size / 16);
    case 8: return gather_as<uint64_t>(c, size / 8);
    case 4: return gather_as<uint32_t>(c, size / 4);
    default: return gather_as<unsigned char>(c, size);
    }
}

INLINE void count_once(const Call *c)
{
    uint64_t *counter = c->arrays[0];
    ++*counter;
}
