/* Which families of kernels are there? Included for each REAL, and once more, without one, for what Python calls. */

#ifdef REAL
#include "bodies.h"
#include "curves.h"
#include "rows.h"
#endif
#include "linear.h"
#include "activations.h"
#include "choices.h"
#include "losses.h"
#include "masks.h"
#include "moves.h"
#include "normalization.h"
#include "optimizers.h"
