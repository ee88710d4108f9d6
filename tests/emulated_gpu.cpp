/* What would a GPU's threads do? The kernels of backends/cuda as C++ on a CPU: each thread of a block a coroutine.
 *
 * Threads run one after the other, from meeting to meeting: what one of them may only read after another wrote it must
 * have a meeting in between, or one of the two orders in which tests run them shows it.
 */

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <csetjmp>
#include <functional>
#include <ucontext.h>

struct Numbers3 { unsigned x, y, z; };
static Numbers3 gridDim, blockDim, blockIdx, threadIdx;

#define __device__
#define __global__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static

static void __syncthreads();
template <typename T> static T __shfl_xor_sync(unsigned members, T value, int step);

#include "kernels.cu"

enum { MOST = 1024, STACK = 256 * 1024, WARP = 32 };

static jmp_buf scheduler, threads[MOST]; /* jumps, since changing contexts asks the system each time */
static char *stacks = nullptr;
static bool begun[MOST], done[MOST];
static int64_t met[MOST], exchanged[MOST]; /* at how many meetings of the block, of those who exchange, each has been */
static unsigned char deposits[MOST][16];
static int current, living;
static int64_t arrivals; /* at meetings of the block, of all its threads */
static std::function<void()> body;
static int64_t progress; /* whenever a thread has come to a meeting, or to its end */

/* What tests set and read. The order: 0, each thread in turn; 1, the last one first; 2, each warp as far as it can go
 * alone. What a launch fails with; how many blocks it has at most, 0 for as many as it asks for; how many launches. */
extern "C" { int64_t emulated_order = 0, emulated_fails = 0, emulated_blocks = 0, emulated_launches = 0; }

static void leave()
{
    if (_setjmp(threads[current]) == 0) _longjmp(scheduler, 1);
}

static void __syncthreads()
{
    const int64_t turn = ++met[current];
    arrivals++, progress++;
    while (arrivals < turn * blockDim.x) {
        if (living < (int)blockDim.x) abort(); /* a thread that has ended will never come */
        leave();
    }
}

static void meet_members(unsigned members)
{
    const int64_t turn = ++exchanged[current];
    progress++;
    const int first = current / WARP * WARP;
    for (int k = 0; k < WARP; k++) {
        if (!(members >> k & 1) || first + k >= (int)blockDim.x) continue;
        while (exchanged[first + k] < turn) {
            if (done[first + k]) abort();
            leave();
        }
    }
}

template <typename T> static T __shfl_xor_sync(unsigned members, T value, int step)
{
    T other;
    static_assert(sizeof(T) <= 8, "a number");
    memcpy(deposits[current], &value, sizeof value);
    meet_members(members);
    memcpy(&other, deposits[current ^ step], sizeof other);
    meet_members(members);
    return other;
}

/* A coroutine: thread number `current` of one block after the other. */
static void thread_body()
{
    for (;;) {
        body();
        done[current] = true;
        living--, progress++;
        leave();
    }
}

static void resume(int thread)
{
    current = thread;
    threadIdx = {(unsigned)thread, 0, 0};
    if (_setjmp(scheduler) != 0) return;
    if (begun[thread]) _longjmp(threads[thread], 1);
    begun[thread] = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)thread * STACK;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, thread_body, 0);
    setcontext(&context);
}

static void run_block()
{
    const int count = (int)blockDim.x;
    for (int t = 0; t < count; t++) done[t] = false, met[t] = exchanged[t] = 0;
    for (living = count, arrivals = 0; living > 0;) {
        for (int first = 0; first < count; first += WARP) {
            int64_t before;
            do {
                before = progress;
                for (int k = first; k < first + WARP && k < count; k++) {
                    const int thread = emulated_order == 1 ? count - 1 - k : k;
                    if (!done[thread]) resume(thread);
                }
            } while (emulated_order == 2 && progress != before);
        }
    }
}

/* A cell of a matrix that no test has memory for. */
extern "C" void emulated_cell(int64_t number, int64_t columns, int64_t *found)
{
    const Cell cell = cell_of(number, columns);
    found[0] = cell.row, found[1] = cell.column;
}

/* As cuLaunchKernel. */
extern "C" int emulated_launch(void *function, unsigned blocks, unsigned, unsigned, unsigned size, unsigned, unsigned,
                               unsigned, void *, void **parameters, void **)
{
    if (emulated_fails) return (int)emulated_fails;
    if (size > MOST || blocks == 0) return 1; /* CUDA_ERROR_INVALID_VALUE */
    if (emulated_blocks && blocks > emulated_blocks) blocks = (unsigned)emulated_blocks;
    if (stacks == nullptr) stacks = (char *)malloc((size_t)MOST * STACK);
    Call call;
    memcpy(&call, parameters[0], sizeof call);
    body = [&] { ((void (*)(const Call))function)(call); };
    blockDim = {size, 1, 1};
    gridDim = {blocks, 1, 1};
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx = {emulated_order == 1 ? blocks - 1 - b : b, 0, 0};
        run_block();
    }
    emulated_launches++;
    return 0;
}
