// Hopper's own instructions, one thin function each: mbarriers, bulk tensor copies, wgmma ordering, clusters, stmatrix.
// Semantics and encodings: PTX ISA 8.x.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace gem::kernels {

/// Address in the shared window, as the functions below take it.
__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// 16 bytes of shared memory, 16-byte aligned.
__device__ __forceinline__ uint4 load_shared_16(std::uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address));
  return v;
}

/// One float of shared memory.
__device__ __forceinline__ float load_shared_f32(std::uint32_t address) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address) : "memory");
  return v;
}

/// Two neighbouring floats, 8-byte aligned.
__device__ __forceinline__ float2 load_shared_f32x2(std::uint32_t address) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address) : "memory");
  return v;
}

/// Stores one float in shared memory.
__device__ __forceinline__ void store_shared_f32(std::uint32_t address, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}

/// Two neighbouring floats, 8-byte aligned.
__device__ __forceinline__ void store_shared_f32x2(std::uint32_t address, float first, float second) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(first), "f"(second) : "memory");
}

/// Four bytes.
__device__ __forceinline__ void store_shared_u32(std::uint32_t address, std::uint32_t value) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

/// Two bytes.
__device__ __forceinline__ void store_shared_u16(std::uint32_t address, unsigned short value) {
  asm volatile("st.shared.u16 [%0], %1;" ::"r"(address), "h"(value) : "memory");
}

/// The low byte of `value`.
__device__ __forceinline__ void store_shared_u8(std::uint32_t address, unsigned value) {
  asm volatile("st.shared.u8 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

// --- mbarrier -----------------------------------------------------------------------------------------------------

/// A barrier whose phases complete after so many arrivals and the bytes that were announced.
__device__ __forceinline__ void barrier_init(std::uint32_t barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Arrives, and announces `bytes` more from the copy engine for this phase.
__device__ __forceinline__ void barrier_expect(std::uint32_t barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/// Arrives at the barrier with the same offset in block `rank` of the cluster. Not at cluster scope: that would fence
/// all memory at every stage (seen: half the speed), and what the barrier guards is read by the tensor cores only.
__device__ __forceinline__ void barrier_arrive_cluster(std::uint32_t barrier, unsigned rank) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}\n" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

/// Arrives at a barrier of this block.
__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/// Whether the phase with this parity has completed; waits a moment for it.
__device__ __forceinline__ bool barrier_try_wait(std::uint32_t barrier, unsigned parity) {
  std::uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
}

/// Waits for the phase with this parity to complete. With GEM_BOUNDED_WAIT a wait that lasts seconds traps, so that a
/// mistake in the pipeline ends in an error and not in a GPU that hangs.
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, unsigned parity) {
#ifdef GEM_BOUNDED_WAIT
  for (int i = 0; !barrier_try_wait(barrier, parity); ++i)
    if (i > 4000000) __trap();
#else
  while (!barrier_try_wait(barrier, parity)) {
  }
#endif
}

// --- small copies that nobody waits for ----------------------------------------------------------------------------

/// 4 bytes from global to shared memory.
__device__ __forceinline__ void copy_async_4(std::uint32_t target, const void* source) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(target), "l"(source) : "memory");
}

/// Arrives at the barrier once this thread's copy_async_4 so far are done; counts among the barrier's arrivals.
__device__ __forceinline__ void barrier_arrive_when_copied(std::uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// --- bulk tensor copies -------------------------------------------------------------------------------------------

/// Brings the map into the cache before its first use.
__device__ __forceinline__ void prefetch_tensor_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// Starts the copy of a box from (c0, c1) on, c0 the fastest, to shared memory; the barrier gets its bytes.
__device__ __forceinline__ void copy_tile_2d(std::uint32_t target, const CUtensorMap* map, std::uint32_t barrier,
                                             int c0, int c1) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(target),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1)
      : "memory");
}

/// The same box into every block of `mask`, at the same offset, each block's own barrier told.
__device__ __forceinline__ void copy_tile_2d_multicast(std::uint32_t target, const CUtensorMap* map,
                                                       std::uint32_t barrier, int c0, int c1, std::uint16_t mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%3, %4}], [%2], %5;" ::"r"(target),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "h"(mask)
      : "memory");
}

/// The same of a map of three dimensions.
__device__ __forceinline__ void copy_tile_3d(std::uint32_t target, const CUtensorMap* map, std::uint32_t barrier,
                                             int c0, int c1, int c2) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(target),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
}

/// The same of a map of five dimensions.
__device__ __forceinline__ void copy_tile_5d(std::uint32_t target, const CUtensorMap* map, std::uint32_t barrier,
                                             int c0, int c1, int c2, int c3, int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6, "
      "%7}], [%2];" ::"r"(target),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
      : "memory");
}

/// Orders ordinary accesses of this thread before later ones of the copy engine and the tensor cores, and the reverse.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async;" ::: "memory");
}

// --- wgmma --------------------------------------------------------------------------------------------------------

/// Orders accesses of registers and shared memory before the next multiplications.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/// Makes the multiplications since the last one a group.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits until at most kPending groups are under way.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Keeps the compiler from moving accesses of an accumulator across a wait.
__device__ __forceinline__ void pin(float& value) {
  asm volatile("" : "+f"(value)::"memory");
}

/// Descriptor of a K-major tile with rows of 128 bytes, swizzled by 128 bytes as the copy engine writes it: 8 rows make
/// a 1024-byte group, groups follow one another.
__device__ __forceinline__ std::uint64_t matrix_descriptor(std::uint32_t address) {
  return (static_cast<std::uint64_t>(1) << 62) | (static_cast<std::uint64_t>(1024 >> 4) << 32) |
         (static_cast<std::uint64_t>(1) << 16) | ((address & 0x3ffffu) >> 4);
}

/// Gives registers back, down to kRegisters a thread; called by a whole warpgroup.
template <int kRegisters>
__device__ __forceinline__ void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// Takes registers, up to kRegisters a thread; waits until there are so many.
template <int kRegisters>
__device__ __forceinline__ void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// --- clusters, named barriers, memory order -----------------------------------------------------------------------

/// Number of this block in its cluster.
__device__ __forceinline__ unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// Waits for all threads of the cluster.
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/// Makes barriers seen by the cluster and the copy engine once they are initialised.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Waits until so many threads of the block have come to barrier `id`.
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// Loads; what was written before the add_release whose sum is seen is seen too.
__device__ __forceinline__ std::int32_t load_acquire(const std::int32_t* address) {
  std::int32_t value;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}

/// Adds, after all that this thread wrote before.
__device__ __forceinline__ void add_release(std::int32_t* address, std::int32_t value) {
  asm volatile("red.release.gpu.global.add.s32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

/// Loads and adds likewise within a block, on shared memory.
__device__ __forceinline__ int load_acquire_shared(const int* address) {
  int value;
  asm volatile("ld.acquire.cta.shared.s32 %0, [%1];" : "=r"(value) : "r"(shared_address(address)) : "memory");
  return value;
}

__device__ __forceinline__ void add_release_shared(int* address, int value) {
  asm volatile("red.release.cta.shared.add.s32 [%0], %1;" ::"r"(shared_address(address)), "r"(value) : "memory");
}

// --- stmatrix: 8 x 8 matrices of 16-bit values, transposed on the way to shared memory ----------------------------

/// Two matrices, one register each; lanes 0 to 15 give the addresses of their rows.
__device__ __forceinline__ void store_matrix_x2_transposed(std::uint32_t address, std::uint32_t r0, std::uint32_t r1) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(address), "r"(r0), "r"(r1)
               : "memory");
}

/// Four matrices; all lanes give addresses.
__device__ __forceinline__ void store_matrix_x4_transposed(std::uint32_t address, std::uint32_t r0, std::uint32_t r1,
                                                           std::uint32_t r2, std::uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r0),
               "r"(r1), "r"(r2), "r"(r3)
               : "memory");
}

}  // namespace gem::kernels
