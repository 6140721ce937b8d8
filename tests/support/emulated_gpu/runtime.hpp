// What the parts of the emulated device share.
#pragma once
#include <atomic>
#include <cstddef>
#include <random>
#include <vector>

struct ThreadPosition { unsigned x, y, z; };
extern __thread ThreadPosition threadIdx, blockIdx, blockDim, gridDim;
extern __thread void* emulated_dynamic_shared;

// A launch that this thread of the host takes part in.
struct Launch {
  void (*call)(const void*);
  const void* arguments;
  int kinds;
  std::atomic<const char*> error{nullptr};
};
extern __thread Launch* launch;

// What the text of a kernel needs: bits that kernels.py finds by reading it.
enum Kinds { WAITS = 1, SHARES = 2, FLUSHES = 4 };

extern "C" {
[[noreturn]] void emulated_fail(const char* why);
void emulated_wait(int kind);  // 0: others may run now, 1: for the block, 2: for the warp
bool emulated_is_global(const void* p);
}
bool shuffles();  // whether threads change hands at random
void change_hands();
