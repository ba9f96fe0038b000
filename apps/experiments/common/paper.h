// What the paper printed: its tables as data, so that every experiment shows its own numbers beside them. Misprints are
// noted where they are; docs/method.md says which size rule reproduces which column.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/layers.h"
#include "tensor/bits.h"

namespace kronbit::experiments {

/// One line of a table; what the paper leaves empty is empty. Units: percent, points, 10^6 bytes.
struct PaperRow {
  std::string bits;  ///< as kronbit reads bit lists
  std::optional<double> estimate = {}, top1 = {}, sd = {}, delta = {};
  std::optional<int> total_bits = {};
  std::optional<double> megabytes = {};
  std::optional<double> loss = {};     ///< Tables 2 to 4: accuracy lost against floating point
  std::optional<double> percent = {};  ///< Table 2: of the floating point size
  std::string note = {};               ///< what had to be decided to read the row
};

struct PaperNetwork {
  std::string net;
  std::optional<double> fp32 = {};  ///< top-1, percent
  std::vector<PaperRow> rows;
};

/// Table 1: linear Bezier on CIFAR-10. Rows: found, its reverse, found, its reverse, uniform, uniform.
const std::vector<PaperNetwork>& table1();
/// Table 2: Chebyshev series of four weights on CIFAR-10. Rows: found, its reverse.
const std::vector<PaperNetwork>& table2();

/// Table 3: ReLeQ's bit list and the paper's own. Sizes are in MiB (2^20 bytes), whatever the paper calls them.
struct ComparedNetwork {
  std::string net, printed_name;
  struct Side {
    std::string method, bits, note;
    double loss, dsconv_mib, payload_mib;
  };
  std::vector<Side> sides;
};
const std::vector<ComparedNetwork>& table3();

/// Table 4: ResNets on ImageNet.
struct ImageNetRow {
  std::string method, net, bits;
  double loss, megabytes;
};
const std::vector<ImageNetRow>& table4();

/// The row's bits for these layers. Lists that leave out the 1x1 shortcuts (Table 2, ResNet18) give each the bits of
/// the layer before it; digits beyond the convolutions (Table 3's fully connected layers) are dropped. Throws:
/// InputError when the list fits neither way.
Bits bits_of(const std::string& text, const std::vector<nn::ConvInfo>& layers);

}  // namespace kronbit::experiments
