#include "nn/ops/relu.h"

#include "tensor/parallel.h"

namespace kronbit::nn {

Tensor relu_forward(const Tensor& x) {
  Tensor y = Tensor::uninitialized_like(x);
  visit_float(x.dtype(), [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.stored(), 1 << 16, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] > T(0) ? in[i] : T(0);
    });
  });
  return y;
}

Tensor relu_backward(const Tensor& dy, const Tensor& y) {
  Tensor dx = Tensor::uninitialized_like(dy);
  visit_float(dy.dtype(), [&]<class T>() {
    const T* g = dy.data<T>();
    const T* out = y.data<T>();
    T* d = dx.data<T>();
    parallel_for(dy.stored(), 1 << 16, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) d[i] = out[i] > T(0) ? g[i] : T(0);
    });
  });
  return dx;
}

Var relu(const Var& x) {
  Tensor y = relu_forward(x.value());
  return record(y, {x}, [x, y](const Tensor& dy) { x.add_grad(relu_backward(dy, y)); });
}

}  // namespace kronbit::nn
