// The loss of a classifier, and the count of its right answers.
#pragma once

#include "nn/autograd.h"

namespace kronbit::nn {

/// Formula:  loss = mean over images of sum_k -t_k log softmax(logits)_k,
///           t = (1 - smoothing) [k = label] + smoothing / classes
/// Shapes:   logits [1][1][N][classes], f32 or f64; labels N; returns [1] of the logits' type
/// Requires: N > 0, 0 <= smoothing < 1. Throws: InputError for a label outside 0..classes-1.
/// Exactness: in double, the largest logit subtracted first: finite for logits of +-1e30
Tensor softmax_cross_entropy_forward(const Tensor& logits, const std::vector<int>& labels, double smoothing = 0);
/// Formula:  dlogits = dloss (softmax(logits) - t) / N
Tensor softmax_cross_entropy_backward(double dloss, const Tensor& logits, const std::vector<int>& labels,
                                      double smoothing = 0);

Var softmax_cross_entropy(const Var& logits, const std::vector<int>& labels, double smoothing = 0);

/// Images whose label is among the k largest logits. Equal logits: the lower class comes first. NaN counts as larger
/// than anything, and a label whose logit is NaN is never right.
int64_t count_correct(const Tensor& logits, const std::vector<int>& labels, int64_t k);

}  // namespace kronbit::nn
