/* What is noted in Python's objects, or asked of them, so often that Python's own way takes too long? */

static PyObject *name_counts, *name_version, *name_changed, *name_latest, *name_settings, *name_values, *name_rate,
    *name_steps, *name_scalars, *name_fill;

/* advance(optimizer, parameters, numbers, version class, next number): each parameter has taken one step more, and its
 * values were changed at the next number. */
static PyObject *advance(PyObject *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "advance: wrong number of arguments");
        return NULL;
    }
    PyObject *counts = PyObject_GetAttr(given[0], name_counts), *now = PyObject_CallObject(given[4], NULL);
    int good = counts != NULL && now != NULL && PyObject_SetAttr(given[3], name_latest, now) == 0;
    for (Py_ssize_t i = 0; good && i < PyTuple_Size(given[1]); i++) {
        PyObject *number = PyTuple_GetItem(given[2], i), *before = PyDict_GetItemWithError(counts, number);
        PyObject *after = before == NULL ? NULL : PyLong_FromLongLong(PyLong_AsLongLong(before) + 1);
        PyObject *version = PyObject_GetAttr(PyTuple_GetItem(given[1], i), name_version);
        good = after != NULL && version != NULL && PyDict_SetItem(counts, number, after) == 0 &&
               PyObject_SetAttr(version, name_changed, now) == 0;
        Py_XDECREF(after);
        Py_XDECREF(version);
    }
    Py_XDECREF(counts);
    Py_XDECREF(now);
    if (good) Py_RETURN_NONE;
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_KeyError, "advance: a parameter is not the optimizer's");
    return NULL;
}

/* count_step(optimizer): it has taken one step more. */
static PyObject *count_step(PyObject *self, PyObject *optimizer)
{
    PyObject *steps = PyObject_GetAttr(optimizer, name_steps), *one = PyLong_FromLong(1);
    PyObject *after = steps == NULL || one == NULL ? NULL : PyNumber_Add(steps, one);
    int good = after != NULL && PyObject_SetAttr(optimizer, name_steps, after) == 0;
    Py_XDECREF(steps);
    Py_XDECREF(one);
    Py_XDECREF(after);
    if (!good) return NULL;
    Py_RETURN_NONE;
}

/* Whether a number of a step, by its name, is in its array from now on; without an exception where Python is to say. */
static int is_put(PyObject *scalars, PyObject *values, PyObject *name, PyObject *number)
{
    PyObject *before = PyDict_GetItemWithError(values, name), *array = PyDict_GetItemWithError(scalars, name);
    if (number == NULL || before == NULL || array == NULL) return 0;
    int same = PyObject_RichCompareBool(before, number, Py_EQ);
    if (same) return same == 1;
    PyObject *filled = PyObject_CallMethodObjArgs(array, name_fill, number, NULL);
    int good = filled != NULL && PyDict_SetItem(values, name, number) == 0;
    Py_XDECREF(filled);
    return good;
}

/* 1 - beta^t. */
static PyObject *correction(PyObject *beta, PyObject *count)
{
    PyObject *one = PyLong_FromLong(1), *power = one == NULL ? NULL : PyNumber_Power(beta, count, Py_None);
    PyObject *answer = power == NULL ? NULL : PyNumber_Subtract(one, power);
    Py_XDECREF(one);
    Py_XDECREF(power);
    return answer;
}

/* set_scalars(method, stretch, group[, optimizer, number of the first parameter, betas]): what method(stretch, group)
 * does where the learning rate is a number, and what depends on the step count is 1 - beta^t, for each (name, beta's
 * name) of betas; anything else is left to the method. */
static PyObject *set_scalars(PyObject *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 3 && count != 6) {
        PyErr_SetString(PyExc_TypeError, "set_scalars: wrong number of arguments");
        return NULL;
    }
    PyObject *settings = PyObject_GetAttr(given[2], name_settings), *values = PyObject_GetAttr(given[1], name_values);
    PyObject *scalars = PyObject_GetAttr(given[1], name_scalars), *steps = NULL, *one = PyLong_FromLong(1);
    int good = settings != NULL && values != NULL && scalars != NULL && one != NULL;
    PyObject *rate = good ? PyDict_GetItemWithError(settings, name_rate) : NULL;
    good = rate != NULL && PyFloat_Check(rate) && is_put(scalars, values, name_rate, rate);
    if (good && count == 6) {
        PyObject *counts = PyObject_GetAttr(given[3], name_counts);
        PyObject *before = counts == NULL ? NULL : PyDict_GetItemWithError(counts, given[4]);
        steps = before == NULL ? NULL : PyNumber_Add(before, one);
        Py_XDECREF(counts);
        good = steps != NULL;
    }
    for (Py_ssize_t i = 0; good && count == 6 && i < PyTuple_Size(given[5]); i++) {
        PyObject *pair = PyTuple_GetItem(given[5], i);
        PyObject *beta = PyDict_GetItemWithError(settings, PyTuple_GetItem(pair, 1));
        PyObject *number = beta == NULL ? NULL : correction(beta, steps);
        good = is_put(scalars, values, PyTuple_GetItem(pair, 0), number);
        Py_XDECREF(number);
    }
    Py_XDECREF(settings);
    Py_XDECREF(values);
    Py_XDECREF(scalars);
    Py_XDECREF(steps);
    Py_XDECREF(one);
    if (PyErr_Occurred()) return NULL;
    if (good) Py_RETURN_NONE;
    return PyObject_CallFunctionObjArgs(given[0], given[1], given[2], NULL);
}

/* extent(array): the first byte of its elements, and the one after the last. */
static PyObject *extent(PyObject *self, PyObject *array)
{
    Py_buffer found;
    if (PyObject_GetBuffer(array, &found, PyBUF_STRIDED_RO) != 0) return NULL;
    long long start = (long long)(intptr_t)found.buf, end = start;
    for (int i = 0; i < found.ndim && found.len > 0; i++) {
        long long reach = (long long)(found.shape[i] - 1) * found.strides[i];
        if (reach < 0) start += reach;
        else end += reach;
    }
    if (found.len > 0) end += found.itemsize;
    PyBuffer_Release(&found);
    return Py_BuildValue("LL", start, end);
}

/* Put the arrays among a value's parts into a list, and what may be or hold one besides into another. */
static int gather_arrays(PyObject *type, PyObject *value, PyObject *arrays, PyObject *others)
{
    if ((PyObject *)Py_TYPE(value) == type) return PyList_Append(arrays, value);
    if (value == Py_None || PyFloat_Check(value) || PyLong_Check(value) || PyUnicode_Check(value)) return 0;
    if (PyTuple_Check(value)) {
        for (Py_ssize_t i = 0; i < PyTuple_Size(value); i++) {
            if (gather_arrays(type, PyTuple_GetItem(value, i), arrays, others) < 0) return -1;
        }
        return 0;
    }
    if (PyList_Check(value)) {
        for (Py_ssize_t i = 0; i < PyList_Size(value); i++) {
            if (gather_arrays(type, PyList_GetItem(value, i), arrays, others) < 0) return -1;
        }
        return 0;
    }
    if (PyDict_Check(value)) {
        PyObject *key, *part;
        Py_ssize_t place = 0;
        while (PyDict_Next(value, &place, &key, &part)) {
            if (gather_arrays(type, part, arrays, others) < 0) return -1;
        }
        return 0;
    }
    return PyList_Append(others, value);
}

/* arrays_within(array class, value) -> (its arrays, what Python has to look at). */
static PyObject *arrays_within(PyObject *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "arrays_within: wrong number of arguments");
        return NULL;
    }
    PyObject *arrays = PyList_New(0), *others = PyList_New(0), *answer = NULL;
    if (arrays != NULL && others != NULL && gather_arrays(given[0], given[1], arrays, others) == 0) {
        answer = PyTuple_Pack(2, arrays, others);
    }
    Py_XDECREF(arrays);
    Py_XDECREF(others);
    return answer;
}
