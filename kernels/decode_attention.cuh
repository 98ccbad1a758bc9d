// Attention of one decode step:
//
//   output[s, h] = sum_t p[s, h, t] values[s, t, g(h)]
//   p[s, h]      = softmax over t of scale * query[s, h] . keys[s, t, g(h)]
//
// for t below contexts[s] and g(h) the head of keys and values that query head h belongs to.
//
// A block takes one sequence, one head of keys and values with all query heads that share it, and a part of the context
// (Flash-Decoding, Dao et al. 2023). It walks its part in tiles of tokens that cp.async brings into shared memory
// several stages ahead, so that the memory never idles. Products run on the tensor cores with the tokens, then the
// value's elements, as the 16 rows of mma.m16n8k16 and the query heads as its 8 columns: a group of up to 8 heads
// wastes little.
//
//   scores:  each warp 16 tokens of the tile,       S^T = K Q^T
//   softmax: maxima of the tile through shared memory, running maximum and sum as in online softmax
//   output:  each warp its share of the elements,   O^T = V^T P^T, with P through shared memory
//
// Blocks of one sequence and head leave partial sums; the last one to come by adds them up and zeroes the counter.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace gem::kernels::attention {

inline constexpr int kWarps = 4;
inline constexpr int kThreads = 32 * kWarps;
inline constexpr int kHeadsOfTile = 8;  // columns of an mma
inline constexpr int kMostHeads = 16;   // query heads of a block
inline constexpr int kMostSplits = 64;

// Sizes of one kernel. Rows in shared memory are 16 bytes longer than their data against bank conflicts.
template <int kKey_, int kValue_, bool kLatent_, int kHeadTiles_, int kTile_, int kStages_, int kResident_>
struct Sizes {
  static constexpr int kKey = kKey_;
  static constexpr int kValue = kValue_;
  static constexpr bool kLatent = kLatent_;
  static constexpr int kHeadTiles = kHeadTiles_;
  static constexpr int kHeads = kHeadsOfTile * kHeadTiles;
  static constexpr int kTile = kTile_;  // tokens
  static constexpr int kStages = kStages_;
  static constexpr int kResident = kResident_;  // blocks of a multiprocessor
  static constexpr int kKeyStride = kKey * 2 + 16;
  static constexpr int kValueStride = kLatent ? kKeyStride : kValue * 2 + 16;
  static constexpr int kValueOffset = kLatent ? 0 : kTile * kKeyStride;
  static constexpr int kStageBytes = kValueOffset + kTile * kValueStride;
  static constexpr int kProbabilityStride = kTile * 2 + 16;
  static constexpr int kQueryOffset = kStageBytes * kStages;
  static constexpr int kProbabilityOffset = kQueryOffset + kHeads * kKeyStride;
  static constexpr int kMaximaOffset = kProbabilityOffset + kHeads * kProbabilityStride;
  static constexpr int kSharedBytes = kMaximaOffset + kWarps * kHeads * 4;
  static constexpr int kTokenTiles = kTile > 16 * kWarps ? kTile / (16 * kWarps) : 1;  // 16 tokens each, of one warp
  static constexpr int kScoringWarps = kTile / (16 * kTokenTiles);
  static constexpr int kRowTiles = kValue / kWarps / 16;  // 16 elements of the values each, of one warp
  static_assert(kSharedBytes >= kMostSplits * kHeads * 3 * 4, "add_parts");
  static_assert(kKey % 32 == 0 && kTile % (16 * kTokenTiles) == 0 && kScoringWarps <= kWarps &&
                kValue % (16 * kWarps) == 0);
};

struct KernelArguments {
  const __nv_bfloat16* query;
  const __nv_bfloat16* keys;
  const __nv_bfloat16* values;
  const std::int32_t* contexts;
  __nv_bfloat16* output;
  float* partial_outputs;  // [sequence, kv head and group, split, head of the group, value]
  float* partial_sums;     // [..., split, head of the group, 2]: maximum and sum
  std::int32_t* counters;  // [sequence, kv head and group]
  int query_heads;
  int kv_heads;
  int groups;  // of query heads of one kv head
  int max_context;
  float scale_log2;
};

// 16 bytes; zeros where `valid` is false.
__device__ __forceinline__ void copy_async(std::uint32_t target, const void* source, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(valid ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copies_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int kPending>
__device__ __forceinline__ void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8 x 8 matrices of bf16 from shared memory; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void load_matrices(std::uint32_t (&m)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address));
}

__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&m)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address));
}

__device__ __forceinline__ void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Greatest of the lanes that hold the same columns of an accumulator.
__device__ __forceinline__ float max_over_rows(float value) {
#pragma unroll
  for (int step = 4; step < 32; step *= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

__device__ __forceinline__ float sum_over_rows(float value) {
#pragma unroll
  for (int step = 4; step < 32; step *= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// What a block works on.
struct Work {
  int sequence;
  int kv_head;
  int first_head;  // query head
  int heads;       // query heads of this block
  int context;
  int tile_begin;
  int tile_end;
};

template <class S>
__device__ __forceinline__ Work work_of(const KernelArguments& a) {
  Work work;
  work.sequence = static_cast<int>(blockIdx.z);
  work.kv_head = static_cast<int>(blockIdx.y) / a.groups;
  const int heads_of_kv = a.query_heads / a.kv_heads;
  const int first = static_cast<int>(blockIdx.y) % a.groups * S::kHeads;
  work.first_head = work.kv_head * heads_of_kv + first;
  work.heads = min(S::kHeads, heads_of_kv - first);
  work.context = a.contexts[work.sequence];
  const int tiles = (work.context + S::kTile - 1) / S::kTile;
  const int share = (tiles + static_cast<int>(gridDim.x) - 1) / static_cast<int>(gridDim.x);
  work.tile_begin = min(tiles, static_cast<int>(blockIdx.x) * share);
  work.tile_end = min(tiles, work.tile_begin + share);
  return work;
}

// Starts the copies of one tile; tokens behind the context become zeros.
template <class S, int kSize, int kStride>
__device__ __forceinline__ void copy_rows(std::uint32_t target, const __nv_bfloat16* cache, const KernelArguments& a,
                                          const Work& work, int tile) {
  constexpr int kVectors = kSize / 8;
  for (int i = static_cast<int>(threadIdx.x); i < S::kTile * kVectors; i += kThreads) {
    const int row = i / kVectors;
    const int vector = i % kVectors;
    const int token = tile * S::kTile + row;
    const std::int64_t place = static_cast<std::int64_t>(work.sequence) * a.max_context + min(token, work.context - 1);
    copy_async(target + static_cast<std::uint32_t>(row * kStride + vector * 16),
               cache + (place * a.kv_heads + work.kv_head) * kSize + vector * 8, token < work.context);
  }
}

template <class S>
__device__ __forceinline__ void copy_tile(std::uint32_t stage, const KernelArguments& a, const Work& work, int tile) {
  copy_rows<S, S::kKey, S::kKeyStride>(stage, a.keys, a, work, tile);
  if constexpr (!S::kLatent) copy_rows<S, S::kValue, S::kValueStride>(stage + S::kValueOffset, a.values, a, work, tile);
}

// Adds up what the blocks of one sequence and head have left: each part weighed by its maximum. `weights` is shared
// memory for [split, head] and twice as much behind it.
template <class S>
__device__ __forceinline__ void add_parts(const KernelArguments& a, const Work& work, std::int64_t group,
                                          float* weights) {
  const int splits = static_cast<int>(gridDim.x);
  const int rows = splits * S::kHeads;
  float* sums = weights + rows;  // [split, head, 2]
  for (int i = static_cast<int>(threadIdx.x); i < rows * 2; i += kThreads)
    sums[i] = __ldcg(a.partial_sums + group * rows * 2 + i);
  __syncthreads();
  for (int head = static_cast<int>(threadIdx.x); head < work.heads; head += kThreads) {
    float maximum = -INFINITY;
    for (int i = head; i < rows; i += S::kHeads) maximum = fmaxf(maximum, sums[i * 2]);
    float sum = 0.0f;
    for (int i = head; i < rows; i += S::kHeads) sum += (weights[i] = exp2f(sums[i * 2] - maximum)) * sums[i * 2 + 1];
    for (int i = head; i < rows; i += S::kHeads) weights[i] /= sum;
  }
  __syncthreads();
  const auto* outputs = reinterpret_cast<const float4*>(a.partial_outputs + group * rows * S::kValue);
  auto* output = reinterpret_cast<uint2*>(
      a.output + (static_cast<std::int64_t>(work.sequence) * a.query_heads + work.first_head) * S::kValue);
  for (int i = static_cast<int>(threadIdx.x); i < work.heads * S::kValue / 4; i += kThreads) {
    const int head = i / (S::kValue / 4);
    float4 total = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 8
    for (int s = 0; s < splits; ++s) {
      const float4 part = __ldcg(outputs + s * (S::kHeads * S::kValue / 4) + i);
      const float weight = weights[s * S::kHeads + head];
      total.x = fmaf(weight, part.x, total.x);
      total.y = fmaf(weight, part.y, total.y);
      total.z = fmaf(weight, part.z, total.z);
      total.w = fmaf(weight, part.w, total.w);
    }
    const __nv_bfloat162 low = __floats2bfloat162_rn(total.x, total.y);
    const __nv_bfloat162 high = __floats2bfloat162_rn(total.z, total.w);
    output[i] = make_uint2(*reinterpret_cast<const unsigned*>(&low), *reinterpret_cast<const unsigned*>(&high));
  }
}

template <class S>
__global__ void __launch_bounds__(kThreads, S::kResident) decode_attention_kernel(const KernelArguments a) {
  extern __shared__ __align__(128) unsigned char memory[];
  const auto stages = static_cast<std::uint32_t>(__cvta_generic_to_shared(memory));
  const std::uint32_t query = stages + S::kQueryOffset;
  auto* probabilities = memory + S::kProbabilityOffset;                // bf16 [head, token]
  auto* maxima = reinterpret_cast<float*>(memory + S::kMaximaOffset);  // [warp, head]
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = lane / 4;         // of an accumulator; and row + 8
  const int column = lane % 4 * 2;  // and column + 1
  const Work work = work_of<S>(a);

  for (int s = 0; s < S::kStages - 1; ++s) {
    if (work.tile_begin + s < work.tile_end)
      copy_tile<S>(stages + static_cast<std::uint32_t>(S::kStageBytes * s), a, work, work.tile_begin + s);
    copies_commit();
  }
  for (int i = static_cast<int>(threadIdx.x); i < S::kHeads * (S::kKey / 8); i += kThreads) {
    const int head = i / (S::kKey / 8);
    const int vector = i % (S::kKey / 8);
    uint4 values = make_uint4(0, 0, 0, 0);
    if (head < work.heads)
      values = reinterpret_cast<const uint4*>(
          a.query +
          (static_cast<std::int64_t>(work.sequence) * a.query_heads + work.first_head + head) * S::kKey)[vector];
    *reinterpret_cast<uint4*>(memory + S::kQueryOffset + head * S::kKeyStride + vector * 16) = values;
  }

  float maximum[S::kHeadTiles][2];
  float sum[S::kHeadTiles][2];
  float output[S::kRowTiles][S::kHeadTiles][4];
#pragma unroll
  for (int h = 0; h < S::kHeadTiles; ++h) {
    maximum[h][0] = maximum[h][1] = -INFINITY;
    sum[h][0] = sum[h][1] = 0.0f;
#pragma unroll
    for (int r = 0; r < S::kRowTiles; ++r)
#pragma unroll
      for (int i = 0; i < 4; ++i) output[r][h][i] = 0.0f;
  }

  int stage = 0;
  for (int tile = work.tile_begin; tile < work.tile_end; ++tile) {
    copies_wait<S::kStages - 2>();
    __syncthreads();  // this tile is there, and everyone is done with the one before
    const int next = tile + S::kStages - 1;
    if (next < work.tile_end)
      copy_tile<S>(stages + static_cast<std::uint32_t>(S::kStageBytes * ((stage + S::kStages - 1) % S::kStages)), a,
                   work, next);
    copies_commit();
    const std::uint32_t keys = stages + static_cast<std::uint32_t>(S::kStageBytes * stage);
    const std::uint32_t values = keys + S::kValueOffset;
    stage = (stage + 1) % S::kStages;

    float scores[S::kTokenTiles][S::kHeadTiles][4] = {};
    float odd_scores[S::kTokenTiles][S::kHeadTiles][4] = {};  // sums of every other step: two chains are half as long
    if (warp < S::kScoringWarps) {
      const std::uint32_t key_rows =
          keys + static_cast<std::uint32_t>((warp * S::kTokenTiles * 16 + lane % 16) * S::kKeyStride + lane / 16 * 16);
      const std::uint32_t query_rows = query + static_cast<std::uint32_t>(lane % 8 * S::kKeyStride + lane / 8 * 16);
#pragma unroll
      for (int k = 0; k < S::kKey / 32; ++k) {
        std::uint32_t heads[S::kHeadTiles][4];
#pragma unroll
        for (int h = 0; h < S::kHeadTiles; ++h)
          load_matrices(heads[h], query_rows + static_cast<std::uint32_t>(h * kHeadsOfTile * S::kKeyStride + k * 64));
#pragma unroll
        for (int t = 0; t < S::kTokenTiles; ++t) {
          std::uint32_t first[4];
          std::uint32_t second[4];
          load_matrices(first, key_rows + static_cast<std::uint32_t>(t * 16 * S::kKeyStride + k * 64));
          load_matrices(second, key_rows + static_cast<std::uint32_t>(t * 16 * S::kKeyStride + k * 64 + 32));
#pragma unroll
          for (int h = 0; h < S::kHeadTiles; ++h) {
            multiply_add(scores[t][h], first, heads[h][0], heads[h][1]);
            multiply_add(odd_scores[t][h], second, heads[h][2], heads[h][3]);
          }
        }
      }
      const int token = tile * S::kTile + warp * S::kTokenTiles * 16 + row;
#pragma unroll
      for (int h = 0; h < S::kHeadTiles; ++h)
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          float greatest = -INFINITY;
#pragma unroll
          for (int t = 0; t < S::kTokenTiles; ++t)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              float& score = scores[t][h][c + half * 2];
              score += odd_scores[t][h][c + half * 2];
              score = token + t * 16 + half * 8 < work.context ? score * a.scale_log2 : -INFINITY;
              greatest = fmaxf(greatest, score);
            }
          greatest = max_over_rows(greatest);
          if (lane < 4) maxima[warp * S::kHeads + h * kHeadsOfTile + column + c] = greatest;
        }
    }
    __syncthreads();

    // A tile has at least one token, so that the new maximum is finite.
#pragma unroll
    for (int h = 0; h < S::kHeadTiles; ++h)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int head = h * kHeadsOfTile + column + c;
        float greatest = maximum[h][c];
#pragma unroll
        for (int w = 0; w < S::kScoringWarps; ++w) greatest = fmaxf(greatest, maxima[w * S::kHeads + head]);
        const float shrink = exp2f(maximum[h][c] - greatest);
        maximum[h][c] = greatest;
        sum[h][c] *= shrink;
#pragma unroll
        for (int r = 0; r < S::kRowTiles; ++r) {
          output[r][h][c] *= shrink;
          output[r][h][c + 2] *= shrink;
        }
        if (warp < S::kScoringWarps) {
#pragma unroll
          for (int t = 0; t < S::kTokenTiles; ++t)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              const __nv_bfloat16 p = __float2bfloat16(exp2f(scores[t][h][c + half * 2] - greatest));
              const int token = (warp * S::kTokenTiles + t) * 16 + row + half * 8;
              sum[h][c] += __bfloat162float(p);
              *reinterpret_cast<__nv_bfloat16*>(probabilities + head * S::kProbabilityStride + token * 2) = p;
            }
        }
      }
    __syncthreads();

    const std::uint32_t value_rows =
        values + static_cast<std::uint32_t>((lane % 8 + lane / 16 * 8) * S::kValueStride +
                                            (warp * S::kRowTiles * 16 + lane / 8 % 2 * 8) * 2);
#pragma unroll
    for (int k = 0; k < S::kTile / 16; ++k) {
      std::uint32_t p[S::kHeadTiles][2];
#pragma unroll
      for (int h = 0; h < S::kHeadTiles; ++h)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          p[h][half] = *reinterpret_cast<const std::uint32_t*>(
              probabilities + (h * kHeadsOfTile + row) * S::kProbabilityStride + (k * 16 + column + half * 8) * 2);
#pragma unroll
      for (int r = 0; r < S::kRowTiles; ++r) {
        std::uint32_t elements[4];
        load_matrices_transposed(elements, value_rows + static_cast<std::uint32_t>(k * 16 * S::kValueStride + r * 32));
#pragma unroll
        for (int h = 0; h < S::kHeadTiles; ++h) multiply_add(output[r][h], elements, p[h][0], p[h][1]);
      }
    }
  }

  // Sums over the tokens of all warps; the maxima's place is free now.
  copies_wait<0>();
  __syncthreads();
#pragma unroll
  for (int h = 0; h < S::kHeadTiles; ++h)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const float total = sum_over_rows(sum[h][c]);
      if (lane < 4) maxima[warp * S::kHeads + h * kHeadsOfTile + column + c] = total;
    }
  __syncthreads();

  const std::int64_t group = static_cast<std::int64_t>(work.sequence) * gridDim.y + blockIdx.y;
  const std::int64_t part = group * gridDim.x + blockIdx.x;
  const bool whole = gridDim.x == 1;
#pragma unroll
  for (int h = 0; h < S::kHeadTiles; ++h)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int head = h * kHeadsOfTile + column + c;
      if (head >= work.heads) continue;
      float total = 0.0f;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += maxima[w * S::kHeads + head];
      if (!whole && warp == 0 && row == 0) {
        a.partial_sums[(part * S::kHeads + head) * 2] = maximum[h][c];
        a.partial_sums[(part * S::kHeads + head) * 2 + 1] = total;
      }
#pragma unroll
      for (int r = 0; r < S::kRowTiles; ++r)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int element = (warp * S::kRowTiles + r) * 16 + row + half * 8;
          const float value = output[r][h][c + half * 2];
          if (whole)
            a.output[(static_cast<std::int64_t>(work.sequence) * a.query_heads + work.first_head + head) * S::kValue +
                     element] = __float2bfloat16(value / total);
          else
            a.partial_outputs[(part * S::kHeads + head) * S::kValue + element] = value;
        }
    }
  if (whole) return;

  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(a.counters + group, 1) == static_cast<int>(gridDim.x) - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  add_parts<S>(a, work, group, reinterpret_cast<float*>(memory));
  if (threadIdx.x == 0) a.counters[group] = 0;
}

}  // namespace gem::kernels::attention
