/* How are matrices multiplied without a BLAS? Tile by tile: ROWS x WIDE numbers of y stay in registers while the inner
 * axis goes by. Included for each REAL, by tilings.h: a vector has LANES of them, a tile VECTORS side by side.
 *
 * A number of y is the sum of its products in their order along the inner axis, in pieces that this axis alone decides:
 * it depends neither on the tile that it lies in nor on how many threads share the product.
 */

#define WIDE (LANES * VECTORS)
#define DEEPEST ((int64_t)(DEEPEST_BYTES / sizeof(REAL)))
#define EACH_ROW _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)
#define EACH_VECTOR _Pragma("GCC unroll 16") for (int v = 0; v < vectors; v++)
#define EACH_LANE _Pragma("GCC unroll 16") for (int l = 0; l < LANES; l++)

typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef WHOLE NAME(order) __attribute__((vector_size(LANES * sizeof(REAL))));

/* y (rows, columns) = a b, or y += a b. a's number (i, k) is at i a_row + k a_column, row k of b at k b_row; of b there
 * are as many columns as the vectors have. */
TILED INLINE void NAME(tile)(const int rows, const int vectors, int64_t inner, const REAL *a, int64_t a_row,
                             int64_t a_column, const REAL *b, int64_t b_row, REAL *y, int64_t y_row, int64_t columns,
                             int adding)
{
    MAY_CONTRACT
    NAME(vector) sums[SUMS];
    EACH_ROW EACH_VECTOR sums[i * vectors + v] = (NAME(vector)){0};
    for (int64_t k = 0; k < inner; k++, a += a_column, b += b_row) {
        NAME(vector) row[SUMS];
        EACH_VECTOR row[v] = *(const NAME(vector) *)(b + v * LANES);
        EACH_ROW {
            const REAL one = a[i * a_row];
            EACH_VECTOR sums[i * vectors + v] += one * row[v];
        }
    }
    if (columns == vectors * LANES) {
        EACH_ROW EACH_VECTOR {
            NAME(vector) *place = (NAME(vector) *)(y + i * y_row + v * LANES);
            if (adding) sums[i * vectors + v] += *place;
            *place = sums[i * vectors + v];
        }
        return;
    }
    EACH_ROW {
        REAL found[SUMS * LANES], *restrict out = y + i * y_row;
        EACH_VECTOR *(NAME(vector) *)(found + v * LANES) = sums[i * vectors + v];
        for (int j = 0; j < vectors * LANES; j++) {
            if (j < columns) out[j] = adding ? out[j] + found[j] : found[j];
        }
    }
}

/* A tile of ROWS, ROWS / 2, ROWS / 4 or 1 rows, and of as many vectors as its columns fill. */
TILED static void NAME(any_tile)(int64_t rows, int64_t inner, const REAL *a, int64_t a_row, int64_t a_column,
                                 const REAL *b, int64_t b_row, REAL *y, int64_t y_row, int64_t columns, int adding)
{
#define TILE(rows, vectors) NAME(tile)(rows, vectors, inner, a, a_row, a_column, b, b_row, y, y_row, columns, adding)
#define TILES(vectors)                                                                                                 \
    do {                                                                                                               \
        if (rows == ROWS) TILE(ROWS, vectors);                                                                         \
        else if (rows == ROWS / 2) TILE(ROWS / 2, vectors);                                                            \
        else if (rows == ROWS / 4) TILE(ROWS / 4, vectors);                                                            \
        else TILE(1, vectors);                                                                                         \
    } while (0)
    if (columns <= LANES) {
        TILES(1);
    } else {
        TILES(VECTORS);
    }
}

/* One row of y = a b, of LANES columns at least: b's rows are read in stretches as long as registers can hold sums. */
TILED static void NAME(row_tiles)(const Call *c)
{
    const int64_t columns = c->sizes[1], inner = c->sizes[2];
    const REAL *a = c->arrays[0], *b = c->arrays[1];
    REAL *y = c->arrays[2];
    int64_t j = 0;
#define STRETCHES(vectors)                                                                                             \
    for (; columns - j >= (vectors) * LANES; j += (vectors) * LANES) {                                                 \
        NAME(tile)(1, vectors, inner, a, 0, 1, b + j, columns, y + j, 0, (vectors) * LANES, 0);                        \
    }
    STRETCHES(16) STRETCHES(8) STRETCHES(4) STRETCHES(1)
    j = columns - LANES; /* once more what its first columns are, for the sake of the last */
    if (columns % LANES != 0) NAME(tile)(1, 1, inner, a, 0, 1, b + j, columns, y + j, 0, LANES, 0);
}

/* The numbers from here on, 0 from the end on. What a tile makes of those beside its columns, nobody reads. */
TILED INLINE NAME(vector) NAME(load)(const REAL *from, const REAL *end)
{
    if (from + LANES <= end) return *(const NAME(vector) *)from;
    NAME(vector) found = {0};
    for (int l = 0; l < end - from; l++) found[l] = from[l];
    return found;
}

/* Lay a panel of b, `width` columns or some of them, side by side: row k at k `width`. b's numbers end at `end`. */
TILED static void NAME(gather)(const REAL *b, int64_t b_row, const REAL *end, int64_t inner, int64_t width, REAL *out)
{
    for (int64_t k = 0; k < inner; k++, b += b_row, out += width) {
        for (int64_t j = 0; j < width; j += LANES) *(NAME(vector) *)(out + j) = NAME(load)(b + j, end);
    }
}

/* The same where b's columns are rows, b_column apart: squares of them are turned. */
TILED static void NAME(turn)(const REAL *b, int64_t b_column, const REAL *end, int64_t inner, int64_t width, REAL *out)
{
    for (int64_t j = 0; j < width; j += LANES, b += LANES * b_column) {
        for (int64_t k = 0; k < inner; k += LANES) {
            NAME(vector) now[LANES], next[LANES];
            EACH_LANE now[l] = NAME(load)(b + l * b_column + k, end);
            _Pragma("GCC unroll 4") for (int done = 1; done < LANES; done *= 2) {
                _Pragma("GCC unroll 8") for (int l = 0; l < LANES / 2; l++) {
                    next[2 * l] = SHUFFLED(now[l], now[l + LANES / 2], FIRST_HALVES);
                    next[2 * l + 1] = SHUFFLED(now[l], now[l + LANES / 2], LAST_HALVES);
                }
                EACH_LANE now[l] = next[l];
            }
            const int64_t some = inner - k;
            if (some >= LANES) {
                EACH_LANE *(NAME(vector) *)(out + (k + l) * width + j) = now[l];
            } else {
                EACH_LANE if (l < some) *(NAME(vector) *)(out + (k + l) * width + j) = now[l];
            }
        }
    }
}

/* A block (rows, columns) of y = a b, all y_row apart; b's number (k, j) is at k b_row + j b_column. */
static void NAME(block)(int64_t rows, int64_t columns, int64_t inner, const REAL *a, int64_t a_row, int64_t a_column,
                        const REAL *b, int64_t b_row, int64_t b_column, const REAL *end, REAL *y, int64_t y_row)
{
    const int64_t pieces = (inner + DEEPEST - 1) / DEEPEST, piece = (inner + pieces - 1) / pieces;
    REAL *near = (REAL *)near_memory;
    for (int64_t k = 0; k < inner; k += piece) {
        const int64_t deep = inner - k < piece ? inner - k : piece;
        const int64_t as_it_lies = b_column == 1 && rows <= FEW_ROWS ? columns / WIDE * WIDE : 0;
        for (int64_t j = as_it_lies; j < columns; j += WIDE) {
            const int64_t wide = columns - j < WIDE ? columns - j : WIDE, width = (wide + LANES - 1) / LANES * LANES;
            const REAL *from = b + k * b_row + j * b_column;
            if (b_column == 1) NAME(gather)(from, b_row, end, deep, width, near + j * deep);
            else NAME(turn)(from, b_column, end, deep, width, near + j * deep);
        }
        for (int64_t i = 0, high; i < rows; i += high) {
            const int64_t left = rows - i;
            high = left >= ROWS ? ROWS : left >= ROWS / 2 ? ROWS / 2 : left >= ROWS / 4 ? ROWS / 4 : 1;
            for (int64_t j = 0; j < columns; j += WIDE) {
                const int64_t wide = columns - j < WIDE ? columns - j : WIDE;
                const int64_t width = j < as_it_lies ? b_row : (wide + LANES - 1) / LANES * LANES;
                const REAL *panel = j < as_it_lies ? b + k * b_row + j : near + j * deep;
                NAME(any_tile)(high, deep, a + i * a_row + k * a_column, a_row, a_column, panel, width,
                             y + i * y_row + j, y_row, wide, k > 0);
            }
        }
    }
}

/* y = a b: the cells first ... last of a grid on y, which has words[0] parts of the rows, words[1] of the columns. */
static void NAME(tiles)(const Call *c, int64_t first, int64_t last)
{
    const int64_t rows = c->sizes[0], columns = c->sizes[1], inner = c->sizes[2], across = (int64_t)c->words[1];
    const int64_t a_row = c->sizes[3] ? 1 : inner, a_column = c->sizes[3] ? rows : 1;
    const int64_t b_row = c->sizes[4] ? 1 : columns, b_column = c->sizes[4] ? inner : 1;
    const REAL *a = c->arrays[0], *b = c->arrays[1];
    REAL *y = c->arrays[2];
    for (int64_t cell = first; cell < last; cell++) {
        const int64_t top = start_of(cell / across, (int64_t)c->words[0], rows, ROWS);
        const int64_t bottom = start_of(cell / across + 1, (int64_t)c->words[0], rows, ROWS);
        const int64_t right = start_of(cell % across + 1, across, columns, WIDE);
        int64_t left = start_of(cell % across, across, columns, WIDE);
        for (int64_t wide; left < right; left += wide) {
            wide = right - left < WIDEST ? right - left : WIDEST;
            NAME(block)(bottom - top, wide, inner, a + top * a_row, a_row, a_column, b + left * b_column, b_row,
                        b_column, b + columns * inner, y + top * columns + left, columns);
        }
    }
}

#undef WIDE
#undef DEEPEST
#undef EACH_ROW
#undef EACH_VECTOR
#undef EACH_LANE
#undef TILE
#undef TILES
#undef STRETCHES
