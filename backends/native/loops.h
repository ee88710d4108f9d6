/* How does a CPU go through whole arrays? One loop a kernel, over REAL, each calling the body of its element. */

#define EACH for (size_t i = 0; i < n; i++)

CLONED void NAME(relu_loop)(size_t n, const REAL *x, REAL *y) { EACH y[i] = NAME(relu)(x[i]); }

CLONED void NAME(relu_gradient_loop)(size_t n, const REAL *dy, const REAL *y, REAL *dx)
{
    EACH dx[i] = NAME(relu_gradient)(dy[i], y[i]);
}

CLONED void NAME(masked_loop)(size_t n, const REAL *x, const unsigned char *mask, REAL scale, REAL *y)
{
    EACH y[i] = NAME(masked)(x[i], mask[i], scale);
}

CLONED void NAME(sgd_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict velocity, REAL rate,
                           REAL momentum, int nesterov, REAL weight_decay)
{
    if (velocity == NULL) {
        EACH NAME(descent)(w + i, g[i], rate, weight_decay);
    } else if (nesterov) {
        EACH NAME(sgd)(w + i, g[i], velocity + i, rate, momentum, 1, weight_decay);
    } else {
        EACH NAME(sgd)(w + i, g[i], velocity + i, rate, momentum, 0, weight_decay);
    }
}

CLONED void NAME(adagrad_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict s, REAL rate,
                               REAL eps, REAL weight_decay)
{
    EACH NAME(adagrad)(w + i, g[i], s + i, rate, eps, weight_decay);
}

CLONED void NAME(rmsprop_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict v,
                               REAL *restrict velocity, REAL rate, REAL alpha, REAL rest, REAL eps, REAL momentum,
                               REAL weight_decay)
{
    if (velocity == NULL) {
        EACH w[i] -= NAME(rmsprop)(w[i], g[i], v + i, alpha, rest, eps, weight_decay) * rate;
    } else {
        EACH {
            REAL direction = NAME(rmsprop)(w[i], g[i], v + i, alpha, rest, eps, weight_decay);
            velocity[i] = velocity[i] * momentum + direction;
            w[i] -= velocity[i] * rate;
        }
    }
}

CLONED void NAME(adam_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict m, REAL *restrict v,
                            REAL step, REAL rest1, REAL beta2, REAL rest2, REAL eps, REAL weight_decay, REAL shrink)
{
    EACH NAME(adam)(w + i, g[i], m + i, v + i, step, rest1, beta2, rest2, eps, weight_decay, shrink);
}

CLONED void NAME(nadam_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict m, REAL *restrict v,
                             REAL rate, REAL gradient_weight, REAL momentum_weight, REAL correction, REAL rest1,
                             REAL beta2, REAL rest2, REAL eps, REAL weight_decay)
{
    EACH NAME(nadam)(w + i, g[i], m + i, v + i, rate, gradient_weight, momentum_weight, correction, rest1, beta2,
                     rest2, eps, weight_decay);
}

CLONED void NAME(lion_loop)(size_t n, REAL *restrict w, const REAL *restrict g, REAL *restrict m, REAL rate, REAL rest1,
                            REAL rest2, REAL shrink)
{
    EACH NAME(lion)(w + i, g[i], m + i, rate, rest1, rest2, shrink);
}

#undef EACH
