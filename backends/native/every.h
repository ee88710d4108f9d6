/* Which families of kernels are there? Included for each REAL, and once more, without one, for what Python calls. */

#ifdef REAL
#include "bodies.h"
#endif
#include "activations.h"
#include "linear.h"
#include "losses.h"
#include "masks.h"
#include "moves.h"
#include "optimizers.h"
