#include "nn/ops/add.h"

#include "tensor/parallel.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {

Tensor add_forward(const Tensor& a, const Tensor& b) {
  KB_CHECK(a.shape() == b.shape() && a.pitch() == b.pitch());
  Tensor y = Tensor::uninitialized_like(a);
  visit_number(a.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const T *left = a.data<T>(), *right = b.data<T>();
    T* out = y.data<T>();
    parallel_for(a.stored(), 1 << 16, [&](int64_t begin, int64_t end) {
      kernels.add(end - begin, left + begin, right + begin, out + begin);
    });
  });
  return y;
}

Var add(const Var& a, const Var& b) {
  return record(add_forward(a.value(), b.value()), {a, b}, [a, b](const Tensor& dy) {
    a.add_grad(dy);
    b.add_grad(dy);
  });
}

Shape Add::output_shape(std::span<const Shape> inputs) const {
  KB_CHECK_EQ(inputs.size(), size_t{2});
  if (!(inputs[0] == inputs[1]))
    input_error("add", "wanted two inputs of one shape, got {} and {}", inputs[0].text(), inputs[1].text());
  return inputs[0];
}

}  // namespace kronbit::nn
