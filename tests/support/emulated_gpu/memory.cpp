// The device's memory: one range of addresses, with a byte of shadow for each byte, and who looks at it.
#include <sys/mman.h>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include "runtime.hpp"

enum : unsigned char { NEVER = 0, UNWRITTEN = 1, WRITTEN = 2, FREED = 3 };
static const size_t ARENA = size_t(1) << 38, GAP = 512, FRESH = size_t(1) << 24, PAGE = 4096;
static char* arena;
static unsigned char* shadow;
static size_t used = GAP;
static int checking;

static void* reserve() {
  return mmap(nullptr, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
extern "C" void emulated_check(int on) { checking = on; }
extern "C" void* emulated_malloc(size_t size) {
  if (!arena) {
    arena = static_cast<char*>(reserve());
    shadow = static_cast<unsigned char*>(reserve());
  }
  const size_t start = used, end = start + size;
  if (arena == MAP_FAILED || shadow == MAP_FAILED || end > ARENA) return nullptr;
  used = (end + 2 * GAP - 1) / GAP * GAP;  // at least half a gap between two
  if (used < end + GAP / 2) used += GAP;
  if (checking) memset(shadow + start, UNWRITTEN, size);
  memset(arena + start, 0xAB, std::min(size, FRESH));
  return arena + start;
}
extern "C" void emulated_free(char* at, size_t size) {  // addresses are not used again; the pages go back
  if (checking) memset(shadow + (at - arena), FREED, size);
  memset(at, 0xCD, std::min(size, PAGE));
  if (size >= 2 * PAGE) {
    char* from = reinterpret_cast<char*>((reinterpret_cast<size_t>(at) + 2 * PAGE - 1) / PAGE * PAGE);
    madvise(from, (at + size - from) / PAGE * PAGE, MADV_DONTNEED);
  }
}
extern "C" void emulated_written(const char* at, size_t size) {
  if (checking && emulated_is_global(at)) memset(shadow + (at - arena), WRITTEN, size);
}
extern "C" bool emulated_is_global(const void* p) {
  return static_cast<const char*>(p) >= arena && static_cast<const char*>(p) < arena + ARENA;
}

static void fail_at(const char* why, const void* p) {  // device.py says which array that is
  char where[100];
  snprintf(where, sizeof where, "%s at %p", why, p);
  emulated_fail(where);
}
extern "C" void emulated_access(const void* p, size_t size, int write, int atomic) {
  if (!checking || !launch) return;
  if (reinterpret_cast<size_t>(p) < PAGE) fail_at(write ? "writes" : "reads", p);
  if (!emulated_is_global(p)) return;  // the stack, shared memory, constants
  unsigned char* seen = shadow + (static_cast<const char*>(p) - arena);
  for (size_t n = 0; n < size; ++n) {
    const void* at = static_cast<const char*>(p) + n;
    if (seen[n] == NEVER) fail_at(write ? "writes out of bounds" : "reads out of bounds", at);
    if (seen[n] == FREED) fail_at(write ? "writes freed memory" : "reads freed memory", at);
    if (seen[n] == UNWRITTEN && (!write || atomic) && checking > 1) fail_at("reads what nobody wrote", at);
    if (write) seen[n] = WRITTEN;
  }
}

// ---- Loads and stores of a text that was compiled with -fsanitize=thread come here: this is in place of libtsan
static void access(const void* p, size_t size, int write) {
  if (launch && reinterpret_cast<size_t>(p) % size && emulated_is_global(p)) fail_at("misaligned access", p);
  change_hands();
  emulated_access(p, size, write, 0);  // another thread may have come between
}
#define ACCESS(n)                                                               \
  extern "C" void __tsan_read##n(void* p) { access(p, n, 0); }                  \
  extern "C" void __tsan_write##n(void* p) { access(p, n, 1); }                 \
  extern "C" void __tsan_unaligned_read##n(void* p) { access(p, n, 0); }        \
  extern "C" void __tsan_unaligned_write##n(void* p) { access(p, n, 1); }       \
  extern "C" void __tsan_volatile_read##n(void* p) { access(p, n, 0); }         \
  extern "C" void __tsan_volatile_write##n(void* p) { access(p, n, 1); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
extern "C" void __tsan_read_range(void* p, size_t size) { emulated_access(p, size, 0, 0); }
extern "C" void __tsan_write_range(void* p, size_t size) { emulated_access(p, size, 1, 0); }
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
extern "C" void __tsan_vptr_update(void**, void*) {}
#define ATOMIC(bits, T)                                                                                                \
  extern "C" T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }   \
  extern "C" int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T d, int, int) {                   \
    return __atomic_compare_exchange_n(p, e, d, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                            \
  }                                                                                                                    \
  extern "C" int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* e, T d, int, int) {                     \
    return __atomic_compare_exchange_n(p, e, d, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                            \
  }
ATOMIC(8, unsigned char) ATOMIC(16, unsigned short) ATOMIC(32, unsigned) ATOMIC(64, unsigned long)
extern "C" void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// ---- -fsanitize=alignment without libubsan: what is wrong is a float4 at a multiple of 4 bytes, say
extern "C" void __ubsan_handle_type_mismatch_v1(void*, void* p) { if (launch) fail_at("misaligned access", p); }
extern "C" void __ubsan_handle_type_mismatch_v1_abort(void*, void* p) { if (launch) fail_at("misaligned access", p); }
