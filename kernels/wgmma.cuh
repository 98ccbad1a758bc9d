// wgmma of operands in shared memory, f32 accumulators in registers: D[64, N] += A[64, K] B[N, K]^T, K = 16 in bf16 and
// 32 in e4m3. The tensor cores keep about 14 bits of an e4m3 sum: sums of more than 128 terms belong in f32 registers.
// The instruction names every register, so each N has a specialisation, written by a macro. Fragment layout,
// descriptors and swizzle: PTX ISA, "Asynchronous warpgroup level matrix instructions".
#pragma once

#include <cstdint>

namespace gem::kernels {

/// Multiplies bf16.
template <int kN>
struct Wgmma;

/// Multiplies e4m3.
template <int kN>
struct WgmmaE4m3;

// The accumulators, N / 2 of them, as operands and as names in the instruction.
#define GEM_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define GEM_D8(i) GEM_D4(i), GEM_D4(i + 4)
#define GEM_D16(i) GEM_D8(i), GEM_D8(i + 8)
#define GEM_D32(i) GEM_D16(i), GEM_D16(i + 16)
#define GEM_D64(i) GEM_D32(i), GEM_D32(i + 32)
#define GEM_D128(i) GEM_D64(i), GEM_D64(i + 64)
#define GEM_NAMES8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define GEM_NAMES16 GEM_NAMES8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define GEM_NAMES32 GEM_NAMES16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GEM_NAMES64                                                                  \
  GEM_NAMES32                                                                        \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GEM_NAMES128                                                                             \
  GEM_NAMES64                                                                                    \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// `type` is Wgmma or WgmmaE4m3, `count` = n / 2; `descriptors` and `flag` name the operands after the accumulators.
#define GEM_WGMMA(type, n, count, instruction, descriptors, flag, scales)                                             \
  template <>                                                                                                         \
  struct type<n> {                                                                                                    \
    static __device__ __forceinline__ void multiply(float (&d)[count], std::uint64_t a, std::uint64_t b,              \
                                                    int accumulate) {                                                 \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " flag                                                           \
                   ", 0;\n"                                                                                           \
                   "wgmma.mma_async.sync.aligned." instruction " {" GEM_NAMES##count "}, " descriptors ", p, " scales \
                                                                                     ";\n}\n"                         \
                   : GEM_D##count(0)                                                                                  \
                   : "l"(a), "l"(b), "r"(accumulate));                                                                \
    }                                                                                                                 \
  };

// Both factors times 1; of bf16 both K-major, which e4m3 must be.
GEM_WGMMA(Wgmma, 16, 8, "m64n16k16.f32.bf16.bf16", "%8, %9", "%10", "1, 1, 0, 0")
GEM_WGMMA(Wgmma, 32, 16, "m64n32k16.f32.bf16.bf16", "%16, %17", "%18", "1, 1, 0, 0")
GEM_WGMMA(Wgmma, 64, 32, "m64n64k16.f32.bf16.bf16", "%32, %33", "%34", "1, 1, 0, 0")
GEM_WGMMA(Wgmma, 128, 64, "m64n128k16.f32.bf16.bf16", "%64, %65", "%66", "1, 1, 0, 0")
GEM_WGMMA(Wgmma, 256, 128, "m64n256k16.f32.bf16.bf16", "%128, %129", "%130", "1, 1, 0, 0")
GEM_WGMMA(WgmmaE4m3, 16, 8, "m64n16k32.f32.e4m3.e4m3", "%8, %9", "%10", "1, 1")
GEM_WGMMA(WgmmaE4m3, 32, 16, "m64n32k32.f32.e4m3.e4m3", "%16, %17", "%18", "1, 1")
GEM_WGMMA(WgmmaE4m3, 64, 32, "m64n64k32.f32.e4m3.e4m3", "%32, %33", "%34", "1, 1")
GEM_WGMMA(WgmmaE4m3, 128, 64, "m64n128k32.f32.e4m3.e4m3", "%64, %65", "%66", "1, 1")

#undef GEM_WGMMA
#undef GEM_NAMES128
#undef GEM_NAMES64
#undef GEM_NAMES32
#undef GEM_NAMES16
#undef GEM_NAMES8
#undef GEM_D128
#undef GEM_D64
#undef GEM_D32
#undef GEM_D16
#undef GEM_D8
#undef GEM_D4

}  // namespace gem::kernels
