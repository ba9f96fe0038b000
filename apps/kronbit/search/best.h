// best/ of a search: the packed network of the best configuration so far, and its bits by layer name.
#pragma once

#include <filesystem>

namespace kronbit::app {

/// Makes RUN/best/model.safetensors a copy of `packed`, then bits.json from what it says about itself; each file is
/// replaced in one step, and bits.json can be made again from the model.
void publish_best(const std::filesystem::path& run, const std::filesystem::path& packed);

}  // namespace kronbit::app
