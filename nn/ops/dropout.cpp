#include "nn/ops/dropout.h"

#include <algorithm>

#include "tensor/parallel.h"
#include "tensor/rng.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {

Tensor dropout_forward(const Tensor& x, double p, const DropoutKey& key) {
  Tensor y = Tensor::zeros_like(x);
  const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, x.cols()));
  visit_number(x.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const A scale = static_cast<A>(1.0 / (1.0 - p));
    parallel_for(x.rows(), grain, [&](int64_t begin, int64_t end) {
      Rng rng(key.seed, Purpose::Dropout, {key.step, key.salt, static_cast<uint64_t>(begin)});
      for (int64_t r = begin; r < end; ++r) {
        const T* in = x.row<T>(r);
        T* out = y.row<T>(r);
        for (int64_t c = 0; c < x.cols(); ++c) {
          const A factors[] = {scale, A(0)};  // indexed: a branch on a random bit is guessed wrong half the time
          out[c] = static_cast<T>(static_cast<A>(in[c]) * factors[rng.uniform() < p]);
        }
      }
    });
  });
  return y;
}

Tensor dropout_backward(const Tensor& dy, double p, const DropoutKey& key) { return dropout_forward(dy, p, key); }

Var dropout(const Var& x, double p, const DropoutKey& key) {
  return record(dropout_forward(x.value(), p, key), {x},
                [x, p, key](const Tensor& dy) { x.add_grad(dropout_backward(dy, p, key)); });
}

Dropout::Dropout(double p, uint64_t salt) : p_(p), salt_(salt) {
  if (!(p >= 0 && p < 1)) input_error("dropout", "p: wanted 0 <= p < 1, got {}", p);
}

std::string Dropout::describe() const { return fmt::format("p {}", p_); }

Var Dropout::apply(std::span<const Var> inputs, std::span<Var>, const RunContext& context) const {
  if (!context.training || p_ == 0) return inputs[0];
  return dropout(inputs[0], p_, {context.seed, context.step, salt_});
}

}  // namespace kronbit::nn
