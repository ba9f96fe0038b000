// libFuzzer's entry point for the reader of packed networks.
#include "tests/fuzz/packed_fuzz.h"

#include <cstdint>

#include "quant/packed.h"

namespace kronbit::quant {

bool accepts_packed(std::span<const std::byte> bytes) {
  try {
    const PackedNetwork packed = PackedNetwork::parse(SafetensorsFile::parse(bytes, "fuzz"));
    const std::vector<std::byte> written = packed.writer().bytes();
    const PackedNetwork again = PackedNetwork::parse(SafetensorsFile::parse(written, "again"));
    KB_CHECK(again.writer().bytes() == written);
    if (packed.conv_bytes() < (1 << 16) && packed.input_size() <= 32) {
      Tensor image = Tensor::activation(packed.input_size(), packed.input_size(), 1, 3);
      for (int64_t r = 0; r < image.rows(); ++r)
        for (int64_t c = 0; c < 3; ++c) image.row<float>(r)[c] = static_cast<float>((r + c) % 5) - 2.0f;
      KB_CHECK_EQ(packed.network().forward(image, {}).value().count(), static_cast<int64_t>(packed.classes()));
    }
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace kronbit::quant

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kronbit::quant::accepts_packed({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
