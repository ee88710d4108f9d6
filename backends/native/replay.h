/* How does a recorded step cost next to nothing in Python? A Replay sees whether it fits, loads arguments and runs.
 *
 * It is asked first. Where anything is not as it was recorded (an argument's shape, a layer's mode, a setting), it has
 * done nothing and answers NotImplemented: Python then finds or records what fits.
 */

typedef struct {
    PyObject_HEAD
    Sequence *sequence;
    Given buffers;       /* where the values of the arguments go, in order; held for good */
    PyObject *arguments; /* of each argument: the Tensor class, or the constant that it must be */
    PyObject *backend, *tensor;
    PyObject *guards;    /* (owner, attribute, value): must be that very object */
    PyObject *equal;     /* (owner, attribute, value): must be equal */
    PyObject *settings;  /* (group, {name: value}): the group's settings of these names must be equal */
    PyObject *finals;    /* (owner, attribute, value): set afterwards */
    PyObject *output;    /* an array to be copied into a new Tensor, or a function that makes what is returned */
    PyObject *leave;     /* called with the number of an entry that raised */
} Replay;

static PyObject *name_array, *name_backend, *name_requires_grad, *name_copy;

#define FIELDS(_) _(sequence) _(arguments) _(backend) _(tensor) _(guards) _(equal) _(settings) _(finals) _(output) _(leave)

/* Replay(sequence, arguments, buffers, backend, tensor, guards, equal, settings, finals, output, leave) */
static PyObject *replay_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    PyObject *sequence, *own, *buffers, *backend, *tensor, *guards, *equal, *settings, *finals, *output, *leave;
    if (!PyArg_ParseTuple(arguments, "OO!O!OOO!O!O!O!OO", &sequence, &PyTuple_Type, &own, &PyTuple_Type, &buffers,
                          &backend, &tensor, &PyTuple_Type, &guards, &PyTuple_Type, &equal, &PyTuple_Type, &settings,
                          &PyTuple_Type, &finals, &output, &leave)) {
        return NULL;
    }
    Replay *self = (Replay *)PyType_GenericAlloc(type, 0);
    if (self == NULL) return NULL;
    self->sequence = (Sequence *)Py_NewRef(sequence);
    self->arguments = Py_NewRef(own);
    self->backend = Py_NewRef(backend);
    self->tensor = Py_NewRef(tensor);
    self->guards = Py_NewRef(guards);
    self->equal = Py_NewRef(equal);
    self->settings = Py_NewRef(settings);
    self->finals = Py_NewRef(finals);
    self->output = Py_NewRef(output);
    self->leave = Py_NewRef(leave);
    for (Py_ssize_t i = 0; i < PyTuple_Size(buffers); i++) {
        if (view(&self->buffers, PyTuple_GetItem(buffers, i), 1) == NULL || self->buffers.place != IN_HOST) {
            PyErr_SetString(PyExc_ValueError, "Replay: a buffer is not contiguous memory, or there are too many");
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

/* Whether owner.attribute is the value, or (where that is enough) equals it. */
static int is_still(PyObject *guard, int identical)
{
    PyObject *now = PyObject_GetAttr(PyTuple_GetItem(guard, 0), PyTuple_GetItem(guard, 1));
    if (now == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *value = PyTuple_GetItem(guard, 2);
    int still = now == value || (!identical && PyObject_RichCompareBool(now, value, Py_EQ) == 1);
    Py_DECREF(now);
    if (!still) PyErr_Clear();
    return still;
}

static int has(PyObject *owner, PyObject *name, PyObject *value)
{
    PyObject *now = PyObject_GetAttr(owner, name);
    if (now == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(now);
    return now == value;
}

/* Whether this is a constant argument as it was recorded: one of Python's plain values, equal and of the same type. */
static int is_constant(PyObject *given, PyObject *constant)
{
    if (given == constant) return 1;
    if (Py_TYPE(given) != Py_TYPE(constant)) return 0;
    int equal = PyObject_RichCompareBool(given, constant, Py_EQ);
    if (equal < 0) PyErr_Clear();
    return equal == 1;
}

/* A tensor's memory, where it is contiguous and of the buffer's shape (below `more` further axes) and type; released by
 * the caller. */
static int opened(PyObject *tensor, const Py_buffer *buffer, Py_buffer *found, int more)
{
    PyObject *array = PyObject_GetAttr(tensor, name_array);
    int got = array != NULL && PyObject_GetBuffer(array, found, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0;
    Py_XDECREF(array);
    if (!got) {
        PyErr_Clear();
        return 0;
    }
    int fits = found->ndim == buffer->ndim + more && strcmp(found->format, buffer->format) == 0;
    for (int i = 0; fits && i < buffer->ndim; i++) fits = found->shape[i + more] == buffer->shape[i];
    if (!fits) PyBuffer_Release(found);
    return fits;
}

/* The memory of a call's arguments. */
typedef struct {
    Py_buffer views[MOST_ARRAYS];
    int held;
} Arguments;

static void close_all(Arguments *found)
{
    while (found->held) PyBuffer_Release(&found->views[--found->held]);
}

/* Whether the arguments are as they were recorded, below `more` further axes of each tensor; if so, their memory. */
static int open_all(Replay *self, PyObject *arguments, Arguments *found, int more)
{
    PyObject *tensors[MOST_ARRAYS];
    Py_ssize_t count = PyTuple_Size(self->arguments);
    int fits = PyTuple_Size(arguments) == count;
    found->held = 0;
    for (Py_ssize_t i = 0; fits && i < count; i++) {
        PyObject *wanted = PyTuple_GetItem(self->arguments, i), *given = PyTuple_GetItem(arguments, i);
        if (wanted != self->tensor) {
            fits = is_constant(given, wanted);
            continue;
        }
        int place = found->held;
        fits = (PyObject *)Py_TYPE(given) == self->tensor && has(given, name_backend, self->backend) &&
               has(given, name_requires_grad, Py_False);
        for (int j = 0; fits && j < place; j++) fits = tensors[j] != given; /* the same one twice: another recording */
        fits = fits && opened(given, &self->buffers.views[place], &found->views[place], more);
        if (fits) tensors[found->held++] = given;
    }
    if (!fits) close_all(found);
    return fits;
}

/* Whether a group's settings of these names are what they were; its learning rate is set anew by every step. */
static int are_set(PyObject *pair)
{
    PyObject *now = PyObject_GetAttr(PyTuple_GetItem(pair, 0), name_settings), *name, *value;
    int still = now != NULL && PyDict_Check(now);
    Py_ssize_t place = 0;
    while (still && PyDict_Next(PyTuple_GetItem(pair, 1), &place, &name, &value)) {
        PyObject *found = PyDict_GetItemWithError(now, name);
        still = found != NULL && (found == value || PyObject_RichCompareBool(found, value, Py_EQ) == 1);
    }
    Py_XDECREF(now);
    if (!still) PyErr_Clear();
    return still;
}

/* Whether all that the calls depend on is as it was. */
static int holds(Replay *self)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(self->guards); i++) {
        if (!is_still(PyTuple_GetItem(self->guards, i), 1)) return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(self->equal); i++) {
        if (!is_still(PyTuple_GetItem(self->equal, i), 0)) return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(self->settings); i++) {
        if (!are_set(PyTuple_GetItem(self->settings, i))) return 0;
    }
    return 1;
}

/* Leave what the entries before this one have left; its exception stays. */
static int stopped(Replay *self, Py_ssize_t entry)
{
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    PyObject *number = PyLong_FromSsize_t(entry);
    PyObject *left = number == NULL ? NULL : PyObject_CallFunctionObjArgs(self->leave, number, NULL);
    Py_XDECREF(number);
    Py_XDECREF(left);
    PyErr_Restore(kind, value, trace);
    return 0;
}

/* Run the calls on values number `step` of the arguments; 0 with an exception where one raised. */
static int run_step(Replay *self, const Arguments *found, Py_ssize_t step)
{
    for (int i = 0; i < found->held; i++) {
        Py_buffer *buffer = &self->buffers.views[i];
        memcpy(buffer->buf, (const char *)found->views[i].buf + step * buffer->len, (size_t)buffer->len);
    }
    Py_ssize_t done = run_sequence(self->sequence);
    if (done < self->sequence->count) return stopped(self, done);
    for (Py_ssize_t i = 0; i < PyTuple_Size(self->finals); i++) {
        PyObject *final = PyTuple_GetItem(self->finals, i), *owner = PyTuple_GetItem(final, 0);
        if (PyObject_SetAttr(owner, PyTuple_GetItem(final, 1), PyTuple_GetItem(final, 2)) < 0) return 0;
    }
    return 1;
}

/* A new Tensor with a copy of the output array. */
static PyObject *copied(Replay *self)
{
    PyObject *array = PyObject_CallMethodObjArgs(self->output, name_copy, NULL);
    PyObject *tensor = array == NULL ? NULL : PyType_GenericAlloc((PyTypeObject *)self->tensor, 0);
    if (tensor != NULL && (PyObject_SetAttr(tensor, name_array, array) < 0 ||
                           PyObject_SetAttr(tensor, name_backend, self->backend) < 0)) {
        Py_CLEAR(tensor);
    }
    Py_XDECREF(array);
    return tensor;
}

/* replay(*arguments): the output, or NotImplemented where it does not fit. */
static PyObject *replay_call(PyObject *object, PyObject *arguments, PyObject *named)
{
    Replay *self = (Replay *)object;
    Arguments found;
    if ((named != NULL && PyDict_Size(named) > 0) || !holds(self) || !open_all(self, arguments, &found, 0)) {
        return Py_NewRef(Py_NotImplemented);
    }
    int done = run_step(self, &found, 0);
    close_all(&found);
    if (!done) return NULL;
    return PyCallable_Check(self->output) ? PyObject_CallObject(self->output, NULL) : copied(self);
}

/* over(arguments, first, outputs): steps first, first + 1, ... on the parts of the arguments along their first axis;
 * the outputs (steps, ...) are filled from there on. The number of steps; NotImplemented where they do not fit. */
static PyObject *replay_over(PyObject *object, PyObject *parameters)
{
    Replay *self = (Replay *)object;
    PyObject *arguments, *outputs;
    Py_ssize_t first;
    if (!PyArg_ParseTuple(parameters, "O!nO", &PyTuple_Type, &arguments, &first, &outputs)) return NULL;
    Arguments found;
    if (PyCallable_Check(self->output) || !holds(self) || !open_all(self, arguments, &found, 1)) {
        return Py_NewRef(Py_NotImplemented);
    }
    Given filled = {.held = 0};
    Py_buffer *all = view(&filled, outputs, 1), *output = view(&filled, self->output, 0);
    Py_ssize_t steps = found.held ? found.views[0].shape[0] : 0, step = first;
    int fits = all != NULL && output != NULL && filled.place == IN_HOST && all->len == steps * output->len;
    for (int i = 1; i < found.held; i++) fits = fits && found.views[i].shape[0] == steps;
    int good = 1;
    for (; fits && good && step < steps; step++) {
        good = run_step(self, &found, step) && PyErr_CheckSignals() == 0;
        if (good) memcpy((char *)all->buf + step * output->len, output->buf, (size_t)output->len);
    }
    close_all(&found);
    release(&filled);
    if (!good) return NULL;
    return fits ? PyLong_FromSsize_t(step - first) : Py_NewRef(Py_NotImplemented);
}

static PyMethodDef replay_methods[] = {{"over", replay_over, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static int replay_traverse(PyObject *object, visitproc visit, void *arg)
{
    Replay *self = (Replay *)object;
#define VISIT(field) Py_VISIT(self->field);
    FIELDS(VISIT)
    for (int i = 0; i < self->buffers.held; i++) Py_VISIT(self->buffers.views[i].obj);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int replay_clear(PyObject *object)
{
    Replay *self = (Replay *)object;
#define CLEAR(field) Py_CLEAR(self->field);
    FIELDS(CLEAR)
    release(&self->buffers);
    return 0;
}

static void replay_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    replay_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyType_Slot replay_slots[] = {
    {Py_tp_new, (void *)replay_new},
    {Py_tp_call, (void *)replay_call},
    {Py_tp_methods, replay_methods},
    {Py_tp_traverse, (void *)replay_traverse},
    {Py_tp_clear, (void *)replay_clear},
    {Py_tp_dealloc, (void *)replay_free},
    {0, NULL},
};

static PyType_Spec replay_spec = {
    "backends.native._kernels.Replay", sizeof(Replay), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, replay_slots,
};
