/* What is noted in Python's objects, or asked of them, so often that Python's own way takes too long? */

static PyObject *name_counts, *name_version, *name_changed, *name_latest, *name_settings, *name_values, *name_rate;

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

/* set_rate(method, stretch, group): method(stretch, group), unless the learning rate is the number that is set. */
static PyObject *set_rate(PyObject *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "set_rate: wrong number of arguments");
        return NULL;
    }
    PyObject *settings = PyObject_GetAttr(given[2], name_settings), *values = PyObject_GetAttr(given[1], name_values);
    PyObject *rate = settings == NULL ? NULL : PyDict_GetItemWithError(settings, name_rate);
    PyObject *set = values == NULL ? NULL : PyDict_GetItemWithError(values, name_rate);
    int same = rate != NULL && set != NULL && PyFloat_Check(rate) && PyFloat_Check(set) &&
               PyFloat_AsDouble(rate) == PyFloat_AsDouble(set);
    Py_XDECREF(settings);
    Py_XDECREF(values);
    if (PyErr_Occurred()) return NULL;
    if (same) Py_RETURN_NONE;
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
