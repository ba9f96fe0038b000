// The ordered list of the row packers, best first.
#include <array>

#include "quant/kernels/rows.h"
#include "tensor/variants.h"

namespace kronbit::quant {

std::span<const RowPacker> row_packers() {
  static const std::array<RowPacker, 4> list = {kPackRowsAvx512Gfni, kPackRowsAvx512, kPackRowsAvx2,
                                                kPackRowsReference};
  return list;
}

const RowPacker& best_row_packer() { return first_supported(row_packers()); }

}  // namespace kronbit::quant
