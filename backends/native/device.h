/* How does a call run on a GPU? Its memory is there already: a thread of the GPU is told the whole Call, by value.
 *
 * Arrays are CuPy's, known by their attributes; nothing here reads what they hold. Python compiles the kernels, and
 * says by `use_device` where they are and what launches them.
 */

#define NUMBERED(name, wanted, layout) KERNEL_##name,
enum { KERNELS(NUMBERED) HOW_MANY_KERNELS };
#undef NUMBERED

#define DESCRIBED(name, wanted, layout) {#name, layout},
static const struct { const char *name; int layout; } described[] = {KERNELS(DESCRIBED)};
#undef DESCRIBED

typedef int (*Launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                      void **); /* cuLaunchKernel */

typedef struct {
    Launch launch;
    PyTypeObject *arrays; /* what its arrays are: CuPy's class */
    PyObject *stream; /* a function of Python: the current stream, as a number */
    PyObject *load;   /* another: the functions of one type, which are asked for when the first is wanted */
    int loaded[2];
    void *functions[2][HOW_MANY_KERNELS]; /* of float or no type, and of double; NULL where there is none */
} Device;

enum { MOST_DEVICES = 32, MOST_WHOLE = 1 << 16, MOST_BLOCKS = 1 << 30 };
static Device *devices[MOST_DEVICES];
static int numbers_in_use = 0; /* the numbers of devices are below */

static PyObject *name_data, *name_ptr, *name_device_id, *name_shape, *name_dtype, *name_char, *name_flags, *name_whole;

/* -- arrays -------------------------------------------------------------------------------------------------------- */

/* owner.name as a whole number; 0 where it is none. */
static int attribute(PyObject *owner, PyObject *name, long long *value)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    if (found == NULL) return 0;
    *value = PyLong_AsLongLong(found);
    Py_DECREF(found);
    return !PyErr_Occurred();
}

/* Where an array's elements begin, and on which GPU. */
static int located(PyObject *array, long long *address, long long *device)
{
    PyObject *data = PyObject_GetAttr(array, name_data);
    int found = data != NULL && attribute(data, name_ptr, address) && attribute(data, name_device_id, device);
    Py_XDECREF(data);
    return found;
}

static int contiguous(PyObject *array)
{
    PyObject *flags = PyObject_GetAttr(array, name_flags);
    PyObject *whole = flags == NULL ? NULL : PyObject_GetAttr(flags, name_whole);
    int answer = whole != NULL && PyObject_IsTrue(whole) == 1;
    Py_XDECREF(whole);
    Py_XDECREF(flags);
    return answer;
}

/* Its type, as a format with the size of an element; NULL where kernels know none such. */
static const char *typed(PyObject *array, Py_ssize_t *itemsize)
{
    static const struct { char format[2]; unsigned char size; } types[] = {
        {"f", sizeof(float)}, {"d", sizeof(double)},  {"l", sizeof(long)},      {"L", sizeof(unsigned long)},
        {"?", 1},             {"q", sizeof(int64_t)}, {"Q", sizeof(uint64_t)},  {"B", 1},
        {"b", 1},             {"h", sizeof(short)},   {"H", sizeof(short)},     {"i", sizeof(int)},
        {"I", sizeof(int)},   {"e", 2},
    };
    const char *format = NULL;
    PyObject *dtype = PyObject_GetAttr(array, name_dtype);
    PyObject *letter = dtype == NULL ? NULL : PyObject_GetAttr(dtype, name_char);
    const char *text = letter == NULL ? NULL : PyUnicode_AsUTF8AndSize(letter, NULL);
    for (size_t i = 0; text != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(text, types[i].format) == 0) format = types[i].format, *itemsize = types[i].size;
    }
    Py_XDECREF(letter);
    Py_XDECREF(dtype);
    return format;
}

/* The lengths of its axes, noted in `given`. */
static int shaped(Given *given, PyObject *array, Py_buffer *found)
{
    PyObject *shape = PyObject_GetAttr(array, name_shape);
    Py_ssize_t axes = shape != NULL && PyTuple_Check(shape) ? PyTuple_Size(shape) : MOST_AXES + 1;
    int good = axes <= MOST_AXES - given->axes;
    found->shape = given->lengths + given->axes;
    found->ndim = good ? (int)axes : 0;
    found->len = found->itemsize;
    for (int i = 0; i < found->ndim; i++) {
        found->shape[i] = PyLong_AsSsize_t(PyTuple_GetItem(shape, i));
        found->len *= found->shape[i];
    }
    given->axes += found->ndim;
    Py_XDECREF(shape);
    return good && !PyErr_Occurred();
}

/* Whether this is an array of a GPU. It is asked first: CuPy's arrays may open their memory to the host as well, and
 * nothing would wait there for what the GPU is still computing. */
static int is_of_a_device(PyObject *object)
{
    for (int i = 0; i < numbers_in_use; i++) {
        if (devices[i] != NULL && PyType_IsSubtype(Py_TYPE(object), devices[i]->arrays)) return 1;
    }
    return 0;
}

/* A GPU's array as a view of memory that is not to be read here; answers where it is, 0 where kernels cannot take it.
 * The view holds nothing: whoever calls holds the array, and CuPy gives memory to others in the order of the stream. */
static int view_on_device(Given *given, PyObject *array, Py_buffer *found)
{
    long long address, device;
    memset(found, 0, sizeof *found);
    if (!located(array, &address, &device) || device < 0 || device >= numbers_in_use || devices[device] == NULL ||
        !contiguous(array) || (found->format = (char *)typed(array, &found->itemsize)) == NULL) {
        return 0;
    }
    found->buf = (void *)(intptr_t)address;
    return shaped(given, array, found) ? ON_GPU + (int)device : 0;
}

/* -- launches ------------------------------------------------------------------------------------------------------ */

/* How many blocks a call wants, of how many threads; 0 where the GPU had better compute it in another way. */
static int64_t blocks_of(const Call *call, int layout, char type, unsigned *threads)
{
    const int64_t *n = call->sizes;
    const int64_t wide = 16 / (type == 'd' ? sizeof(double) : sizeof(float)); /* elements of 16 bytes */
    int64_t count = call->length;
    *threads = 256;
    switch (layout) {
    case HOST: return 0;
    case PACKS:
    case MAP:
    case MAP_2: count = (count + wide - 1) / wide; break;
    case CELLS_0: count *= n[0]; break;
    case CELLS_1: count *= n[1]; break;
    case CELLS: count = n[0] * n[1]; break;
    case BINARY: count = n[1] > 0 ? count * n[1] : (count + wide - 1) / wide; break;
    case ROWS_0: count *= threads_of_row(n[0]), *threads = ROW_BLOCK; break;
    case ROWS_1: count *= threads_of_row(n[1]), *threads = ROW_BLOCK; break;
    case COLUMNS: *threads = COLUMN_BLOCK; return (n[1] + columns_of_block(n[1]) - 1) / columns_of_block(n[1]);
    case WHOLE: *threads = WHOLE_BLOCK; return count <= MOST_WHOLE;
    case MASK: count = (n[0] + 3) / 4; break;
    case GATHER:
        if (n[2] != 0) count *= n[0];
        else count *= n[0] / bytes_together((uintptr_t)call->arrays[0], (uintptr_t)call->arrays[2], n[0]);
        break;
    case ONCE: *threads = 1; return 1;
    }
    count = (count + *threads - 1) / *threads;
    return count < MOST_BLOCKS ? count : MOST_BLOCKS; /* threads go on with what is left */
}

/* Note what Python's load(type) gives: an address for each kernel, 0 where there is none. 0 with an exception. */
static int load(Device *device, int type)
{
    PyObject *found = PyObject_CallFunction(device->load, "i", type);
    int good = found != NULL && PyTuple_Check(found) && PyTuple_Size(found) == HOW_MANY_KERNELS;
    if (found != NULL && !good) PyErr_SetString(PyExc_ValueError, "load: not an address for each kernel");
    for (int i = 0; good && i < HOW_MANY_KERNELS; i++) {
        device->functions[type][i] = PyLong_AsVoidPtr(PyTuple_GetItem(found, i));
    }
    Py_XDECREF(found);
    device->loaded[type] = good && !PyErr_Occurred();
    return device->loaded[type];
}

/* Launch a call on the current stream: 1; 0 where there is no kernel for it, -1 with an exception where it fails. */
static int launch(int kernel, Call *call, const Given *given)
{
    Device *device = devices[given->place - ON_GPU];
    const int layout = described[kernel].layout, type = layout < MASK && given->type == 'd';
    unsigned threads;
    const int64_t blocks = blocks_of(call, layout, given->type, &threads);
    if (blocks < 1) return 0;
    if (!device->loaded[type] && !load(device, type)) return -1;
    void *function = device->functions[type][kernel];
    if (function == NULL) return 0;
    PyObject *stream = PyObject_CallNoArgs(device->stream);
    if (stream == NULL) return -1;
    void *parameters[] = {call}, *current = (void *)(uintptr_t)PyLong_AsUnsignedLongLong(stream);
    Py_DECREF(stream);
    if (PyErr_Occurred()) return -1;
    int status = device->launch(function, (unsigned)blocks, 1, 1, threads, 1, 1, 0, current, parameters, NULL);
    if (status == 0) return 1;
    const char *name = described[kernel].name;
    PyErr_Format(PyExc_RuntimeError, "%s: the CUDA driver could not launch it (error %d)", name, status);
    return -1;
}

/* -- what Python sees ---------------------------------------------------------------------------------------------- */

/* device_kernels(type) -> the names of a GPU's kernels of this type (0 float or none, 1 double), "" for none. */
static PyObject *device_kernels(PyObject *self, PyObject *number)
{
    const long type = PyLong_AsLong(number);
    if (PyErr_Occurred()) return NULL;
    PyObject *names = PyTuple_New(HOW_MANY_KERNELS);
    for (int i = 0; names != NULL && i < HOW_MANY_KERNELS; i++) {
        const int layout = described[i].layout, typeless = layout >= MASK;
        PyObject *text = layout == HOST || (typeless && type) ? PyUnicode_FromString("")
                         : typeless                           ? PyUnicode_FromFormat("launch_%s", described[i].name)
                         : PyUnicode_FromFormat("launch_%s_%s", described[i].name, type ? "double" : "float");
        if (text == NULL || PyTuple_SetItem(names, i, text) < 0) Py_CLEAR(names);
    }
    return names;
}

/* device_layout() -> where the parts of a Call are, in bytes: whoever compiles for a GPU sees to it that they agree. */
static PyObject *device_layout(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n}", "SIZE_OF_CALL", sizeof(Call), "AT_LENGTH",
                         offsetof(Call, length), "AT_ARRAYS", offsetof(Call, arrays), "AT_SIZES", offsetof(Call, sizes),
                         "AT_NUMBERS", offsetof(Call, numbers), "AT_WORDS", offsetof(Call, words), "SIZE_OF_NUMBER",
                         sizeof(Number), "AT_PLACE", offsetof(Number, place), "AT_TYPE", offsetof(Number, type));
}

/* use_device(number, arrays, launch, stream, load): launch kernels on this GPU, for arrays of this class. launch is the
 * address of cuLaunchKernel, 0 for no longer; stream() gives the current stream; load(type) the addresses of what
 * device_kernels(type) names. */
static PyObject *use_device(PyObject *self, PyObject *arguments)
{
    int number;
    unsigned long long address;
    PyObject *arrays, *stream, *loading;
    if (!PyArg_ParseTuple(arguments, "iO!KOO", &number, &PyType_Type, &arrays, &address, &stream, &loading)) {
        return NULL;
    }
    if (number < 0 || number >= MOST_DEVICES) {
        PyErr_SetString(PyExc_ValueError, "use_device: there is no such number");
        return NULL;
    }
    Device *device = NULL, *before = devices[number];
    if (address != 0) {
        device = PyMem_Calloc(1, sizeof(Device));
        if (device == NULL) return PyErr_NoMemory();
        device->launch = (Launch)(uintptr_t)address;
        device->arrays = (PyTypeObject *)Py_NewRef(arrays);
        device->stream = Py_NewRef(stream);
        device->load = Py_NewRef(loading);
    }
    devices[number] = device;
    if (before != NULL) {
        Py_DECREF(before->arrays);
        Py_DECREF(before->stream);
        Py_DECREF(before->load);
        PyMem_Free(before);
    }
    numbers_in_use = 0;
    for (int i = 0; i < MOST_DEVICES; i++) numbers_in_use = devices[i] != NULL ? i + 1 : numbers_in_use;
    Py_RETURN_NONE;
}
