/* How are recorded calls run again? A Sequence: calls of kernels and of Python's functions, in order, in one loop. */

typedef struct {
    Call call;           /* call.run is NULL for a function of Python */
    Given given;         /* the arrays that the call works on, held for as long as the sequence lives */
    PyObject *function;  /* of Python; where it stands beside a call, it says what a failed check found */
    PyObject *arguments, *named;
} Entry;

typedef struct {
    PyObject_HEAD
    Entry **entries;
    Py_ssize_t count, room;
} Sequence;

/* Where the calls go that Python makes now: NULL runs them. Each thread has its own. */
static THREAD_LOCAL Sequence *collecting = NULL;

static Entry *new_entry(Sequence *sequence)
{
    if (sequence->count == sequence->room) {
        Py_ssize_t room = sequence->room ? 2 * sequence->room : 16;
        Entry **entries = PyMem_Realloc(sequence->entries, (size_t)room * sizeof(Entry *));
        if (entries == NULL) return NULL;
        sequence->entries = entries;
        sequence->room = room;
    }
    Entry *entry = PyMem_Calloc(1, sizeof(Entry));
    if (entry != NULL) sequence->entries[sequence->count++] = entry;
    return entry;
}

static void drop_last(Sequence *sequence, Py_ssize_t count)
{
    while (sequence->count > count) {
        Entry *entry = sequence->entries[--sequence->count];
        release(&entry->given);
        Py_XDECREF(entry->function);
        Py_XDECREF(entry->arguments);
        Py_XDECREF(entry->named);
        PyMem_Free(entry);
    }
}

/* Read the arguments of a kernel, and run it or keep it: True where the kernel could take them. On a GPU it is
 * launched, and never kept: Python's call of it is. */
static PyObject *enter(Take take, int kernel, Py_ssize_t wanted, PyObject *const *objects, Py_ssize_t count)
{
    if (count != wanted) {
        PyErr_SetString(PyExc_TypeError, "wrong number of arguments");
        return NULL;
    }
    if (collecting != NULL) {
        Entry *entry = new_entry(collecting);
        if (entry == NULL) return PyErr_NoMemory();
        int taken = take(objects, &entry->given, &entry->call) && entry->given.place < ON_GPU;
        if (!taken) drop_last(collecting, collecting->count - 1);
        return PyBool_FromLong(taken);
    }
    Given given;
    Call call;
    given.held = given.place = given.axes = 0;
    given.type = '\0';
    call.length = call.work = 0;
    int taken = take(objects, &given, &call);
    if (taken && given.place >= ON_GPU) {
        taken = launch(kernel, &call, &given);
    } else if (taken) {
        if (call.length * call.work > 1 << 14) {
            Py_BEGIN_ALLOW_THREADS call.run(&call);
            Py_END_ALLOW_THREADS
        } else {
            call.run(&call);
        }
    }
    release(&given);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

/* -- what Python sees ---------------------------------------------------------------------------------------------- */

/* extend(function, inputs, options) -> bool: keep the calls that this function makes, instead of running them. True
 * where it returned True, which says that they are all that it does; otherwise nothing is kept. */
static PyObject *sequence_extend(PyObject *self, PyObject *arguments)
{
    Sequence *sequence = (Sequence *)self;
    PyObject *function, *inputs, *options;
    if (!PyArg_ParseTuple(arguments, "OO!O!", &function, &PyTuple_Type, &inputs, &PyDict_Type, &options)) return NULL;
    Py_ssize_t before = sequence->count;
    Sequence *outer = collecting;
    collecting = sequence;
    PyObject *answer = PyObject_Call(function, inputs, options);
    collecting = outer;
    if (answer == NULL || answer != Py_True) drop_last(sequence, before);
    if (answer == NULL) return NULL;
    PyObject *kept = PyBool_FromLong(answer == Py_True);
    Py_DECREF(answer);
    return kept;
}

/* append(function, inputs, options): a function of Python. */
static PyObject *sequence_append(PyObject *self, PyObject *arguments)
{
    PyObject *function, *inputs, *options;
    if (!PyArg_ParseTuple(arguments, "OO!O!", &function, &PyTuple_Type, &inputs, &PyDict_Type, &options)) return NULL;
    Entry *entry = new_entry((Sequence *)self);
    if (entry == NULL) return PyErr_NoMemory();
    entry->function = Py_NewRef(function);
    entry->arguments = Py_NewRef(inputs);
    entry->named = Py_NewRef(options);
    Py_RETURN_NONE;
}

/* otherwise(entry, function, inputs, options): what says what is wrong where the check of that entry fails. */
static PyObject *sequence_otherwise(PyObject *self, PyObject *arguments)
{
    Sequence *sequence = (Sequence *)self;
    PyObject *function, *inputs, *options;
    Py_ssize_t number;
    if (!PyArg_ParseTuple(arguments, "nOO!O!", &number, &function, &PyTuple_Type, &inputs, &PyDict_Type, &options)) {
        return NULL;
    }
    if (number < 0 || number >= sequence->count || sequence->entries[number]->function != NULL) {
        PyErr_SetString(PyExc_IndexError, "otherwise: there is no such entry, or it has a function");
        return NULL;
    }
    Entry *entry = sequence->entries[number];
    entry->function = Py_NewRef(function);
    entry->arguments = Py_NewRef(inputs);
    entry->named = Py_NewRef(options);
    Py_RETURN_NONE;
}

/* Run all entries; the number of those that were run, and an exception where that is not all of them. */
static Py_ssize_t run_sequence(Sequence *sequence)
{
    Py_ssize_t next = 0;
    while (next < sequence->count) {
        Entry *entry = sequence->entries[next];
        if (entry->call.run != NULL) {
            Py_ssize_t failed = -1;
            Py_BEGIN_ALLOW_THREADS
            while (next < sequence->count && (entry = sequence->entries[next])->call.run != NULL) {
                if (entry->call.run(&entry->call)) {
                    failed = next;
                    break;
                }
                next++;
            }
            Py_END_ALLOW_THREADS
            if (failed < 0) continue;
        }
        PyObject *answer = PyObject_Call(entry->function, entry->arguments, entry->named);
        if (answer == NULL) return next;
        Py_DECREF(answer);
        next++;
    }
    return next;
}

/* What is told of an exception that an entry raised: (number of the entry, exception). */
static PyObject *stopped_at(Py_ssize_t entry)
{
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    PyErr_NormalizeException(&kind, &value, &trace);
    if (trace != NULL) PyException_SetTraceback(value, trace);
    PyObject *answer = Py_BuildValue("nO", entry, value);
    Py_XDECREF(kind);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return answer;
}

/* run() -> None, or (number of the entry, exception) where one raised. */
static PyObject *sequence_run(PyObject *self, PyObject *unused)
{
    Py_ssize_t done = run_sequence((Sequence *)self);
    if (done < ((Sequence *)self)->count) return stopped_at(done);
    Py_RETURN_NONE;
}

static PyObject *sequence_length(PyObject *self, PyObject *unused)
{
    return PyLong_FromSsize_t(((Sequence *)self)->count);
}

static int sequence_traverse(PyObject *self, visitproc visit, void *arg)
{
    Sequence *sequence = (Sequence *)self;
    for (Py_ssize_t i = 0; i < sequence->count; i++) {
        Py_VISIT(sequence->entries[i]->function);
        Py_VISIT(sequence->entries[i]->arguments);
        Py_VISIT(sequence->entries[i]->named);
        for (int j = 0; j < sequence->entries[i]->given.held; j++) Py_VISIT(sequence->entries[i]->given.views[j].obj);
    }
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int sequence_clear(PyObject *self)
{
    drop_last((Sequence *)self, 0);
    return 0;
}

static void sequence_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    sequence_clear(self);
    PyMem_Free(((Sequence *)self)->entries);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef sequence_methods[] = {
    {"extend", sequence_extend, METH_VARARGS, NULL},       {"append", sequence_append, METH_VARARGS, NULL},
    {"otherwise", sequence_otherwise, METH_VARARGS, NULL}, {"run", sequence_run, METH_NOARGS, NULL},
    {"length", sequence_length, METH_NOARGS, NULL},        {NULL, NULL, 0, NULL},
};

static PyType_Slot sequence_slots[] = {
    {Py_tp_methods, sequence_methods},   {Py_tp_traverse, sequence_traverse}, {Py_tp_clear, sequence_clear},
    {Py_tp_dealloc, sequence_free},      {0, NULL},
};

static PyType_Spec sequence_spec = {
    "backends.native._kernels.Sequence", sizeof(Sequence), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, sequence_slots,
};
