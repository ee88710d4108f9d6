/* What is a call of a kernel? A function and the memory that it works on. It knows nothing of Python, and not where
 * that memory is: a CPU runs `range` on all of its parts, a GPU's threads each have a share of them.
 */

#ifndef PLACE
#define PLACE void * /* of an array; C++ has a class that becomes any pointer */
#endif

enum { MOST_ARRAYS = 10, MOST_SIZES = 6, MOST_NUMBERS = 10 };

/* A number of Python, or one that an array holds: that is read anew whenever the call runs. */
typedef struct {
    double value;
    const void *place; /* NULL for a constant */
    char type;
} Number;

typedef struct Call Call;
struct Call {
    int (*run)(const Call *);                      /* 0, or 1 where a check failed: Python says what is wrong */
    void (*range)(const Call *, int64_t, int64_t); /* the part first ... last of the length, for several threads */
    int64_t length, work;                          /* how many parts, and the work of one: large ones are shared */
    PLACE arrays[MOST_ARRAYS];
    int64_t sizes[MOST_SIZES];
    Number numbers[MOST_NUMBERS];
    uint64_t words[3];
};

/* -- how a GPU's threads share a call (list.h): the same numbers for those who launch it and for its threads ------- */

enum { ROW_BLOCK = 256, COLUMN_BLOCK = 512, COLUMNS_TOGETHER = 16, WHOLE_BLOCK = 1024 };

/* How many threads share a row: a power of two, so that they exchange numbers in pairs; a long one has a block. */
INLINE int threads_of_row(int64_t columns)
{
    int threads = 1;
    if (columns > 1024) return ROW_BLOCK;
    while (threads < columns && threads < 32) threads *= 2;
    return threads;
}

/* How many columns share a block: where there are few, more threads share each. */
INLINE int columns_of_block(int64_t columns)
{
    int together = 1;
    while (together < columns && together < COLUMNS_TOGETHER) together *= 2;
    return together;
}

/* How many bytes of a row one thread copies: as many as its places and its length allow. */
INLINE int64_t bytes_together(uint64_t from, uint64_t to, int64_t length)
{
    const uint64_t all = from | to | (uint64_t)length;
    return all % 16 == 0 ? 16 : all % 8 == 0 ? 8 : all % 4 == 0 ? 4 : 1;
}

INLINE double value_of(const Number *number)
{
    if (number->place == NULL) return number->value;
    return number->type == 'f' ? *(const float *)number->place : *(const double *)number->place;
}
