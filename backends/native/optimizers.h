/* How do the compiled optimizers step? Each goes once through the flat buffers, with the arithmetic of bodies.h. */

#ifdef REAL

#define W() REAL *restrict w = c->arrays[0], *restrict g = c->arrays[1]
#define STATE(name, place) REAL *restrict name = c->arrays[place]
#define SETTING(place) ((REAL)value_of(c->numbers + (place)))
#define EACH for (int64_t i = first; i < last; i++)

CLONED void NAME(sgd)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(velocity, 2);
    REAL rate = SETTING(0), momentum = SETTING(1), weight_decay = SETTING(3);
    if (velocity == NULL) {
        EACH NAME(descend)(w + i, g[i], rate, weight_decay);
    } else if (value_of(c->numbers + 2) != 0) {
        EACH NAME(sgd_step)(w + i, g[i], velocity + i, rate, momentum, 1, weight_decay);
    } else {
        EACH NAME(sgd_step)(w + i, g[i], velocity + i, rate, momentum, 0, weight_decay);
    }
}

CLONED void NAME(adagrad)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(s, 2);
    REAL rate = SETTING(0), eps = SETTING(1), weight_decay = SETTING(2);
    EACH NAME(adagrad_step)(w + i, g[i], s + i, rate, eps, weight_decay);
}

CLONED void NAME(rmsprop)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(v, 2);
    STATE(velocity, 3);
    REAL rate = SETTING(0), alpha = SETTING(1), rest = SETTING(2), eps = SETTING(3), momentum = SETTING(4);
    REAL weight_decay = SETTING(5);
    if (velocity == NULL) {
        EACH w[i] -= NAME(rmsprop_direction)(w[i], g[i], v + i, alpha, rest, eps, weight_decay) * rate;
    } else {
        EACH {
            REAL direction = NAME(rmsprop_direction)(w[i], g[i], v + i, alpha, rest, eps, weight_decay);
            velocity[i] = velocity[i] * momentum + direction;
            w[i] -= velocity[i] * rate;
        }
    }
}

CLONED void NAME(adam)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(m, 2);
    STATE(v, 3);
    REAL rate = SETTING(0), root = SQRT(SETTING(2)), rest1 = SETTING(3), beta2 = SETTING(4), rest2 = SETTING(5);
    REAL step = root * rate / SETTING(1), eps = root * SETTING(6), weight_decay = SETTING(7), shrinking = SETTING(8);
    REAL shrink = shrinking != 0 ? rate * -shrinking + 1 : 1;
    EACH NAME(adam_step)(w + i, g[i], m + i, v + i, step, rest1, beta2, rest2, eps, weight_decay, shrink);
}

CLONED void NAME(nadam)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(m, 2);
    STATE(v, 3);
    REAL rate = SETTING(0), gradient_weight = SETTING(1), momentum_weight = SETTING(2), correction = SETTING(3);
    REAL rest1 = SETTING(4), beta2 = SETTING(5), rest2 = SETTING(6), eps = SETTING(7), weight_decay = SETTING(8);
    EACH NAME(nadam_step)(w + i, g[i], m + i, v + i, rate, gradient_weight, momentum_weight, correction, rest1, beta2,
                          rest2, eps, weight_decay);
}

CLONED void NAME(lion)(const Call *c, int64_t first, int64_t last)
{
    W();
    STATE(m, 2);
    REAL rate = SETTING(0), rest1 = SETTING(1), rest2 = SETTING(2), shrinking = SETTING(3);
    REAL shrink = shrinking != 0 ? rate * -shrinking + 1 : 1;
    EACH NAME(lion_step)(w + i, g[i], m + i, rate, rest1, rest2, shrink);
}

#undef W
#undef STATE
#undef SETTING
#undef EACH

#else

/* The weights, the gradient and the states of an optimizer (one that is None is NULL), then its numbers. */
static int laid_out(PyObject *const *objects, Given *given, Call *call, int states, int count)
{
    int64_t size = -1;
    for (int i = 0; i < 2 + states; i++) {
        call->arrays[i] = objects[i] == Py_None && i > 1 ? NULL : reals(given, objects[i], i != 1, &size);
        if (call->arrays[i] == NULL && (objects[i] != Py_None || i < 2)) return 0;
    }
    call->length = size, call->work = 2 + states;
    return numbers(given, objects + 2 + states, count, call->numbers);
}

#define OPTIMIZER(name, states, count)                                                                                 \
    static int take_##name(PyObject *const *objects, Given *given, Call *call)                                         \
    {                                                                                                                  \
        if (!laid_out(objects, given, call, states, count)) return 0;                                                  \
        RANGE(call, given, name, call->length, 2 + (states));                                                          \
        return 1;                                                                                                      \
    }

/* The arguments: the arrays, then the numbers. */
OPTIMIZER(sgd, 1, 4)     /* w, g, velocity or None; rate, momentum, nesterov, weight_decay */
OPTIMIZER(adagrad, 1, 3) /* w, g, s; rate, eps, weight_decay */
OPTIMIZER(rmsprop, 2, 6) /* w, g, v, velocity or None; rate, alpha, 1 - alpha, eps, momentum, weight_decay */
OPTIMIZER(adam, 2, 9)    /* w, g, m, v; rate, correction of m and of v, 1 - beta1, beta2, 1 - beta2, eps, weight_decay,
                            shrinking */
OPTIMIZER(nadam, 2, 9)   /* w, g, m, v; rate, gradient_weight, momentum_weight, correction, 1 - beta1, beta2, 1 - beta2,
                            eps, weight_decay */
OPTIMIZER(lion, 1, 4)    /* w, g, m; rate, 1 - beta1, 1 - beta2, shrinking */

#endif
