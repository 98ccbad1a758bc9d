// Constants of quantising to e4m3, alike in all kernels.
#pragma once

namespace gem::kernels {

/// Greatest number that e4m3 has.
inline constexpr float kE4m3Maximum = 448.0f;
/// A block whose greatest absolute value is less is scaled as if it were this: no division by zero.
inline constexpr float kLeastMaximum = 1e-10f;

}  // namespace gem::kernels
