// How much each layer minds its bits: what quantizing one convolution alone does to the logits of a trained network.
// These errors nearly add up over layers, so the table of one network predicts any bit list; search/allocation.h uses
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/normalization.h"
#include "quant/assign.h"
#include "tensor/io/json.h"

namespace kronbit::quant {

/// One row per layer, in order of execution, one number for each of 1..8 bits.
/// Formula:  mse[l][b-1] = mean over images and classes of (z - z_lb)^2, kl[l][b-1] = mean over images of
///           sum_k p_k ln(p_k / p_lb,k), where z are the logits of the network in floating point, z_lb those with layer
///           l (weights and input) at b bits and all others in floating point, p = softmax(z)
/// Both are measured, not fitted, so nothing makes them fall with the bits (with ResNet20 and 200 images they do, at
/// every step); whoever uses them has to cope.
/// Source:   one layer at a time: Wu et al. 2020 (arXiv 2004.09602), who look at the accuracy
struct Sensitivity {
  std::string network;
  AssignOptions options;
  int64_t images = 0;
  std::vector<std::string> layers = {};
  std::vector<std::vector<double>> mse = {}, kl = {};
};

/// {"schema", "network", "mode", "block", "activations", "images", "layers": [{"name", "mse", "kl"}]}.
/// Exactness: every double comes back as it was
Json to_json(const Sensitivity& table);
/// Throws: InputError "[where] ..." for anything else, negative numbers included.
Sensitivity sensitivity_from_json(const Json& json, std::string_view where);

struct SensitivityOptions {
  AssignOptions assign = {};
  int64_t batch = 100;  ///< images at a time; all of them stay in memory
  DType precision = DType::F32;
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< in forward passes over the images
  const std::atomic<bool>* stop = nullptr;                         ///< a true value ends early with Stopped
};

/// Measures the table with 1 + 8 n passes over `images`. Bits that the network has are not looked at.
/// Exactness: the same bits for any number of threads
/// Throws:    InputError for no images or images that do not fit, NumericalError for logits that are not finite
Sensitivity measure_sensitivity(const nn::Network& net, const data::Dataset& images,
                                const data::Normalization& normalization, const SensitivityOptions& options = {});

/// assign_bits() with holes: layers with 0 bits stay in floating point.
/// Throws: InputError as assign_bits().
void assign_some_bits(nn::Network& net, std::span<const int> bits_or_zero, const AssignOptions& options = {});

}  // namespace kronbit::quant
