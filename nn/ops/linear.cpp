#include "nn/ops/linear.h"

#include <algorithm>

#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

constexpr int64_t kRows = 48;      // rows of a result per task: whole tiles of brgemm
constexpr int64_t kColumns = 128;  // columns per task, likewise

void check_row(const char* what, const Tensor& t, int64_t images, int64_t channels, DType type) {
  const Shape want{1, 1, images, channels};
  if (t.shape() != want || t.dtype() != type) {
    input_error("linear", "{}: wanted {} {}, got {} {}", what, want.text(), name_of(type), t.shape().text(),
                name_of(t.dtype()));
  }
}

void check_input(const Tensor& x, const Tensor& w) {
  if (w.shape().rank() != 2) input_error("linear", "w: wanted [O, C], got {}", w.shape().text());
  const bool narrow = x.dtype() == DType::BF16 && w.dtype() == DType::F32;
  check_row("x", x, x.shape().rank() == 4 ? x.images() : 0, w.shape()[1], narrow ? DType::BF16 : w.dtype());
}

/// x as the product takes it; few numbers beside the weights.
Tensor operand(const Tensor& x, const Tensor& w) { return x.dtype() == w.dtype() ? x : x.to(w.dtype()); }

template <class T>
Tensor transpose(const Tensor& x) {
  Tensor t = Tensor::zeros({x.cols(), x.rows()}, x.dtype());
  parallel_for(x.cols(), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < x.rows(); ++r) {
      for (int64_t c = begin; c < end; ++c) t.row<T>(c)[r] = x.row<T>(r)[c];
    }
  });
  return t;
}

/// y^T = w * x^T: this way round only the activations are transposed, not the (larger) weights.
template <class T>
void forward(const Tensor& x, const Tensor& w, const Tensor& b, Tensor& y) {
  const int64_t n = x.images(), out = w.rows(), in = w.cols();
  const Tensor xt = transpose<T>(x);
  Tensor yt = Tensor::zeros({out, n}, x.dtype());
  parallel_for(out, kRows, [&](int64_t begin, int64_t end) {
    const BrgemmShape s{.m = end - begin, .n = n, .k = in, .a_row = in, .a_col = 1, .b_row = n, .c_row = n};
    const BrgemmTerm<T> term{w.row<T>(begin), xt.data<T>()};
    brgemm<T>(s, {&term, 1}, yt.row<T>(begin), false);
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t i = 0; i < n; ++i) y.row<T>(i)[o] = yt.row<T>(o)[i] + b.data<T>()[o];
    }
  });
}

template <class T>
void backward(const Tensor& dy, const Tensor& x, const Tensor& w, LinearGradients& g) {
  const int64_t n = x.images(), out = w.rows(), in = w.cols();
  parallel_for(in, kColumns, [&](int64_t begin, int64_t end) {
    const BrgemmShape s{
        .m = n, .n = end - begin, .k = out, .a_row = dy.pitch(), .a_col = 1, .b_row = in, .c_row = g.dx.pitch()};
    const BrgemmTerm<T> term{dy.data<T>(), w.data<T>() + begin};
    brgemm<T>(s, {&term, 1}, g.dx.data<T>() + begin, false);
  });
  parallel_for(out, kRows, [&](int64_t begin, int64_t end) {
    const BrgemmShape s{
        .m = end - begin, .n = in, .k = n, .a_row = 1, .a_col = dy.pitch(), .b_row = x.pitch(), .c_row = in};
    const BrgemmTerm<T> term{dy.data<T>() + begin, x.data<T>()};
    brgemm<T>(s, {&term, 1}, g.dw.row<T>(begin), false);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t o = begin; o < end; ++o) g.db.data<T>()[o] += dy.row<T>(i)[o];
    }
  });
}

}  // namespace

Tensor linear_forward(const Tensor& x, const Tensor& w, const Tensor& b) {
  check_input(x, w);
  if (b.shape() != Shape{w.rows()} || b.dtype() != w.dtype()) {
    input_error("linear", "b: wanted [{}] {}, got {} {}", w.rows(), name_of(w.dtype()), b.shape().text(),
                name_of(b.dtype()));
  }
  Tensor y = Tensor::activation_uninitialized(1, 1, x.images(), w.rows(), w.dtype());
  visit_float(w.dtype(), [&]<class T>() { forward<T>(operand(x, w), w, b, y); });
  return y;
}

LinearGradients linear_backward(const Tensor& dy, const Tensor& x, const Tensor& w) {
  check_input(x, w);
  check_row("dy", dy, x.images(), w.rows(), w.dtype());
  const Tensor in = operand(x, w);
  LinearGradients g{Tensor::zeros_like(in), Tensor::uninitialized_like(w), Tensor::zeros({w.rows()}, w.dtype())};
  visit_float(w.dtype(), [&]<class T>() { backward<T>(dy, in, w, g); });
  if (x.dtype() != g.dx.dtype()) g.dx = g.dx.to(x.dtype());
  return g;
}

Var linear(const Var& x, const Var& w, const Var& b) {
  return record(linear_forward(x.value(), w.value(), b.value()), {x, w, b}, [x, w, b](const Tensor& dy) {
    LinearGradients g = linear_backward(dy, x.value(), w.value());
    x.add_grad(std::move(g.dx));
    w.add_grad(std::move(g.dw));
    b.add_grad(std::move(g.db));
  });
}

Linear::Linear(int64_t in_channels, int64_t out_channels) : in_(in_channels), out_(out_channels) {
  if (in_ < 1 || out_ < 1) input_error("linear", "channels: wanted at least 1, got {} -> {}", in_, out_);
}

std::string Linear::describe() const { return fmt::format("{}->{}", in_, out_); }

Shape Linear::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (x.rank() != 4 || x[0] != 1 || x[1] != 1 || x[3] != in_) {
    input_error("linear", "x: wanted [1, 1, N, {}], got {}", in_, x.text());
  }
  return {1, 1, x[2], out_};
}

std::vector<ParameterSpec> Linear::parameters() const {
  return {{"weight", {out_, in_}, Role::Weight}, {"bias", {out_}, Role::Bias}};
}

Var Linear::apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext&) const {
  return linear(inputs[0], parameters[0], parameters[1]);
}

}  // namespace kronbit::nn
