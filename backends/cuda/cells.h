/* Which arrays of a call are matrices, rows of one, or read and written 16 bytes at once? How does a thread gather? */

#define CELLS_OF_squared_error_gradient_float "ummmm"
#define CELLS_OF_triplet_gradient_float "ucmmmmmm"
#define CELLS_OF_batch_norm_evaluation_float "mrrmmrrw"
#define CELLS_OF_batch_norm_evaluation_gradient_float "mrrm"
#define CELLS_OF_squared_error_gradient_double CELLS_OF_squared_error_gradient_float
#define CELLS_OF_triplet_gradient_double CELLS_OF_triplet_gradient_float
#define CELLS_OF_batch_norm_evaluation_double CELLS_OF_batch_norm_evaluation_float
#define CELLS_OF_batch_norm_evaluation_gradient_double CELLS_OF_batch_norm_evaluation_gradient_float

/* -- packs --------------------------------------------------------------------------------------------------------- */

/* Of the arrays a letter each: i is read, o written, b both; ? is both where it is there; y has bytes, and is read. */
#define PACKS_OF_sgd "bi?"
#define PACKS_OF_adagrad "bib"
#define PACKS_OF_rmsprop "bib?"
#define PACKS_OF_adam "bibb"
#define PACKS_OF_nadam "bibb"
#define PACKS_OF_lion "bib"
#define PACKS_OF_masked "iyo"
#define PACKS_OF_move_average "ib"
#define PACKS_OF_scale_by_norm "b"
#define PACKS_OF_clip_by_value "b"
#define PACKS_OF_fill "o"

/* What 16 bytes are of one array, and as many elements of an array of bytes. */
template <typename T> struct alignas(16) Pack {
    enum { WIDE = 16 / sizeof(T) };
    T one[WIDE];
};
template <typename T> struct alignas(Pack<T>::WIDE) Bytes {
    unsigned char one[Pack<T>::WIDE];
};

/* Read pack number `place` of the arrays, run a range on its elements, and write it. */
template <typename T, bool WHOLE, int COUNT, typename Range>
static __device__ __forceinline__ void on_pack(const Call *c, const char (&letters)[COUNT], int64_t place, Range range)
{
    Pack<T> packs[COUNT - 1];
    Bytes<T> bytes;
    Call part = *c;
#pragma unroll
    for (int k = 0; k < COUNT - 1; k++) {
        const char letter = letters[k];
        if (letter == '-' || (letter == '?' && !WHOLE)) {
            part.arrays[k].address = NULL;
        } else if (letter == 'y') {
            bytes = static_cast<const Bytes<T> *>(c->arrays[k].address)[place];
            part.arrays[k].address = bytes.one;
        } else {
            if (letter != 'o') packs[k] = static_cast<const Pack<T> *>(c->arrays[k].address)[place];
            part.arrays[k].address = packs[k].one;
        }
    }
    range(&part, 0, Pack<T>::WIDE);
#pragma unroll
    for (int k = 0; k < COUNT - 1; k++) {
        const char letter = letters[k];
        if (letter == 'o' || letter == 'b' || (letter == '?' && WHOLE)) {
            static_cast<Pack<T> *>(c->arrays[k].address)[place] = packs[k];
        }
    }
}

/* Run a range on every element: packs where all arrays begin at multiples of their size, then what is left. */
template <typename T, int COUNT, typename Range>
static __device__ __forceinline__ void on_packs(const Call *c, const char (&letters)[COUNT], Range range)
{
    enum { WIDE = Pack<T>::WIDE };
    uintptr_t places = 0;
    bool whole = true;
#pragma unroll
    for (int k = 0; k < COUNT - 1; k++) {
        const uintptr_t place = (uintptr_t)c->arrays[k].address;
        places |= letters[k] == 'y' ? place * sizeof(T) : place;
        if (letters[k] == '?' && place == 0) whole = false;
    }
    const int64_t packs = places % 16 == 0 ? c->length / WIDE : 0;
    if (whole) {
        EACH_OF_ALL(i, packs) on_pack<T, true>(c, letters, i, range);
    } else {
        EACH_OF_ALL(i, packs) on_pack<T, false>(c, letters, i, range);
    }
    Call rest = *c;
    EACH_OF_ALL(i, c->length - packs * WIDE) range(&rest, packs * WIDE + i, packs * WIDE + i + 1);
}

/* -- rows of a batch ----------------------------------------------------------------------------------------------- */

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
