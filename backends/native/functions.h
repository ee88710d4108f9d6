/* Which functions of one number does C's library lack, or has in a form that no compiler makes vectors of?
 *
 * Without branches, at most about 2 units in the last place from the truth; NaN stays. Every result depends on its own
 * argument alone, in whatever vector it was computed.
 */

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

/* The distance of x from 0; x with the sign of another number. */
INLINE float magnitude_float(float x) { return float_of(bits_of(x) & 0x7FFFFFFFu); }

INLINE float signed_float(float x, float sign)
{
    return float_of((bits_of(x) & 0x7FFFFFFFu) | (bits_of(sign) & 0x80000000u));
}

/* e^r - 1 with r = x - less - n ln 2, |r| <= ln 2 / 2: by Cephes' minimax polynomial of e^r, degree 7; `n` is set. */
INLINE float reduced_exponential(float x, float less, int32_t *n)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: added, it leaves the nearest whole number in the low bits */
    float shifted = x * 1.44269504f + round, whole = shifted - round;
    float r = ((x - whole * 0.693359375f) - whole * -2.12194440e-4f) - less;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    *n = (int32_t)(bits_of(shifted) - bits_of(round));
    return p * (r * r) + r;
}

/* factor e^(x - less), less being what the rounding of x left over; a tiny product is rounded once. */
INLINE float exponential_times(float factor, float x, float less)
{
    int32_t n;
    float low = x < -120.0f ? -120.0f : x, clipped = low > 89.0f ? 89.0f : low; /* 0 and infinity lie beyond */
    float value = (reduced_exponential(clipped, less, &n) + 1.0f) * factor;
    int32_t half = n >> 1;
    /* 2^n in two factors: one alone would leave the range of normal numbers at its ends. */
    return value * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(n - half + 127) << 23);
}

INLINE float exponential_float(float x) { return exponential_times(1.0f, x, 0.0f); }

/* e^x - 1 for x <= 0: 2^n (e^r - 1) + (2^n - 1). */
INLINE float exponential_less_one_float(float x)
{
    int32_t n;
    float value = reduced_exponential(x < -40.0f ? -40.0f : x, 0.0f, &n), scale = float_of((uint32_t)(n + 127) << 23);
    return value * scale + (scale - 1.0f);
}

/* log(1 + u) for 0 <= u <= 1: u + u^2 p(u); relative error of this polynomial, of our own fit, 5e-9. */
INLINE float logarithm_of_one_and_float(float u)
{
    float p = -3.31845617e-3f;
    p = p * u + 2.02045113e-2f;
    p = p * u - 5.76643065e-2f;
    p = p * u + 1.06805415e-1f;
    p = p * u - 1.53553882e-1f;
    p = p * u + 1.96953978e-1f;
    p = p * u - 2.49585869e-1f;
    p = p * u + 3.33305113e-1f;
    p = p * u - 4.99999328e-1f;
    return p * (u * u) + u;
}

/* tanh x = -t / (t + 2), t = e^(-2 |x|) - 1, with the sign of x. */
INLINE float hyperbolic_tangent_float(float x)
{
    float t = exponential_less_one_float(-2.0f * magnitude_float(x));
    return signed_float(t / (t + 2.0f), x);
}

/* factor e^(-a^2 / 2): the square of a's upper half is exact, and the rest, (a - upper) (a + upper) / 2, is small. */
INLINE float bell_times(float factor, float a)
{
    float upper = float_of(bits_of(a) & 0xFFFFF000u);
    return exponential_times(factor, -0.5f * upper * upper, 0.5f * (a - upper) * (a + upper));
}

/* P(-a) e^(a^2 / 2), P(-a) being the probability that a standard normal number is below -a, a >= 0; beyond 14.5 it is 0
 * in float. A rational approximation of our own fit, relative error 6e-9; all its terms have one sign. */
INLINE float normal_tail_float(float a)
{
    float p = 4.11627685e-3f, q = 1.03178562e-2f;
    p = p * a + 4.06330227e-2f, q = q * a + 1.01858331e-1f;
    p = p * a + 1.83234553e-1f, q = q * a + 4.69469081e-1f;
    p = p * a + 4.38294193e-1f, q = q * a + 1.20250076f;
    p = p * a + 0.5f, q = q * a + 1.67447337f;
    return p / (q * a + 1.0f);
}

/* x P(x) = max(x, 0) - a P(-a), a = |x|: small results keep their digits. */
INLINE float normal_part_float(float x)
{
    float a = magnitude_float(x), bounded = a > 15.2f ? 15.2f : a;
    return (x < 0.0f ? 0.0f : x) - bell_times(normal_tail_float(bounded) * bounded, bounded);
}

/* The derivative of x P(x): P(x) + x p(x), with the density p(x) = e^(-x^2 / 2) / sqrt(2 pi). */
INLINE float normal_slope_float(float x)
{
    float a = magnitude_float(x), bounded = a > 15.2f ? 15.2f : a;
    float below = bell_times(normal_tail_float(bounded) - 0.398942280f * bounded, bounded);
    return x < 0.0f ? below : 1.0f - below;
}

/* -- double ------------------------------------------------------------------------------------------------------- */

INLINE double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE double magnitude_double(double x) { return double_of(bits_of_double(x) & 0x7FFFFFFFFFFFFFFFu); }

/* e^r - 1 as in float, by Cephes' rational approximation: 2 r p / (q - r p). */
INLINE double reduced_exponential_double(double x, int64_t *n)
{
    const double round = 6755399441055744.0; /* 1.5 * 2^52 */
    double shifted = x * 1.4426950408889634 + round, whole = shifted - round;
    double r = (x - whole * 6.93145751953125e-1) - whole * 1.42860682030941723212e-6, s = r * r;
    double p = (1.26177193074810590878e-4 * s + 3.02994407707441961300e-2) * s + 9.99999999999999999910e-1;
    double q = 3.00198505138664455042e-6;
    q = q * s + 2.52448340349684104192e-3;
    q = q * s + 2.27265548208155028766e-1;
    q = q * s + 2.00000000000000000009;
    *n = (int64_t)(bits_of_double(shifted) - bits_of_double(round));
    return 2.0 * (r * p) / (q - r * p);
}

INLINE double exponential_double(double x)
{
    int64_t n;
    double low = x < -746.0 ? -746.0 : x, value = reduced_exponential_double(low > 710.0 ? 710.0 : low, &n) + 1.0;
    int64_t half = (int64_t)((uint64_t)(n + 2048) >> 1) - 1024; /* as n >> 1, which few processors have vectors for */
    return value * double_of((uint64_t)(half + 1023) << 52) * double_of((uint64_t)(n - half + 1023) << 52);
}

INLINE double exponential_less_one_double(double x)
{
    int64_t n;
    double value = reduced_exponential_double(x < -80.0 ? -80.0 : x, &n), scale = double_of((uint64_t)(n + 1023) << 52);
    return value * scale + (scale - 1.0);
}

/* log(1 + u) = 2 artanh(s), s = u / (2 + u) <= 1 / 3: a polynomial of our own fit in s^2, relative error 1e-17. */
INLINE double logarithm_of_one_and_double(double u)
{
    double s = u / (u + 2.0), w = s * s, p = 8.082062619763665e-2;
    p = p * w + 4.400349033137138e-2;
    p = p * w + 6.000540772172588e-2;
    p = p * w + 6.65707158256568e-2;
    p = p * w + 7.692785069991524e-2;
    p = p * w + 9.090894716427698e-2;
    p = p * w + 1.111111135875579e-1;
    p = p * w + 1.4285714283553821e-1;
    p = p * w + 2.0000000000007295e-1;
    p = p * w + 3.333333333333333e-1;
    return 2.0 * (p * w * s + s);
}

INLINE double hyperbolic_tangent_double(double x)
{
    double t = exponential_less_one_double(-2.0 * magnitude_double(x)), y = magnitude_double(t / (t + 2.0));
    return double_of(bits_of_double(y) | (bits_of_double(x) & 0x8000000000000000u));
}

/* P(x) of a = |x| / sqrt 2, at most 28, and bell = e^-a^2, by the rational approximations of the error function in
 * backends/kernels/special.py: (1 + erf) / 2 near 0, and the probability of the tail beyond. */
INLINE double normal_below_parts(double x, double a, double bell)
{
    double s = a * a, p = 1.85777706184603153e-1, q = s + 2.36012909523441209e1;
    p = p * s + 3.16112374387056560e0, q = q * s + 2.44024637934444173e2;
    p = p * s + 1.13864154151050156e2, q = q * s + 1.28261652607737228e3;
    p = p * s + 3.77485237685302021e2, q = q * s + 2.84423683343917062e3;
    p = p * s + 3.20937758913846947e3;
    double half = 0.5 * (a * p / q), u = 2.15311535474403846e-8, v = a + 1.57449261107098347e1;
    u = u * a + 5.64188496988670089e-1, v = v * a + 1.17693950891312499e2;
    u = u * a + 8.88314979438837594e0, v = v * a + 5.37181101862009858e2;
    u = u * a + 6.61191906371416295e1, v = v * a + 1.62138957456669019e3;
    u = u * a + 2.98635138197400131e2, v = v * a + 3.29079923573345963e3;
    u = u * a + 8.81952221241769090e2, v = v * a + 4.36261909014324716e3;
    u = u * a + 1.71204761263407058e3, v = v * a + 3.43936767414372164e3;
    u = u * a + 2.05107837782607147e3, v = v * a + 1.23033935480374942e3;
    u = u * a + 1.23033935479799725e3;
    double tail = 0.5 * bell * (u / v), below = a > 0.46875 ? tail : 0.5 - half;
    return x < 0.0 ? below : 1.0 - below;
}

INLINE double normal_part_double(double x)
{
    double a = 0.70710678118654752440 * magnitude_double(x), bounded = a > 28.0 ? 28.0 : a;
    double below = normal_below_parts(x, bounded, exponential_double(-bounded * bounded));
    return (x < -40.0 ? -40.0 : x) * below;
}

INLINE double normal_slope_double(double x)
{
    double a = 0.70710678118654752440 * magnitude_double(x), bounded = a > 28.0 ? 28.0 : a;
    double bell = exponential_double(-bounded * bounded), density = bounded * bell * 0.56418958354775628695;
    return normal_below_parts(x, bounded, bell) + (x < 0.0 ? -density : density);
}
