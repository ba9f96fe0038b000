// The functions of one side in a row.
#include "quant/cuda/sides.h"

namespace kronbit::KB_SIDE {

const quant::DeviceQuantizers kDeviceQuantizers = {
    .weights = fake_quantize_weights, .rows = quantize_rows, .rows_backward = quantize_rows_backward};

}  // namespace kronbit::KB_SIDE
