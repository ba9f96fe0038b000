// A small network for experiments that must train in minutes on any machine.
#pragma once

#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// Ten 3x3 convolutions in three stages of 16, 32 and 64 channels (three, four and three of them), each with batch
/// normalization and ReLU, 2x2 pooling between the stages, global average pooling and one linear layer.
/// Parameter names: "features.0.weight", "classifier.bias", as in vgg.h.
/// Source: paper Fig. 4, "a toy CNN with 10 layers"; it does not say which, so the channels are ours
Network toy_cifar(const std::string& name, int64_t input_size, int classes);

}  // namespace kronbit::nn
