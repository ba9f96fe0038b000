#include "apps/kronbit/search/best.h"

#include "quant/bits_file.h"
#include "quant/packed.h"
#include "tensor/io/file.h"
#include "tensor/io/limits.h"

namespace kronbit::app {

void publish_best(const std::filesystem::path& run, const std::filesystem::path& packed) {
  const std::filesystem::path best = run / "best";
  make_folder(best);
  publish(best / "model.safetensors", read_file(packed, kMaxTensorFileBytes));
  const quant::PackedNetwork model = quant::PackedNetwork::load(best / "model.safetensors");
  quant::write_bits_file(best / "bits.json", model.network(), model.assignment());
}

}  // namespace kronbit::app
