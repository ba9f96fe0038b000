#include "nn/ops/relu.h"

#include "tensor/parallel.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {

Tensor relu_forward(const Tensor& x) {
  Tensor y = Tensor::uninitialized_like(x);
  visit_number(x.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.stored(), 1 << 16,
                 [&](int64_t begin, int64_t end) { kernels.relu(end - begin, in + begin, out + begin); });
  });
  return y;
}

Tensor relu_backward(const Tensor& dy, const Tensor& y) {
  KB_CHECK(dy.shape() == y.shape() && dy.pitch() == y.pitch());
  Tensor dx = Tensor::uninitialized_like(dy);
  visit_number(dy.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const T *g = dy.data<T>(), *out = y.data<T>();
    T* d = dx.data<T>();
    parallel_for(dy.stored(), 1 << 16, [&](int64_t begin, int64_t end) {
      kernels.relu_backward(end - begin, g + begin, out + begin, d + begin);
    });
  });
  return dx;
}

Var relu(const Var& x) {
  Tensor y = relu_forward(x.value());
  return record(y, {x}, [x, y](const Tensor& dy) { x.add_grad(relu_backward(dy, y)); });
}

}  // namespace kronbit::nn
