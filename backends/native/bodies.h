/* What does each fused kernel do to one element? Plain C over REAL (float or double), for every loop that calls it.
 *
 * The loops of a CPU include this file once for each REAL; nothing in it knows of loops, arrays or Python, so that a
 * CUDA kernel can call the same functions. Every operation is written as NumPy's definition of the kernel rounds it, in
 * the same order: compiled without contraction, both give the same bits.
 */

/* y = max(0, x); NaN stays. */
INLINE REAL NAME(relu_of)(REAL x) { return x > 0 || x != x ? x : 0; }

/* dx = dy where y > 0. A product, as in the definition: 0 times a NaN is NaN. */
INLINE REAL NAME(relu_slope)(REAL dy, REAL y) { return dy * (REAL)(y > 0); }

/* y = x mask scale. */
INLINE REAL NAME(masked_by)(REAL x, unsigned char mask, REAL scale) { return x * (REAL)mask * scale; }

/* g' = g + weight_decay w. */
INLINE REAL NAME(decayed)(REAL g, REAL w, REAL weight_decay) { return weight_decay != 0 ? w * weight_decay + g : g; }

/* m + (1 - beta)(g - m). */
INLINE REAL NAME(blend)(REAL m, REAL g, REAL rest) { return m + (g - m) * rest; }

/* beta v + (1 - beta) g^2. */
INLINE REAL NAME(blend_square)(REAL v, REAL g, REAL beta, REAL rest) { return v * beta + g * g * rest; }

/* velocity <- momentum velocity + g'; the step goes along it, or, with nesterov, along g' + momentum velocity. */
INLINE void NAME(sgd_step)(REAL *w, REAL g, REAL *velocity, REAL rate, REAL momentum, int nesterov, REAL weight_decay)
{
    g = NAME(decayed)(g, *w, weight_decay);
    *velocity = *velocity * momentum + g;
    *w -= (nesterov ? *velocity * momentum + g : *velocity) * rate;
}

/* w <- w - rate g'. */
INLINE void NAME(descend)(REAL *w, REAL g, REAL rate, REAL weight_decay)
{
    *w -= NAME(decayed)(g, *w, weight_decay) * rate;
}

/* s <- s + g'^2; w <- w - rate g' / (sqrt(s) + eps). */
INLINE void NAME(adagrad_step)(REAL *w, REAL g, REAL *s, REAL rate, REAL eps, REAL weight_decay)
{
    g = NAME(decayed)(g, *w, weight_decay);
    *s += g * g;
    *w -= g / (SQRT(*s) + eps) * rate;
}

/* d = g' / (sqrt(v) + eps), v the average of g'^2. */
INLINE REAL NAME(rmsprop_direction)(REAL w, REAL g, REAL *v, REAL alpha, REAL rest, REAL eps, REAL weight_decay)
{
    g = NAME(decayed)(g, w, weight_decay);
    *v = NAME(blend_square)(*v, g, alpha, rest);
    return g / (SQRT(*v) + eps);
}

/* w <- shrink w - step m / (sqrt(v) + eps), m and v the averages of g' and g'^2; corrections are in step and eps. */
INLINE void NAME(adam_step)(REAL *w, REAL g, REAL *m, REAL *v, REAL step, REAL rest1, REAL beta2, REAL rest2, REAL eps,
                       REAL weight_decay, REAL shrink)
{
    REAL weight = *w * shrink;
    g = NAME(decayed)(g, *w, weight_decay);
    *m = NAME(blend)(*m, g, rest1);
    *v = NAME(blend_square)(*v, g, beta2, rest2);
    *w = weight - *m / (SQRT(*v) + eps) * step;
}

/* w <- w - rate (gradient_weight g' + momentum_weight m) / (sqrt(v / correction) + eps). */
INLINE void NAME(nadam_step)(REAL *w, REAL g, REAL *m, REAL *v, REAL rate, REAL gradient_weight, REAL momentum_weight,
                        REAL correction, REAL rest1, REAL beta2, REAL rest2, REAL eps, REAL weight_decay)
{
    g = NAME(decayed)(g, *w, weight_decay);
    *m = NAME(blend)(*m, g, rest1);
    *v = NAME(blend_square)(*v, g, beta2, rest2);
    *w -= (g * gradient_weight + *m * momentum_weight) / (SQRT(*v / correction) + eps) * rate;
}

/* w <- shrink w - rate sign(beta1 m + (1 - beta1) g); then m <- beta2 m + (1 - beta2) g. */
INLINE void NAME(lion_step)(REAL *w, REAL g, REAL *m, REAL rate, REAL rest1, REAL rest2, REAL shrink)
{
    REAL difference = g - *m, direction = difference * rest1 + *m;
    REAL sign = direction != direction ? direction : (REAL)(direction > 0) - (REAL)(direction < 0);
    *w = *w * shrink - sign * rate;
    *m += difference * rest2;
}
