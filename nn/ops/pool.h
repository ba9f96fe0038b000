// Windows of the pooling operators: what max_pool and avg_pool share.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

struct PoolOptions {
  int64_t kernel = 2;  ///< square windows
  int64_t stride = 2;
  int64_t pad = 0;                ///< on all four sides; at most kernel / 2
  bool ceil_mode = false;         ///< a last window that does not fill is kept
  bool count_include_pad = true;  ///< avg_pool only: padding counts in the divisor
};

/// Throws: InputError "[where] ..." unless kernel, stride >= 1 and 0 <= pad <= kernel / 2.
void check_pool_options(std::string_view where, const PoolOptions& options);

/// Formula:  H' = (H + 2 pad - kernel) / stride + 1, rounded down, or up with ceil_mode; in that case a last window
///           that would start in the padding on the far side is dropped, so that every window meets the image
/// Requires: kernel and stride >= 1, 0 <= pad <= kernel / 2, here and below; check_pool_options() checks it
/// Throws:   InputError "[where] ..." if no window fits.
Shape pool_output_shape(std::string_view where, const Shape& x, const PoolOptions& options);

/// The part of a window inside the image along one axis, and the length of the window up to the padded border.
struct PoolWindow {
  int64_t begin, end, padded_length;
};
PoolWindow pool_window(int64_t output_index, int64_t extent, const PoolOptions& options);

/// The windows, of `windows` along one axis, that hold an element of x: [begin, end).
struct PoolWindowRange {
  int64_t begin, end;
};
PoolWindowRange pool_windows_of(int64_t input_index, int64_t windows, const PoolOptions& options);

/// "3x3 stride 2 pad 1"
std::string describe_pool(const PoolOptions& options);

}  // namespace kronbit::nn
