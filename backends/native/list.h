/* Which kernels are there? Of each the name, how many arguments Python gives, and how a GPU's threads share its work.
 *
 *     ELEMENTS         a thread for each part of the call
 *     PACKS            a thread for 16 bytes of each array (cuda/cells.h says of which)
 *     MAP MAP_2        PACKS of one array, of two, and of what is made of them
 *     CELLS_0 CELLS_1  a thread for each element of each part: the parts are rows, as long as sizes[0], sizes[1] say
 *     CELLS            the same of a matrix (sizes[0], sizes[1])
 *     BINARY           PACKS, or CELLS where there is one row for all (arithmetic.h)
 *     ROWS_0 ROWS_1    some threads, a block at most, for each part: a row, as long as sizes[0], sizes[1] say
 *     COLUMNS          a block for some of the parts: columns of a matrix (sizes[0], sizes[1])
 *     WHOLE            one block for everything, where that is not too much
 *     MASK GATHER ONCE a thread for four words of a mask, for some bytes of a row, for everything
 *     FLOATS           a thread for each part; the numbers are floats, whatever the precision of the rest
 *     HOST             none: a GPU has other ways
 */

enum { HOST, ELEMENTS, PACKS, MAP, MAP_2, CELLS_0, CELLS_1, CELLS, BINARY, ROWS_0, ROWS_1, COLUMNS, WHOLE, MASK, GATHER,
       ONCE, FLOATS };

#define KERNELS(_)                                                                                                     \
    _(product, 5, HOST) _(add_bias, 2, CELLS_0) _(column_sum, 2, COLUMNS) _(keep_mask, 5, MASK)                        \
    _(masked, 4, PACKS)                                                                                                \
    _(softmax, 2, ROWS_0) _(softmax_gradient, 3, ROWS_0) _(log_softmax, 2, ROWS_0)                                     \
    _(log_softmax_gradient, 3, ROWS_0) _(maxout, 2, ROWS_1) _(maxout_gradient, 4, ROWS_1)                              \
    _(layer_norm, 7, ROWS_1) _(layer_norm_gradient, 5, ROWS_1)                                                         \
    _(batch_norm, 9, COLUMNS) _(batch_norm_gradient, 7, COLUMNS) _(affine_gradient, 4, COLUMNS)                        \
    _(update_running, 6, ELEMENTS) _(batch_norm_evaluation, 9, CELLS) _(batch_norm_evaluation_gradient, 4, CELLS)      \
    _(cross_entropy, 4, ROWS_0) _(cross_entropy_gradient, 4, ROWS_0) _(weighted_cross_entropy, 6, ROWS_0)              \
    _(weighted_cross_entropy_gradient, 6, ROWS_0) _(soft_cross_entropy, 6, ROWS_0)                                     \
    _(soft_cross_entropy_gradient, 6, ROWS_0) _(hinge, 4, ROWS_0) _(hinge_gradient, 5, ROWS_0)                         \
    _(squared_losses, 4, ELEMENTS) _(squared_gradient, 6, ELEMENTS) _(absolute_losses, 4, ELEMENTS)                    \
    _(absolute_gradient, 6, ELEMENTS) _(huber_losses, 4, ELEMENTS) _(huber_gradient, 6, ELEMENTS)                      \
    _(binary_losses, 4, ELEMENTS) _(binary_gradient, 6, ELEMENTS) _(binary_logits_losses, 4, ELEMENTS)                 \
    _(binary_logits_gradient, 6, ELEMENTS) _(logistic_losses, 4, ELEMENTS) _(logistic_gradient, 6, ELEMENTS)           \
    _(squared_error, 4, ROWS_0) _(squared_error_gradient, 6, CELLS_1) _(triplet, 5, ROWS_0)                            \
    _(triplet_gradient, 8, CELLS_1)                                                                                    \
    _(average, 3, WHOLE) _(average_gradient, 3, ELEMENTS) _(weighted_average, 4, WHOLE)                                \
    _(weighted_average_gradient, 4, ELEMENTS) _(label_weights, 3, ELEMENTS) _(move_average, 3, PACKS)                  \
    _(squared_norm, 2, WHOLE) _(squared_pieces, 3, ROWS_0) _(scale_by_norm, 3, PACKS) _(clip_by_value, 2, PACKS)       \
    _(elastic_net, 4, WHOLE) _(elastic_net_gradient, 5, ELEMENTS)                                                      \
    _(labels_fit, 2, HOST) _(all_finite, 1, HOST) _(weights_fit, 2, HOST) _(range_fit, 4, HOST)                        \
    _(bounds_fit, 3, HOST) _(take_rows, 3, GATHER)                                                                     \
    _(add, 3, BINARY) _(subtract, 3, BINARY) _(multiply, 3, BINARY) _(divide, 3, BINARY)                               \
    _(negative, 2, MAP) _(square_roots, 2, MAP) _(row_sums, 2, ROWS_0)                                                 \
    _(copy, 2, HOST) _(fill, 2, PACKS) _(count, 1, ONCE) _(round_to, 4, FLOATS)                                        \
    _(sgd, 7, PACKS) _(adagrad, 6, PACKS) _(rmsprop, 10, PACKS) _(adam, 13, PACKS)                                     \
    _(nadam, 13, PACKS) _(lion, 7, PACKS)                                                                              \
    CURVE_KERNELS(_, relu, 0) CURVE_KERNELS(_, leaky_relu, 1) CURVE_KERNELS(_, elu, 1) CURVE_KERNELS(_, sigmoid, 0)    \
    CURVE_KERNELS(_, tanh, 0) CURVE_KERNELS(_, gelu, 0) CURVE_KERNELS(_, silu, 0) CURVE_KERNELS(_, softplus, 0)

/* An activation's: of x, of its gradient, with a bias, with the bias's gradient; `settings` it takes beside these. */
#define CURVE_KERNELS(_, name, settings)                                                                               \
    _(name, 2 + settings, MAP) _(name##_gradient, 3 + settings, MAP_2) _(bias_##name, 3 + settings, CELLS_0)           \
    _(name##_gradient_sum, 4 + settings, COLUMNS)
