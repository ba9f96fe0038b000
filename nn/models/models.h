// The networks by name. Each is built by one function of vgg.h, resnet.h, googlenet.h or toy.h; parameter names are
// those of the PyTorch implementation named there, so its state dicts load without renaming.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nn/network.h"

namespace kronbit::nn {

struct ModelOptions {
  int classes = 0;         ///< 0: the usual number, 10 (32x32 networks) or 1000 (224x224 networks)
  int64_t input_size = 0;  ///< height and width of the images; 0: the usual one, 32 or 224
};

/// The named network, parameters zero: initialize() or load_state_dict() comes next.
/// Throws: InputError for an unknown name (the message lists the known ones), a negative number of classes, or an
///         input size below 32 or above 4096.
Network build(std::string_view name, const ModelOptions& options = {});

/// Height and width of the images that the named network takes where ModelOptions say nothing.
/// Throws: InputError for an unknown name.
int64_t usual_input_size(std::string_view name);

/// Names for build().
std::vector<std::string> model_names();

}  // namespace kronbit::nn
