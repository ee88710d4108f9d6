/* Which families of kernels are there? Included for each REAL, and once more, without one, for what Python calls. */

#ifdef REAL
#include "bodies.h"
#include "curves.h"
#include "rows.h"
#endif
#include "sums.h"
#include "linear.h"
#include "activations.h"
#include "units.h"
#include "averages.h"
#include "arithmetic.h"
#include "gather.h"
#include "masks.h"
#include "moves.h"
#include "normalization.h"
#include "optimizers.h"
#ifndef ON_DEVICE /* threads of a GPU share a row: backends/cuda/rows.h */
#include "choices.h"
#include "losses.h"
#include "checks.h"
#include "rounding.h"
#endif
