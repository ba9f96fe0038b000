#include "bench/peers/onednn_conv.h"

#include <omp.h>

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "tensor/parallel.h"

namespace kronbit {
namespace {

/// Memory of the shape and layout, every number 0.5, or 1 in bytes.
dnnl::memory filled(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
  dnnl::memory memory(desc, engine);
  const auto type = desc.data_type();
  if (type == dnnl::memory::data_type::u8 || type == dnnl::memory::data_type::s8) {
    std::fill_n(static_cast<int8_t*>(memory.get_data_handle()), desc.get_size(), int8_t{1});
  } else if (type == dnnl::memory::data_type::bf16) {
    std::fill_n(static_cast<bf16*>(memory.get_data_handle()), desc.get_size() / sizeof(bf16), bf16(0.5f));
  } else {
    std::fill_n(static_cast<float*>(memory.get_data_handle()), desc.get_size() / sizeof(float), 0.5f);
  }
  return memory;
}

}  // namespace

struct OnednnConv::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, dnnl::memory> arguments;
  std::string implementation;

  void forward(const dnnl::convolution_forward::primitive_desc& d) {
    implementation = d.impl_info_str();
    primitive = dnnl::convolution_forward(d);
    arguments = {{DNNL_ARG_SRC, filled(d.src_desc(), engine)},
                 {DNNL_ARG_WEIGHTS, filled(d.weights_desc(), engine)},
                 {DNNL_ARG_DST, filled(d.dst_desc(), engine)}};
  }
};

OnednnConv::OnednnConv(const nn::Conv2dOptions& o, int64_t size, int64_t images, Pass pass, DType type)
    : state_(std::make_unique<State>()) {
  using namespace dnnl;
  omp_set_num_threads(threads());
  State& s = *state_;
  const Shape out = nn::conv2d_output_shape({size, size, images, o.in_channels}, o);
  const auto number = type == DType::BF16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto any = memory::format_tag::any;
  const memory::desc x({images, o.in_channels, size, size}, number, any);
  const memory::desc y({images, o.out_channels, out[0], out[1]}, number, any);
  const memory::dims w_dims{o.out_channels, o.in_channels, o.kernel_h, o.kernel_w};
  const memory::desc w(w_dims, number, any), dw(w_dims, memory::data_type::f32, any);
  const memory::dims strides{o.stride, o.stride}, pad{o.pad, o.pad};
  const auto direct = algorithm::convolution_direct;
  try {
    const convolution_forward::primitive_desc forward(
        convolution_forward::desc(prop_kind::forward_training, direct, x, w, y, strides, pad, pad), s.engine);
    if (pass == Pass::Forward) {
      s.forward(forward);
    } else if (pass == Pass::Data) {
      const convolution_backward_data::primitive_desc d(
          convolution_backward_data::desc(direct, x, w, y, strides, pad, pad), s.engine, forward);
      s.implementation = d.impl_info_str();
      s.primitive = convolution_backward_data(d);
      s.arguments = {{DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc(), s.engine)},
                     {DNNL_ARG_WEIGHTS, filled(d.weights_desc(), s.engine)},
                     {DNNL_ARG_DIFF_SRC, filled(d.diff_src_desc(), s.engine)}};
    } else {
      const convolution_backward_weights::primitive_desc d(
          convolution_backward_weights::desc(direct, x, dw, y, strides, pad, pad), s.engine, forward);
      s.implementation = d.impl_info_str();
      s.primitive = convolution_backward_weights(d);
      s.arguments = {{DNNL_ARG_SRC, filled(d.src_desc(), s.engine)},
                     {DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc(), s.engine)},
                     {DNNL_ARG_DIFF_WEIGHTS, filled(d.diff_weights_desc(), s.engine)}};
    }
  } catch (const dnnl::error& e) {
    throw Error(fmt::format("[onednn] {}", e.what()));
  }
}

OnednnConv::OnednnConv(const nn::Conv2dOptions& o, int64_t size, int64_t images, Int8)
    : state_(std::make_unique<State>()) {
  using namespace dnnl;
  omp_set_num_threads(threads());
  State& s = *state_;
  const Shape out = nn::conv2d_output_shape({size, size, images, o.in_channels}, o);
  const auto any = memory::format_tag::any;
  const memory::desc x({images, o.in_channels, size, size}, memory::data_type::u8, any);
  const memory::desc w({o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}, memory::data_type::s8, any);
  const memory::desc y({images, o.out_channels, out[0], out[1]}, memory::data_type::u8, any);
  const memory::dims strides{o.stride, o.stride}, pad{o.pad, o.pad};
  primitive_attr scales;
  scales.set_output_scales(1 << 1, std::vector<float>(static_cast<size_t>(o.out_channels), 0.01f));
  try {
    const convolution_forward::desc desc(prop_kind::forward_inference, algorithm::convolution_direct, x, w, y, strides,
                                         pad, pad);
    s.forward(convolution_forward::primitive_desc(desc, scales, s.engine));
  } catch (const dnnl::error& e) {
    throw Error(fmt::format("[onednn] {}", e.what()));
  }
}

OnednnConv::~OnednnConv() = default;

void OnednnConv::run() {
  state_->primitive.execute(state_->stream, state_->arguments);
  state_->stream.wait();
}

std::string OnednnConv::implementation() const { return state_->implementation; }

}  // namespace kronbit
