/* What do activations and their gradients do to one element? Of each the formula, mostly in the definition's order.
 *
 * name_of is y = f(x); name_slope is dx of dy and what the definition saves, x or y. Where there is a setting, `rest`
 * is 1 - setting, rounded once; the others leave both alone. NaN stays, limits at infinity are reached. relu: bodies.h.
 */

/* y = x where x > 0, else slope x. */
INLINE REAL NAME(leaky_relu_of)(REAL x, REAL slope, REAL rest)
{
    REAL y = x * slope;
    return x > 0 && y == y ? x : y; /* infinity times 0 is NaN */
}

/* dx = dy where x > 0, else slope dy. */
INLINE REAL NAME(leaky_relu_slope)(REAL dy, REAL x, REAL slope, REAL rest)
{
    return ((REAL)(x > 0) * rest + slope) * dy;
}

/* y = x where x > 0, else alpha (e^x - 1): one of the two summands is 0. */
INLINE REAL NAME(elu_of)(REAL x, REAL alpha, REAL rest)
{
    return NAME(exponential_less_one)(x > 0 ? 0 : x) * alpha + (x < 0 ? 0 : x);
}

/* dx = dy where x > 0, else dy alpha e^x. */
INLINE REAL NAME(elu_slope)(REAL dy, REAL x, REAL alpha, REAL rest)
{
    return NAME(exponential)(x > 0 ? 0 : x) * ((REAL)(x > 0) * rest + alpha) * dy;
}

/* y = 1 / (1 + e^-x), of e^-|x|: nothing overflows, and small y keep their digits. */
INLINE REAL NAME(sigmoid_of)(REAL x, REAL setting, REAL rest)
{
    REAL decay = NAME(exponential)(-NAME(magnitude)(x));
    return (x >= 0 ? 1 : decay) / (decay + 1);
}

/* dx = dy y (1 - y). */
INLINE REAL NAME(sigmoid_slope)(REAL dy, REAL y, REAL setting, REAL rest) { return (1 - y) * y * dy; }

/* y = tanh x. */
INLINE REAL NAME(tanh_of)(REAL x, REAL setting, REAL rest) { return NAME(hyperbolic_tangent)(x); }

/* dx = dy (1 - y^2). */
INLINE REAL NAME(tanh_slope)(REAL dy, REAL y, REAL setting, REAL rest) { return (1 - y * y) * dy; }

/* y = x P(x), P(x) being the probability that a standard normal number is below x. */
INLINE REAL NAME(gelu_of)(REAL x, REAL setting, REAL rest) { return NAME(normal_part)(x); }

/* dx = dy (P(x) + x p(x)). */
INLINE REAL NAME(gelu_slope)(REAL dy, REAL x, REAL setting, REAL rest) { return NAME(normal_slope)(x) * dy; }

/* y = x / (1 + e^-x); the bound keeps 0 times infinity away. */
INLINE REAL NAME(silu_of)(REAL x, REAL setting, REAL rest)
{
    return NAME(sigmoid_of)(x, setting, rest) * (x < -1000 ? -1000 : x);
}

/* dx = dy s (1 + x (1 - s)), s = 1 / (1 + e^-x); 1 - s by its own formula: a difference would lose digits. */
INLINE REAL NAME(silu_slope)(REAL dy, REAL x, REAL setting, REAL rest)
{
    REAL decay = NAME(exponential)(-NAME(magnitude)(x)), one = 1 / (decay + 1), other = decay * one;
    REAL s = x < 0 ? other : one, low = x < -1000 ? -1000 : x, bounded = low > 1000 ? 1000 : low;
    return s * ((x < 0 ? one : other) * bounded + 1) * dy;
}

/* y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
INLINE REAL NAME(softplus_of)(REAL x, REAL setting, REAL rest)
{
    REAL decay = NAME(exponential)(-NAME(magnitude)(x));
    return (x < 0 ? 0 : x) + NAME(logarithm_of_one_and)(decay);
}

/* dx = dy / (1 + e^-x) = dy (1 - e^-y). */
INLINE REAL NAME(softplus_slope)(REAL dy, REAL y, REAL setting, REAL rest)
{
    return -NAME(exponential_less_one)(-y) * dy;
}
