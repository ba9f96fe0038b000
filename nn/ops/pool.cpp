#include "nn/ops/pool.h"

#include <algorithm>

namespace kronbit::nn {
namespace {

int64_t output_extent(std::string_view where, int64_t extent, const PoolOptions& options) {
  const int64_t room = extent + 2 * options.pad - options.kernel;
  if (room < 0) {
    input_error(where, "window: wanted at most {} (map {} and padding), got {}", extent + 2 * options.pad, extent,
                options.kernel);
  }
  const int64_t out = (room + (options.ceil_mode ? options.stride - 1 : 0)) / options.stride + 1;
  return (out - 1) * options.stride >= extent + options.pad ? out - 1 : out;
}

}  // namespace

void check_pool_options(std::string_view where, const PoolOptions& options) {
  if (options.kernel < 1 || options.stride < 1)
    input_error(where, "wanted kernel and stride of at least 1, got {} and {}", options.kernel, options.stride);
  if (options.pad < 0 || options.pad > options.kernel / 2)
    input_error(where, "pad: wanted 0..{} (half the kernel), got {}", options.kernel / 2, options.pad);
}

Shape pool_output_shape(std::string_view where, const Shape& x, const PoolOptions& options) {
  if (x.rank() != 4) input_error(where, "x: wanted [H, W, N, C], got {}", x.text());
  return {output_extent(where, x[0], options), output_extent(where, x[1], options), x[2], x[3]};
}

PoolWindow pool_window(int64_t output_index, int64_t extent, const PoolOptions& options) {
  const int64_t begin = output_index * options.stride - options.pad;
  const int64_t end = std::min(begin + options.kernel, extent + options.pad);
  return {std::max<int64_t>(begin, 0), std::min(end, extent), end - begin};
}

PoolWindowRange pool_windows_of(int64_t input_index, int64_t windows, const PoolOptions& options) {
  const int64_t from_border = input_index + options.pad;
  const int64_t first = from_border < options.kernel ? 0 : (from_border - options.kernel) / options.stride + 1;
  return {first, std::min(windows, from_border / options.stride + 1)};
}

std::string describe_pool(const PoolOptions& options) {
  std::string text = fmt::format("{0}x{0} stride {1}", options.kernel, options.stride);
  if (options.pad > 0) text += fmt::format(" pad {}", options.pad);
  if (options.ceil_mode) text += " ceil";
  return text;
}

}  // namespace kronbit::nn
