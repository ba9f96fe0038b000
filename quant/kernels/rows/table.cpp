// The ordered list of the row packers, best first.
#include <array>

#include "quant/kernels/rows.h"

namespace kronbit::quant {

std::span<const RowPacker> row_packers() {
  static const std::array<RowPacker, 4> list = {kPackRowsAvx512Gfni, kPackRowsAvx512, kPackRowsAvx2,
                                                kPackRowsReference};
  return list;
}

// Asked for anew at every call: the instruction sets in use may be limited at run time.
const RowPacker& best_row_packer() {
  const auto all = row_packers();
  size_t k = 0;
  while (!all[k].supported()) ++k;  // the reference always is
  return all[k];
}

}  // namespace kronbit::quant
