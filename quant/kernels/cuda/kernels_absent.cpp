// In builds without CUDA no device but the simulated one opens, so these are never called.
#include "quant/kernels/cuda/kernels.h"
#include "tensor/base/error.h"

namespace kronbit::quant::cuda {

void pack_rows(const PackArguments&, const DeviceQueue&) { KB_CHECK(false); }
void int8_product(const ProductArguments&, const DeviceQueue&) { KB_CHECK(false); }
void bitserial_product(const ProductArguments&, const DeviceQueue&) { KB_CHECK(false); }
void bf16_product(const ProductArguments&, const DeviceQueue&) { KB_CHECK(false); }
void bf16_split_product(const ProductArguments&, const DeviceQueue&) { KB_CHECK(false); }
void dp4a_product(const ProductArguments&, const DeviceQueue&) { KB_CHECK(false); }

}  // namespace kronbit::quant::cuda
