// What the network answers before quantization: the logits of the validation images in floating point, computed once
// and kept in a file that every evaluation of a run reads. How far a quantized network is from them is a number without
// steps, where its accuracy counts images.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "data/open.h"
#include "nn/network.h"
#include "nn/train.h"

namespace kronbit::app {

inline constexpr int64_t kImagesAtOnce = 250;  ///< of every pass that an evaluation makes over images

/// Mean Kullback-Leibler divergence of the softmax of `logits` from the softmax of `reference`.
/// Formula:  1/N sum_images sum_c p_c (ln p_c - ln q_c), p of reference, q of logits
/// Shapes:   both [..][N][classes]
/// Units:    nats, >= 0
/// Exactness: sums in double, images in order
double mean_kl(const Tensor& reference, const Tensor& logits);

/// A pass over images that keeps what the network said.
struct Answers {
  nn::Accuracy accuracy;
  Tensor logits;  ///< [images][classes] f32
};
/// Throws: Stopped when `*stop` becomes true.
Answers answers_of(const std::function<Tensor(const Tensor& images)>& classify, const data::Dataset& images,
                   const data::Normalization& normalization, const std::atomic<bool>* stop);

/// The logits in `path` if it was written for the same `key` (network, weights, data), else those that `net` gives now,
/// written there in one step: processes that race write the same file. A file that is damaged or of another key is
/// written anew. An empty path keeps nothing. Throws: Refusal when it cannot be written, Error
/// when `*stop` becomes true.
Tensor reference_logits(const std::filesystem::path& path, const std::string& key, nn::Network& net,
                        const data::Splits& splits, const std::atomic<bool>* stop);

}  // namespace kronbit::app
