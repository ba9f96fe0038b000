// VGG with batch normalization. Source: Simonyan and Zisserman 2015, configurations A, B, D, E (table 1).
#pragma once

#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// VGG for 32x32 images: one linear layer after the last pooling.
/// Parameter names: those of kuangliu/pytorch-cifar ("features.0.weight", "classifier.bias").
/// Requires: depth 11, 13, 16 or 19.
Network vgg_cifar(const std::string& name, int depth, int64_t input_size, int classes);

/// VGG for 224x224 images: two hidden linear layers of 4096 with dropout.
/// Parameter names: those of torchvision's vgg*_bn ("classifier.6.weight"). At other sizes the first linear layer
/// follows the last map instead of being resampled to 7x7.
Network vgg_imagenet(const std::string& name, int depth, int64_t input_size, int classes);

}  // namespace kronbit::nn
