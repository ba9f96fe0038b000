// The loss of a classifier and its gradient: one warp for every image, in double as on the processor; then one block
// adds up the images in a fixed order.
#include "nn/cuda/sides.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kWarps = kOpThreads / 32;

template <class T, class Join>
__device__ __forceinline__ T over_warp(T v, Join join) {
  for (int other = 16; other > 0; other /= 2) v = join(v, __shfl_xor_sync(0xffffffffu, v, other));
  return v;
}

struct LossWork {
  int images, classes, pitch;
  const float* logits;
  const int* labels;
  double smoothing;
  float* dlogits;
  double* losses;  // [images]
  int* ranks;      // [images]: classes that come before the label
};

__global__ void __launch_bounds__(kOpThreads, 2) loss_kernel(LossWork k) {
  const int n = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (n >= k.images) return;
  const auto add = [](double a, double b) { return a + b; };
  const float* row = k.logits + static_cast<int64_t>(n) * k.pitch;
  const int label = k.labels[n];
  const float mine = row[label];

  double largest = static_cast<double>(row[0]);
  int before = 0;
  for (int c = lane; c < k.classes; c += 32) {
    const float v = row[c];
    largest = static_cast<double>(v) > largest ? static_cast<double>(v) : largest;
    before += c != label && !(v < mine || (v == mine && c > label));
  }
  largest = over_warp(largest, [](double a, double b) { return b > a ? b : a; });
  before = __reduce_add_sync(0xffffffffu, before);
  double sum = 0;
  for (int c = lane; c < k.classes; c += 32) sum += exp(static_cast<double>(row[c]) - largest);
  const double rest = log(over_warp(sum, add));

  const double everywhere = k.smoothing / static_cast<double>(k.classes), factor = 1.0 / static_cast<double>(k.images);
  double spread = 0;  // what smoothing asks of all classes
  for (int c = lane; c < k.pitch; c += 32) {
    double gradient = 0;
    if (c < k.classes) {
      const double from_largest = static_cast<double>(row[c]) - largest;
      spread += everywhere * (rest - from_largest);
      gradient = factor * (exp(from_largest - rest) - (everywhere + (c == label ? 1 - k.smoothing : 0.0)));
    }
    if (k.dlogits != nullptr) k.dlogits[static_cast<int64_t>(n) * k.pitch + c] = static_cast<float>(gradient);
  }
  spread = k.smoothing == 0 ? 0.0 : over_warp(spread, add);
  if (lane != 0) return;
  k.losses[n] = (1 - k.smoothing) * (largest - static_cast<double>(mine) + rest) + spread;
  k.ranks[n] = mine == mine ? before : k.classes;  // NaN is never right
}

__global__ void __launch_bounds__(kOpThreads) tally_kernel(LossWork k, nn::LossTally* tally) {
  __shared__ double losses[kOpThreads];
  __shared__ int top1[kOpThreads], top5[kOpThreads];
  const int t = static_cast<int>(threadIdx.x);
  double loss = 0;
  int one = 0, five = 0;
  for (int n = t; n < k.images; n += kOpThreads) {
    loss += k.losses[n];
    one += k.ranks[n] < min(1, k.classes);
    five += k.ranks[n] < min(5, k.classes);
  }
  losses[t] = loss;
  top1[t] = one;
  top5[t] = five;
  __syncthreads();
  if (t != 0) return;
  for (int i = 1; i < kOpThreads; ++i) {
    loss += losses[i];
    one += top1[i];
    five += top5[i];
  }
  tally->loss += loss;
  tally->top1 += one;
  tally->top5 += five;
  tally->images += k.images;
}

}  // namespace

void cross_entropy(int images, int classes, const float* logits, const int* labels, double smoothing, float* dlogits,
                   void* workspace, nn::LossTally* tally, const DeviceQueue& queue) {
  if (images == 0) return;
  double* losses = static_cast<double*>(workspace);
  const LossWork k{images,  classes, nn::channels_pitch(classes),
                   logits,  labels,  smoothing,
                   dlogits, losses,  reinterpret_cast<int*>(losses + images)};
  Launch at{.blocks_x = static_cast<unsigned>((images + kWarps - 1) / kWarps),
            .threads = kOpThreads,
            .stream = queue.stream,
            .backward = queue.backward};
  launch(at, loss_kernel)(k);
  at.blocks_x = 1;
  launch(at, tally_kernel)(k, tally);
}

}  // namespace kronbit::KB_SIDE
