/* How are sums of everything computed on a GPU? By one block, all of whose threads are here; the first one writes. */

template <typename Term> static __device__ __forceinline__ REAL NAME(sum_of_all)(int64_t count, Term term)
{
    const Lanes l = lanes_of(WHOLE_BLOCK);
    return (REAL)combined(l, sum_of_terms<double>(l.lane, l.count, count, term), Adds<double>());
}

/* value = sum(losses) / count. */
INLINE void NAME(average)(const Call *c)
{
    const REAL *losses = c->arrays[0], count = (REAL)value_of(c->numbers);
    const REAL sum = NAME(sum_of_all)(c->sizes[0], [&](int64_t i) { return losses[i]; });
    if (threadIdx.x == 0) *(REAL *)c->arrays[1] = count != 1 ? sum / count : sum;
}

/* value = sum(w loss) / total. */
INLINE void NAME(weighted_average)(const Call *c)
{
    const REAL *losses = c->arrays[0], *w = c->arrays[1];
    const REAL sum = NAME(sum_of_all)(c->sizes[0], [&](int64_t i) { return losses[i] * w[i]; });
    if (threadIdx.x == 0) *(REAL *)c->arrays[3] = sum / *(REAL *)c->arrays[2];
}

/* out = the sum of g^2. */
INLINE void NAME(squared_norm)(const Call *c)
{
    const REAL *g = c->arrays[0];
    const REAL sum = NAME(sum_of_all)(c->sizes[0], [&](int64_t i) { return g[i] * g[i]; });
    if (threadIdx.x == 0) *(REAL *)c->arrays[1] = sum;
}

/* value <- value + squares sum(w^2) + absolutes sum(|w|). */
INLINE void NAME(elastic_net)(const Call *c)
{
    const REAL *w = c->arrays[0], squares = (REAL)value_of(c->numbers), absolutes = (REAL)value_of(c->numbers + 1);
    const int64_t size = c->sizes[0];
    REAL cost = 0;
    if (squares != 0) {
        cost += NAME(sum_of_all)(size, [&](int64_t i) { return w[i] * w[i]; }) * squares;
    }
    if (absolutes != 0) {
        cost += NAME(sum_of_all)(size, [&](int64_t i) { return NAME(magnitude)(w[i]); }) * absolutes;
    }
    if (threadIdx.x == 0) *(REAL *)c->arrays[1] += cost;
}
