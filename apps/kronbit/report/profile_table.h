// Times of every layer at every number of bits on one machine, and their forms: JSON, CSV, a picture, a table.
#pragma once

#include <string>
#include <vector>

#include "quant/engine/profile.h"
#include "tensor/bits.h"
#include "tensor/io/json.h"

namespace kronbit::app {

struct ProfileCell {
  double microseconds = 0;  ///< per image, of the whole step: product, what is fused to it, packing for the next
  /// Who ran the product and who came second, with the product's own time on one thread (0: not timed).
  quant::LayerChoice choice;
};

/// Images in batches of one size.
struct ProfileBatch {
  int64_t batch = 1;                            ///< 1: one image over all threads; 128: groups, one per thread
  double rest = 0;                              ///< microseconds per image: what is no convolution
  std::vector<std::vector<ProfileCell>> cells;  ///< [layer][bits - bits_min]
};

struct ProfileTable {
  std::string net;
  int classes = 0;
  int64_t input_size = 0;
  int bits_min = kMinBits, bits_max = kMaxBits;
  int threads = 1;
  bool exact = false;
  std::string kernel;               ///< forced; "" = none
  std::vector<std::string> layers;  ///< in the order of a bit list
  std::vector<ProfileBatch> batches;

  /// Layers that calculate with FP32 inputs take the same time at any bits, as do the other steps: those get the median
  /// over all bits. by_bits: plans of the uniform networks of bits_min, ..., bits_max.
  void add(int64_t batch, const std::vector<quant::PlanTimes>& by_bits);
  /// Microseconds per image of a bit list. Requires: bits within bits_min..bits_max
  double predict(const ProfileBatch& batch, const Bits& bits) const;
};

/// {"kronbit.profile": version, net, machine, ..., "batches": [{batch, rest_microseconds, layers: [{layer, bits:
/// [...]}]}]}
Json to_json(const ProfileTable& table);
/// batch,layer,bits,microseconds,kernel,...: one line per cell; "rest" as a layer without bits.
std::string csv_of(const ProfileTable& table);
/// A heat map, layers x bits, as an <svg> element; "" and why in `problem` when it cannot be drawn.
std::string picture_of(const ProfileTable& table, const ProfileBatch& batch, std::string& problem);
/// For people.
void print_table(const ProfileTable& table);

}  // namespace kronbit::app
