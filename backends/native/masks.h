/* How does dropout draw and apply its masks? By Philox4x32-10, whose word i is word i % 4 of block i / 4. */

#ifdef REAL

CLONED void NAME(masked)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0];
    const unsigned char *mask = c->arrays[1];
    REAL *y = c->arrays[2], scale = (REAL)value_of(c->numbers);
    for (int64_t i = first; i < last; i++) y[i] = NAME(masked_by)(x[i], mask[i], scale);
}

/* y = x + branch mask scale, with a word of the mask for each row; without x where that is NULL. */
CLONED void NAME(masked_rows)(const Call *c, int64_t first, int64_t last)
{
    const REAL *x = c->arrays[0], *branch = c->arrays[1];
    const unsigned char *mask = c->arrays[2];
    REAL *y = c->arrays[3], scale = (REAL)value_of(c->numbers);
    const int64_t size = c->sizes[0];
    for (int64_t i = first; i < last;) {
        const int64_t row = i / size, end = (row + 1) * size < last ? (row + 1) * size : last;
        const unsigned char kept = mask[row];
        if (x == NULL) {
            for (; i < end; i++) y[i] = NAME(masked_by)(branch[i], kept, scale);
        } else {
            for (; i < end; i++) y[i] = x[i] + NAME(masked_by)(branch[i], kept, scale);
        }
    }
}

#else

#ifdef ON_DEVICE
enum { LANES = 1 };
#else
enum { LANES = 64 }; /* blocks drawn together: whole vectors of any processor */
#endif

CLONED void philox_lanes(uint64_t block, uint64_t counter, uint32_t key0, uint32_t key1, uint32_t words[4][LANES])
{
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    for (int i = 0; i < LANES; i++) {
        c0[i] = (uint32_t)(block + (uint64_t)i);
        c1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
        c2[i] = (uint32_t)counter;
        c3[i] = (uint32_t)(counter >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            uint64_t first = (uint64_t)0xD2511F53u * c0[i], second = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(second >> 32) ^ c1[i] ^ key0;
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ c3[i] ^ key1;
            c3[i] = (uint32_t)first;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < LANES; i++) {
        words[0][i] = c0[i];
        words[1][i] = c1[i];
        words[2][i] = c2[i];
        words[3][i] = c3[i];
    }
}

/* mask[i] = word i below the threshold, for whole groups of 4 LANES elements. */
static void keep_range(const Call *c, int64_t first, int64_t last)
{
    uint32_t words[4][LANES];
    uint32_t threshold = (uint32_t)c->words[2];
    for (int64_t group = first; group < last; group++) {
        int64_t start = group * 4 * LANES, count = c->sizes[0] - start < 4 * LANES ? c->sizes[0] - start : 4 * LANES;
        unsigned char *mask = (unsigned char *)c->arrays[0] + start;
        philox_lanes((uint64_t)start / 4, *(const uint64_t *)c->arrays[1], (uint32_t)c->words[0], (uint32_t)c->words[1],
                     words);
        if (count == 4 * LANES) {
            for (size_t i = 0; i < LANES; i++) {
                for (size_t j = 0; j < 4; j++) mask[4 * i + j] = words[j][i] < threshold;
            }
        } else {
            for (int64_t i = 0; i < count; i++) mask[i] = words[i % 4][i / 4] < threshold;
        }
    }
}

#ifndef ON_DEVICE

/* keep_mask(mask, counter, key0, key1, threshold) */
static int take_keep_mask(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, one = 1;
    call->arrays[0] = bytes(given, objects[0], 1, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : integers(given, objects[1], 0, &one);
    if (call->arrays[1] == NULL) return 0;
    for (int i = 0; i < 3; i++) {
        if (!word(objects[2 + i], call->words + i)) return 0;
    }
    if (call->words[2] > UINT32_MAX) return 0; /* everything is kept */
    call->sizes[0] = size;
    call->run = run_range, call->range = keep_range;
    call->length = (size + 4 * LANES - 1) / (4 * LANES), call->work = 4 * LANES * 4;
    return 1;
}

/* masked(x, mask, scale, y): y = x mask scale. */
static int take_masked(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1;
    call->arrays[0] = reals(given, objects[0], 0, &size);
    call->arrays[1] = call->arrays[0] == NULL ? NULL : bytes(given, objects[1], 0, &size);
    call->arrays[2] = call->arrays[1] == NULL ? NULL : reals(given, objects[3], 1, &size);
    if (call->arrays[2] == NULL || !number(given, objects[2], call->numbers)) return 0;
    RANGE(call, given, masked, size, 2);
    return 1;
}

/* masked_rows(x or None, branch, mask, scale, y): y = x + branch mask scale, a word of the mask a row. */
static int take_masked_rows(PyObject *const *objects, Given *given, Call *call)
{
    int64_t size = -1, rows = -1;
    call->arrays[1] = reals(given, objects[1], 0, &size);
    call->arrays[3] = call->arrays[1] == NULL ? NULL : reals(given, objects[4], 1, &size);
    call->arrays[2] = call->arrays[3] == NULL ? NULL : bytes(given, objects[2], 0, &rows);
    if (call->arrays[2] == NULL || size % rows != 0 || !number(given, objects[3], call->numbers)) return 0;
    call->arrays[0] = objects[0] == Py_None ? NULL : reals(given, objects[0], 0, &size);
    if (call->arrays[0] == NULL && objects[0] != Py_None) return 0;
    call->sizes[0] = size / rows;
    RANGE(call, given, masked_rows, size, 2);
    return 1;
}

#endif

#endif
