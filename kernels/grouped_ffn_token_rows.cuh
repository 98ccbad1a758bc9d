// fp8 tiles of 128 tokens in the Hopper path of the grouped FFN: tokens are the M side of wgmma here, weights the N
// side.
//
// A scale belongs to 128 weight rows but to a single token. With tokens as rows a thread meets two tokens' scales in
// every stage instead of 32: scaling is one multiply-add a product, and the tensor cores' bandwidth to shared memory
// isn't spent on scales. Each of the two warpgroups has 64 tokens and all 256 weight rows, as two halves of 128.
//
// A thread of wgmma's accumulator holds rows g and g + 8 of its warp's 16 tokens, g = lane / 4, and of every 8 weight
// rows numbers 2 (lane % 4) and 2 (lane % 4) + 1. Gate and up rows alternate by eights, so of sums[half][4 j ...] those
// of even j are gate and the next four are up of the same units.
#pragma once

#include "grouped_ffn_products.cuh"
#include "grouped_ffn_store.cuh"

namespace gem::kernels::sm90 {

/// One warpgroup's sums over the depth of a tile: every stage's product, 128 deep, is scaled and added in f32, while
/// the other warpgroup multiplies. `tile` may be read once the first stage is there.
template <class T>
__device__ __forceinline__ void multiply_token_rows(const Shared<T>& shared, const Tile* tile, int steps, bool down,
                                                    int group, Ring<T::kStages>* ring, float (&sums)[2][64]) {
  const auto first_row = static_cast<std::uint32_t>(group * 64 + static_cast<int>(threadIdx.x) % 128 / 32 * 16 +
                                                    static_cast<int>(threadIdx.x) % 32 / 4);
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[half][i] = 0.0f;
  for (int step = 0; step < steps; ++step) {
    barrier_wait(shared.full + 8u * ring->stage, ring->phase);
    const std::uint32_t weights = shared.weights(ring->stage);
    const std::uint32_t tokens = shared.tokens(ring->stage) + static_cast<std::uint32_t>(group * 64 * 128);
    const std::uint32_t scales =
        shared.token_scales(ring->stage) + (first_row + static_cast<std::uint32_t>(tile->row % kScaleAlignment)) * 4;
    const float2 row = make_float2(load_shared_f32(scales), load_shared_f32(scales + 8 * 4));
    const float2 block = load_shared_f32x2(shared.weight_scales(ring->stage));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float product[64];
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < 4; ++k)
        WgmmaE4m3<128>::multiply(product, matrix_descriptor(tokens + k * 32),
                                 matrix_descriptor(weights + half * 128 * 128 + k * 32), k != 0);
      wgmma_commit();
      // Product 1 has a scale for gate and one for up in either half, product 2 one for each half.
      const float even = down && half == 1 ? block.y : block.x;
      const float odd = down && half == 0 ? block.x : block.y;
      const float2 first = make_float2(row.x * even, row.y * even);
      const float2 second = make_float2(row.x * odd, row.y * odd);
      wgmma_wait<0>();
#pragma unroll
      for (int i = 0; i < 64; ++i) pin(product[i]);
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        const float2 scale = j % 2 == 0 ? first : second;
        float* s = &sums[half][j * 4];
        s[0] = fmaf(product[j * 4], scale.x, s[0]);
        s[1] = fmaf(product[j * 4 + 1], scale.x, s[1]);
        s[2] = fmaf(product[j * 4 + 2], scale.y, s[2]);
        s[3] = fmaf(product[j * 4 + 3], scale.y, s[3]);
      }
    }
    __syncwarp();  // every lane has read its scales
    release(shared, ring->stage);
    ring->advance();
  }
}

/// Copies a warp's 16 rows of 128 bytes from its staging to memory; `first` is where row 0 goes, `rows` how many of the
/// 16 are the tile's.
template <class T>
__device__ __forceinline__ void copy_token_rows(std::uint32_t staging, unsigned char* first, std::int64_t row_bytes,
                                                int rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __syncwarp();
#pragma unroll
  for (int r = lane / 8; r < 16; r += 4)
    if (r < rows)
      *reinterpret_cast<uint4*>(first + r * row_bytes + lane % 8 * 16) =
          load_shared_16(staging + static_cast<std::uint32_t>(r * T::kTokenRowStride + lane % 8 * 16));
  __syncwarp();
}

/// Where a warp's 16 rows of a tile begin, and what it stages them in.
template <class T>
struct TokenRows {
  std::uint32_t staging;
  std::uint32_t target;  // of the thread's first pair of 16-bit values, and T::kTokenRowStride * 8 on of its second
  std::int64_t row;      // in the whole array
  int rows;              // of the warp's 16, may be less than 1

  __device__ TokenRows(std::uint32_t group_staging, int group, const Tile& tile, int pair_bytes) {
    const int warp = static_cast<int>(threadIdx.x) % 128 / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int first = group * 64 + warp * 16;
    staging = group_staging + static_cast<std::uint32_t>(warp * 16 * T::kTokenRowStride);
    target = staging + static_cast<std::uint32_t>(lane / 4 * T::kTokenRowStride + lane % 4 * pair_bytes);
    row = tile.row + first;
    rows = tile.row_end - tile.row - first;
  }
};

/// The end of a tile of product 2: rounds to bf16 and stores, 64 columns at a time.
template <class T>
__device__ __forceinline__ void store_output_rows(const float (&sums)[2][64], std::uint32_t staging, int group,
                                                  const Tile& tile, __nv_bfloat16* output, int columns) {
  const TokenRows<T> own(staging, group, tile, 4);
  if (own.rows > 0) {
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int column = tile.weight_tile * 256 + part * 64;
      if (column >= columns) break;  // whole parts: columns are a multiple of 64
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const float* s = &sums[part / 2][(part % 2 * 8 + j) * 4];
        store_shared_u32(own.target + static_cast<std::uint32_t>(j * 16), pack(s[0], s[1]));
        store_shared_u32(own.target + static_cast<std::uint32_t>(8 * T::kTokenRowStride + j * 16), pack(s[2], s[3]));
      }
      copy_token_rows<T>(own.staging, reinterpret_cast<unsigned char*>(output + own.row * columns + column),
                         std::int64_t{columns} * 2, own.rows);
    }
  }
  named_barrier(1 + group, 128);
}

/// The end of a tile of product 1: SwiGLU, one scale for each token's 128 activations, which four lanes hold together,
/// and e4m3 of activation / scale, where scale = greatest absolute activation / 448.
template <class T>
__device__ __forceinline__ void store_activation_rows(float (&sums)[2][64], std::uint32_t staging, int group,
                                                      const Tile& tile, const FfnKernelArguments& a) {
  const TokenRows<T> own(staging, group, tile, 2);
  if (own.rows > 0) {
    float2 most = make_float2(kLeastMaximum, kLeastMaximum);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 16; j += 2) {
        float* s = &sums[half][j * 4];
#pragma unroll
        for (int i = 0; i < 4; ++i) s[i] = gated(s[i], s[i + 4]);
        most.x = fmaxf(most.x, fmaxf(fabsf(s[0]), fabsf(s[1])));
        most.y = fmaxf(most.y, fmaxf(fabsf(s[2]), fabsf(s[3])));
      }
    }
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      most.x = fmaxf(most.x, __shfl_xor_sync(0xffffffffu, most.x, step));
      most.y = fmaxf(most.y, __shfl_xor_sync(0xffffffffu, most.y, step));
    }
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* scales = a.activation_scales + tile.weight_tile * a.scale_stride + own.row;
    if (lane % 4 == 0 && lane / 4 < own.rows) scales[lane / 4] = most.x / kE4m3Maximum;
    if (lane % 4 == 0 && lane / 4 + 8 < own.rows) scales[lane / 4 + 8] = most.y / kE4m3Maximum;
    const float2 factor = make_float2(kE4m3Maximum / most.x, kE4m3Maximum / most.y);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 16; j += 2) {
        const float* s = &sums[half][j * 4];
        const std::uint32_t address = own.target + static_cast<std::uint32_t>(half * 64 + j * 4);
        store_shared_u16(address, e4m3_pair(s[0] * factor.x, s[1] * factor.x));
        store_shared_u16(address + 8 * T::kTokenRowStride, e4m3_pair(s[2] * factor.y, s[3] * factor.y));
      }
    }
    copy_token_rows<T>(
        own.staging,
        static_cast<unsigned char*>(a.activations) + own.row * a.intermediate + tile.weight_tile * kScaleBlock,
        a.intermediate, own.rows);
  }
  named_barrier(1 + group, 128);
}

}  // namespace gem::kernels::sm90
