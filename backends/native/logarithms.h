/* How is ln x computed? Without branches, so that a compiler makes vectors of it; within 1 unit in the last place. */

/* ln x = n ln 2 + ln m with x = 2^n m, sqrt(1/2) <= m < sqrt(2): Cephes' logf, a polynomial of degree 9 in m - 1. */
INLINE float logarithm_float(float x)
{
    const int32_t tiny = (int32_t)bits_of(x) < 0x00800000; /* 0 and subnormal numbers: times 2^23 */
    const uint32_t bits = bits_of(x * ((float)tiny * 8388607.0f + 1.0f)), half = 0x3F3504F3u; /* of sqrt(1/2) */
    const int32_t whole = (int32_t)(bits - half) >> 23;
    const float n = (float)(whole - 23 * tiny);
    const float m = float_of(bits - ((uint32_t)whole << 23)) - 1.0f, square = m * m;
    float p = 7.0376836292e-2f;
    p = p * m + -1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m + -1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m + -1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m + -2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * square;
    p = p + n * -2.12194440e-4f;
    p = p - 0.5f * square;
    /* Added at the end: 0 where x is between 0 and infinity, otherwise what the limit is; the polynomial is finite. */
    uint32_t limit = bits_of(x) - 1u < 0x7F7FFFFFu ? 0u : 0x7FC00000u;
    limit = bits_of(x) == 0x7F800000u ? 0x7F800000u : limit;
    limit = bits_of(x) << 1 == 0u ? 0xFF800000u : limit;
    return m + p + n * 0.693359375f + float_of(limit);
}

/* ln max(x, 0). The choice is among bits: among floats a compiler might make branches of it. */
INLINE float logarithm_from_zero_float(float x)
{
    const uint32_t below = (uint32_t)(bits_of(x) - 0x80000000u <= 0x7F800000u); /* -0 ... -infinity */
    return logarithm_float(float_of(bits_of(x) & (below - 1u)));
}

/* The same in double: ln m = f - f^2 / 2 + s (f^2 / 2 + R(s^2)), f = m - 1, s = f / (2 + f), as in Sun's fdlibm. */
INLINE double logarithm_double(double x)
{
    const int32_t tiny = bits_of_double(x) >> 52 == 0; /* 0 and subnormal numbers: times 2^54 */
    const uint64_t half = 0x3FE6A09E667F3BCDu; /* of sqrt(1/2) */
    const uint64_t bits = bits_of_double(x * ((double)tiny * 18014398509481984.0 + (double)(1 - tiny)));
    const uint64_t moved = bits + (0x3FF0000000000000u - half);
    const double n = (double)((int32_t)(moved >> 52) - 1023 - 54 * tiny);
    const double f = double_of((moved & 0x000FFFFFFFFFFFFFu) + half) - 1.0, square = 0.5 * f * f;
    const double s = f / (f + 2.0), z = s * s, w = z * z;
    const double even = w * ((1.531383769920937332e-1 * w + 2.222219843214978396e-1) * w + 3.999999999940941908e-1);
    double odd = 1.479819860511658591e-1;
    odd = odd * w + 1.818357216161805012e-1;
    odd = odd * w + 2.857142874366239149e-1;
    odd = odd * w + 6.666666666666735130e-1;
    uint64_t limit = bits_of_double(x) - 1u < 0x7FEFFFFFFFFFFFFFu ? 0u : 0x7FF8000000000000u;
    limit = bits_of_double(x) == 0x7FF0000000000000u ? 0x7FF0000000000000u : limit;
    limit = bits_of_double(x) << 1 == 0u ? 0xFFF0000000000000u : limit;
    const double rest = s * (square + (odd * z + even)) + n * 1.90821492927058770002e-10;
    return rest - square + f + n * 6.93147180369123816490e-1 + double_of(limit);
}

INLINE double logarithm_from_zero_double(double x)
{
    const uint64_t below = (uint64_t)(bits_of_double(x) - 0x8000000000000000u <= 0x7FF0000000000000u);
    return logarithm_double(double_of(bits_of_double(x) & (below - 1u)));
}
