// A network as a text table.
#pragma once

#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// One line per node: name, kind, options, output shape for one image, trainable parameters, multiplications per image;
/// then the totals. Ends in a line end.
std::string summary(const Network& net);

}  // namespace kronbit::nn
