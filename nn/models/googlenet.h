// GoogLeNet with batch normalization: nine inception modules. Source: Szegedy et al. 2015, "Going deeper with
// convolutions" (table 1); the two networks below are different ones, as the two PyTorch implementations are.
#pragma once

#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// For 32x32 images: a 3x3 stem of 192 channels, the "5x5" branch as two 3x3 convolutions; 64 convolutions.
/// Parameter names: those of kuangliu/pytorch-cifar ("pre_layers.0.weight", "a3.b2.3.weight", "linear.bias").
Network googlenet_cifar(const std::string& name, int64_t input_size, int classes);

/// For 224x224 images: a 7x7 stem, pooling that counts partial windows, batch normalization with eps 1e-3, the "5x5"
/// branch as one 3x3 convolution; 57 convolutions, no auxiliary heads.
/// Parameter names: those of torchvision ("inception3a.branch2.1.conv.weight", "fc.bias"). Its published weights were
/// trained on pixels normalized with mean 0.5 and std 0.5 (transform_input): give them that normalization.
Network googlenet_imagenet(const std::string& name, int64_t input_size, int classes);

}  // namespace kronbit::nn
