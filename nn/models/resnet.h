// Residual networks. Source: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition".
#pragma once

#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// The thin networks for CIFAR (section 4.2): 3 stages of 16, 32, 64 channels, shortcuts without parameters (option A).
/// Parameter names: those of akamaster/pytorch_resnet_cifar10 ("layer1.0.conv1.weight", "linear.bias").
/// Requires: depth = 6n + 2.
Network resnet_thin(const std::string& name, int depth, int64_t input_size, int classes);

/// The wide networks (depth 18, 34) for 32x32 images: a 3x3 stem, no pooling before the stages.
/// Parameter names: those of kuangliu/pytorch-cifar ("layer2.0.shortcut.0.weight", "linear.bias").
Network resnet_cifar(const std::string& name, int depth, int64_t input_size, int classes);

/// Depth 18, 34 or 50 for 224x224 images: a 7x7 stem, bottlenecks from depth 50 on with their stride on the 3x3
/// convolution ("v1.5"). Parameter names: those of torchvision ("layer2.0.downsample.0.weight", "fc.bias").
Network resnet_imagenet(const std::string& name, int depth, int64_t input_size, int classes);

}  // namespace kronbit::nn
