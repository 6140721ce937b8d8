// Runs the blocks and the threads of a kernel: one after another, or as fibers where threads wait for one another.
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <xmmintrin.h>
#include <algorithm>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include "runtime.hpp"

__thread ThreadPosition threadIdx, blockIdx, blockDim{1, 1, 1}, gridDim{1, 1, 1};
__thread void* emulated_dynamic_shared;
__thread Launch* launch;

// ---- A thread as a fiber
struct Fiber {
  ucontext_t start;
  jmp_buf here;
  char* stack;
  ThreadPosition thread, block;
  int group, lane;  // the number of its block, and its own in there
  bool begun, done;
  int waits;  // for the block (1) or the warp (2)
};
struct Processor {  // what one thread of the host runs
  std::vector<Fiber*> pool;
  jmp_buf scheduler, guard;
  Fiber* current = nullptr;
  std::mt19937 random;
  bool shuffles = false;
  unsigned long long slots[32][32];
  ~Processor();
};
static __thread Processor* processor;
static const size_t STACK = 1 << 17;
Processor::~Processor() {
  for (Fiber* f : pool) munmap(f->stack, STACK), delete f;
}
static std::string message;
static std::mutex lock;

bool shuffles() { return processor && processor->shuffles && processor->current; }
void change_hands() {
  if (shuffles() && processor->random() % 4 == 0) emulated_wait(0);
}

static void give_up(const char* why) {
  lock.lock();  // not a guard: a jump runs no destructor
  if (!launch->error) launch->error = (message = why).c_str();
  lock.unlock();
}
extern "C" [[noreturn]] void emulated_fail(const char* why) {
  char where[300];
  snprintf(where, sizeof where, "%s (block %u, thread %u)", why, blockIdx.x, threadIdx.x);
  give_up(where);
  // Not an exception: the compiler believes that what it calls for a sanitizer throws none.
  if (!processor->current) _longjmp(processor->guard, 1);
  processor->current->done = true;
  _longjmp(processor->scheduler, 1);
}
static void guarded() {
  if (_setjmp(processor->guard) == 0) launch->call(launch->arguments);
}
static void fiber_main() {
  launch->call(launch->arguments);
  processor->current->done = true;
  _longjmp(processor->scheduler, 1);
}
static void resume(Fiber* fiber) {
  threadIdx = fiber->thread;
  blockIdx = fiber->block;
  processor->current = fiber;
  if (_setjmp(processor->scheduler) == 0) {
    if (fiber->begun) _longjmp(fiber->here, 1);
    fiber->begun = true;
    getcontext(&fiber->start);
    fiber->start.uc_stack = {fiber->stack, 0, STACK};
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, fiber_main, 0);
    setcontext(&fiber->start);
  }
  processor->current = nullptr;
}
extern "C" void emulated_wait(int kind) {
  if (!processor || !processor->current) {
    if (kind) emulated_fail("waits for other threads, which its text does not show");
    return;
  }
  if (kind == 0 && !processor->shuffles) return;
  Fiber* fiber = processor->current;
  fiber->waits = kind;
  if (_setjmp(fiber->here) == 0) _longjmp(processor->scheduler, 1);
}
extern "C" unsigned long long emulated_exchange(unsigned long long value, int from) {
  const int lane = processor->current->lane;
  auto& slots = processor->slots[lane / 32];
  slots[lane % 32] = value;
  emulated_wait(2);
  value = slots[from];
  emulated_wait(2);
  return value;
}

// ---- Blocks
static Fiber* fiber(size_t number) {
  if (number == processor->pool.size()) {
    Fiber* made = new Fiber;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    made->stack = static_cast<char*>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE, flags, -1, 0));
    processor->pool.push_back(made);
  }
  return processor->pool[number];
}
static std::vector<Fiber*> threads_of(const std::vector<ThreadPosition>& blocks) {
  std::vector<Fiber*> found;
  for (size_t group = 0; group < blocks.size(); ++group) {
    int lane = 0;
    for (unsigned z = 0; z < blockDim.z; ++z)
      for (unsigned y = 0; y < blockDim.y; ++y)
        for (unsigned x = 0; x < blockDim.x; ++x) {
          Fiber* f = fiber(found.size());
          f->thread = {x, y, z}, f->block = blocks[group], f->group = group, f->lane = lane++;
          f->begun = f->done = false, f->waits = 0;
          found.push_back(f);
        }
  }
  return found;
}
static bool together(const Fiber* a, const Fiber* b, int kind) {
  return a->group == b->group && (kind == 1 || a->lane / 32 == b->lane / 32);
}
static bool release(const std::vector<Fiber*>& live) {  // a block goes on where all of it waits for it, a warp likewise
  bool any = false;
  for (Fiber* f : live) {
    const int kind = f->waits;
    const auto late = [&](Fiber* o) { return together(f, o, kind) && o->waits != kind; };
    if (!kind || std::any_of(live.begin(), live.end(), late)) continue;
    for (Fiber* o : live)
      if (together(f, o, kind)) o->waits = 0;
    any = true;
  }
  return any;
}
static void run_at_random(const std::vector<Fiber*>& live) {
  std::vector<Fiber*> ready;
  for (Fiber* f : live) if (!f->waits) ready.push_back(f);
  for (size_t turns = ready.size() * 4; turns && !ready.empty() && !launch->error; --turns) {
    Fiber*& f = ready[processor->random() % ready.size()];
    for (unsigned go = processor->random() % 4 + 1; go && !f->done && !f->waits; --go) resume(f);
    if (f->done || f->waits) { f = ready.back(); ready.pop_back(); }
  }
}
static void run_fibers(const std::vector<ThreadPosition>& blocks) {
  std::vector<Fiber*> live = threads_of(blocks);
  while (!live.empty() && !launch->error) {
    if (processor->shuffles) run_at_random(live);
    else for (Fiber* f : live) if (!f->waits && !launch->error) resume(f);
    live.erase(std::remove_if(live.begin(), live.end(), [](Fiber* f) { return f->done; }), live.end());
    const bool stuck = std::all_of(live.begin(), live.end(), [](Fiber* f) { return f->waits; });
    if (!live.empty() && stuck && !release(live)) give_up("has threads that wait for one another for ever");
  }
}
static void run_in_turn(ThreadPosition block) {
  blockIdx = block;
  for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)
    for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
      for (threadIdx.x = 0; threadIdx.x < blockDim.x && !launch->error; ++threadIdx.x) guarded();
}

// ---- The launch
static int workers = 1;
static unsigned seed;
static const size_t RESIDENT = 3;  // blocks whose threads change hands
extern "C" void emulated_order(int new_workers, unsigned new_seed) { workers = new_workers, seed = new_seed; }
extern "C" const char* emulated_launch(void (*call)(const void*), const void* arguments, const unsigned* grid, const unsigned* block,
                                       unsigned shared, int kinds) {
  Launch here{call, arguments, kinds};
  const size_t count = size_t(grid[0]) * grid[1] * grid[2];
  const bool fibers = (kinds & WAITS) || seed;
  const size_t resident = seed && !(kinds & (WAITS | SHARES)) && !shared ? RESIDENT : 1;
  std::vector<size_t> order(seed ? count : 0);
  for (size_t n = 0; n < order.size(); ++n) order[n] = n;
  if (seed) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  std::atomic<size_t> next{0};
  auto work = [&](unsigned number) {
    static thread_local Processor own;
    processor = &own, launch = &here;
    processor->shuffles = seed != 0;
    processor->random.seed(seed * 7919 + number);
    std::vector<char> memory(shared);
    emulated_dynamic_shared = memory.data();
    blockDim = {block[0], block[1], block[2]};
    gridDim = {grid[0], grid[1], grid[2]};
    const unsigned before = _mm_getcsr();
    if (kinds & FLUSHES) _mm_setcsr(before | 0x8040);  // flush results to zero, take subnormal operands for zero
    for (size_t from; !here.error && (from = next.fetch_add(resident)) < count;) {
      std::vector<ThreadPosition> blocks;
      for (size_t n = from; n < from + resident && n < count; ++n) {
        const size_t b = seed ? order[n] : n;
        blocks.push_back({unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]), unsigned(b / grid[0] / grid[1])});
      }
      fibers ? run_fibers(blocks) : run_in_turn(blocks[0]);
    }
    _mm_setcsr(before);
    launch = nullptr;
  };
  std::vector<std::thread> threads;
  for (int n = 1; n < workers && count > 1; ++n) threads.emplace_back(work, n);
  work(0);
  for (auto& thread : threads) thread.join();
  if (seed) seed = (seed * 1664525u + 1013904223u) | 1;  // the next launch has another order
  return here.error;
}
extern "C" long long clock64() {
  static std::atomic<long long> now{0};
  return now += 1000000;
}
