// The ordered list of the kernels, for the GPU and for the simulated one, and what leads from the contract to the plain
// arguments of the .cu files.
#include <algorithm>
#include <array>

#include "quant/kernels/bitserial/planes.h"
#include "quant/kernels/cuda/device_product.h"
#include "quant/kernels/cuda/fragments.h"
#include "quant/kernels/packed/format.h"

namespace kronbit::quant {
namespace {

ProductArguments arguments_of(const DeviceConv& c, const void* weights, const DeviceRows& x, float* y, int64_t pitch) {
  ProductArguments a{};
  a.height = static_cast<int>(c.height);
  a.width = static_cast<int>(c.width);
  a.images = static_cast<int>(c.images);
  a.out_width = static_cast<int>(c.out_width());
  a.out_rows = static_cast<int>(c.out_rows());
  a.kernel_h = static_cast<int>(c.conv.kernel_h);
  a.kernel_w = static_cast<int>(c.conv.kernel_w);
  a.stride = static_cast<int>(c.conv.stride);
  a.pad = static_cast<int>(c.conv.pad);
  a.blocks = static_cast<int>(c.layer.blocks());
  a.panels = static_cast<int>(c.layer.panels());
  a.weight_bits = c.layer.bits;
  a.input_bits = x.format.bits;
  a.binary = c.layer.mode == Mode::Binary;
  a.input_signed = x.format.is_signed;
  a.weights = weights;
  a.mantissas = x.mantissas;
  a.steps = x.steps;
  a.sums = x.sums;
  a.y = y;
  a.pitch = pitch;
  a.tile = c.tile;
  return a;
}

template <StartProduct& kStart>
void run(const DeviceConv& conv, const void* weights, const DeviceRows& x, float* y, int64_t pitch,
         const DeviceQueue& queue) {
  const LayerShape& layer = conv.layer;
  const int64_t most =
      std::max({conv.in_rows() * layer.blocks(), layer.panels() * layer.taps * layer.blocks(), conv.out_rows()});
  KB_CHECK(pitch % 4 == 0 && most < INT32_MAX / 2);
  if (conv.out_rows() > 0 && conv.layer.outputs > 0) kStart(arguments_of(conv, weights, x, y, pitch), queue);
}

template <StartPack& kStart>
void pack_rows(const float* x, int64_t pitch, int64_t rows, const DeviceRows& to, const DeviceQueue& queue) {
  if (rows == 0 || to.blocks == 0) return;
  kStart({x, pitch, rows, to.form, static_cast<int>(to.blocks), to.format.bits, to.format.is_signed, to.mantissas,
          to.steps, to.sums},
         queue);
}

const char* many_taps(const DeviceConv& conv) {
  return conv.layer.taps > kMaxDeviceTaps ? "a kernel of more than 64 taps" : nullptr;
}

/// All panels at once, by a packer of the processor's.
template <auto kPack>
void pack_all(const LayerShape& shape, const PackedLayer& layer, std::byte* to) {
  kPack(shape, layer, 0, shape.panels(), to);
}

template <StartProduct& kStart>
constexpr DeviceKernel kInt8{.name = "int8-cuda",
                             .family = "int8",
                             .tiles = 3,
                             .declines = many_taps,
                             .packed_bytes = int8_fragments_bytes,
                             .pack = pack_int8_fragments,
                             .run = run<kStart>};

template <StartProduct& kStart>
constexpr DeviceKernel kBitserial{.name = "bitserial-cuda",
                                  .family = "bitserial",
                                  .form = RowForm::Planes,
                                  .declines = many_taps,
                                  .packed_bytes = bitserial::packed_bytes,
                                  .pack = pack_all<bitserial::pack>,
                                  .run = run<kStart>};

template <StartProduct& kStart>
constexpr DeviceKernel kDp4a{.name = "dp4a-cuda",
                             .family = "packed",
                             .declines = many_taps,
                             .packed_bytes = packed::packed_bytes,
                             .pack = pack_all<packed::pack>,
                             .run = run<kStart>};

template <StartProduct& kStart, bool kSplit>
constexpr DeviceKernel kBf16{.name = kSplit ? "bf16-split-cuda" : "bf16-cuda",
                             .family = kSplit ? "bf16-split" : "bf16",
                             .exact = false,
                             .form = RowForm::Bf16,
                             .tiles = 4,
                             .declines = many_taps,
                             .packed_bytes = bf16_fragments_bytes<kSplit>,
                             .pack = pack_bf16_fragments<kSplit>,
                             .run = run<kStart>};

}  // namespace

DeviceKernels device_kernels(const Device& device) {
  static const std::array gpu = {&kBf16<KB_GPU_SIDE::bf16_product, false>, &kInt8<KB_GPU_SIDE::int8_product>,
                                 &kBf16<KB_GPU_SIDE::bf16_split_product, true>, &kDp4a<KB_GPU_SIDE::dp4a_product>,
                                 &kBitserial<KB_GPU_SIDE::bitserial_product>};
  static const std::array simulation = {&kBf16<simulated::bf16_product, false>, &kInt8<simulated::int8_product>,
                                        &kBf16<simulated::bf16_split_product, true>, &kDp4a<simulated::dp4a_product>,
                                        &kBitserial<simulated::bitserial_product>};
  if (device.simulated()) return {simulation, pack_rows<simulated::pack_rows>};
  return {gpu, pack_rows<KB_GPU_SIDE::pack_rows>};
}

}  // namespace kronbit::quant
