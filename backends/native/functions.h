/* How is e^x computed? For float without branches, so that a compiler makes vectors of it; for double by the library. */

INLINE float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2; NaN stays, and beyond the range it is infinity or 0. */
INLINE float exponential_float(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: added, it leaves the nearest whole number in the low bits */
    float low = x < -104.0f ? -104.0f : x, clipped = low > 89.0f ? 89.0f : low;
    float shifted = clipped * 1.44269504f + round, n = shifted - round;
    float r = (clipped - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f; /* the minimax polynomial of e^r that Cephes gives, degree 7 */
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float value = p * (r * r) + r + 1.0f;
    int32_t whole = (int32_t)(bits_of(shifted) - bits_of(round)), half = whole >> 1;
    /* 2^n in two factors: one alone would leave the range of normal numbers at its ends. */
    return value * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(whole - half + 127) << 23);
}

INLINE double exponential_double(double x) { return exp(x); }
