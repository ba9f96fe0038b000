// What several subcommands share: option groups (network, data, bits) and how they become objects; results in JSON.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/kronbit/command.h"
#include "data/open.h"
#include "nn/network.h"
#include "nn/state_dict.h"
#include "quant/assign.h"
#include "quant/engine/engine.h"
#include "quant/packed.h"
#include "tensor/bits.h"
#include "tensor/io/json.h"

namespace kronbit::app {

/// --net --classes --input-size --weights
struct NetworkOptions {
  std::string net, weights;
  std::string classes, input_size;
};
void add_network_options(CLI::App* command, NetworkOptions& options, bool weights_required);

/// --data --validation --normalize --image-size --data-seed --skip-bad
struct DataOptions {
  std::string data;        ///< "": synthetic, where there are no weights that need other data
  std::string validation;  ///< "": 5000 training images, at most a fifth of them
  std::string normalize, image_size, seed = "1";
  bool skip_bad = false;
  bool test_only = false;  ///< only the test split is going to be read: what else is damaged does not matter
  /// Damaged pictures of a folder that are not part of the data (data::OpenOptions::leave_out). None where nobody has
  /// looked yet: then open_data() does, with skip_bad.
  std::optional<std::vector<std::string>> left_out = {};
  std::map<std::string, uint64_t> sizes = {};  ///< data::OpenOptions::sizes
};
void add_data_options(CLI::App* command, DataOptions& options);

/// --bits --mode --block
struct BitsOptions {
  std::string bits;
  std::string mode, block;  ///< "" = what @bits.json says, else as usual
};
/// Mode and block where nobody says them.
inline BitsOptions usual_quantizer() { return {"", "signed-extreme", "32"}; }
void add_bits_options(CLI::App* command, BitsOptions& options, bool bits_required);

/// Height and width of the images that a network takes: what --input-size or the weights say, else the usual ones of
/// --net. Throws: InputError where the two say different sizes.
int64_t input_size(const NetworkOptions& options);

/// Throws: InputError unless --data is given, which `file` of trained weights needs.
void require_data(const DataOptions& options, const std::string& file);

/// Opens --data for a network that takes images of `input_size`; folders are read at --image-size, else at that.
/// Without --normalize the given normalization applies, if there is one, else the data set's. With --skip-bad damaged
/// pictures are left out (options/pictures.h), all those of the folder or, where only the test split is read, of what it
/// is made of; without it nobody looks at pictures here.
data::Splits open_data(const DataOptions& options, int64_t input_size, const std::string& normalization = "");
/// The same with the size and the normalization that the weights say. Where there are weights --data is required, and a
/// line on stderr tells when they say no normalization.
data::Splits open_data(const DataOptions& options, const NetworkOptions& network);
/// The same of a packed network, which `file` holds; --data is not required.
data::Splits open_data(const DataOptions& options, const std::string& file, const quant::PackedNetwork& packed);

/// --data with the whole path of its folder, if it has one.
std::string with_absolute_folder(const std::string& data);

/// What --normalize says. Throws: InputError, also for means outside [0, 1], as of pixels from 0 to 255.
data::Normalization parse_normalize(const std::string& text);

/// Builds --net with --classes (else what the weights file says, else the rows of its head, else `data_classes`, else
/// the network's usual number) for images of input_size(), and loads --weights if given.
struct LoadedNetwork {
  nn::Network net;
  nn::WeightsInfo info;  ///< what the weights file says
};
LoadedNetwork load_network(const NetworkOptions& options, int data_classes = 0);

/// How the classes of trained weights have to fit the data's.
enum class Classes {
  Same,   ///< as many, of the same names in the same order
  Enough  ///< as many or more; of other names or more of them: a line on stderr. The same names in another order are
          ///< refused: every label would mean another class.
};
/// Compares the classes that `file` was trained for with the data's; `names` are empty where they are not known. Names
/// such as "class 7", which readers of data make up, count as not known.
/// Throws: InputError naming `file` and what is different.
void check_classes(const std::string& file, int classes, const std::vector<std::string>& names,
                   const data::Splits& splits, Classes wanted);

/// Names for the network's classes: the data's; none where the network has others.
std::vector<std::string> class_names(const data::Splits& splits, const nn::Network& net);

/// What --bits says for a network: a bit list, or @file.json (layer names are checked).
Bits read_bits(const std::string& text, const nn::Network& net);
/// --mode and --block; without them, and with @file.json, as the file says. Throws: InputError, also for an option that
/// contradicts the file.
quant::AssignOptions assign_options(const BitsOptions& options);

/// How a packed network is run: --threads and --kernel of the frame, --exact; choices are kept beside the model.
quant::EngineOptions engine_options(const Frame& frame, const std::filesystem::path& model, bool exact);
/// "int8-avx512vnni 11, bitserial-avx512 2": kernels and how many layers each runs.
std::string kernel_summary(const std::vector<quant::LayerChoice>& choices);

/// Prints `json` as one line on stdout.
void print_json(const Json& json);

/// Before minutes of work, not after them. inputs: what is read or must stay: files, and folders with all that lies
/// directly in them. Throws: InputError naming `flag` unless `file` can be written: in a folder that is there and may be
/// written to, itself no folder and none of the inputs. No file ("") is fine.
void check_output(const std::string& file, const char* flag, const std::vector<std::filesystem::path>& inputs);

/// Path of the folder with the real data sets: $KRONBIT_DATA, else ~/.cache/kronbit.
std::filesystem::path data_folder();

void add_precision_option(CLI::App* command, std::string& precision);
/// Of activations and their gradients: auto (what this machine is fastest in), fp32 or bf16.
/// A device other than cpu trains in bf16.
DType parse_precision(const std::string& precision, const std::string& device = "cpu");
/// What multiplies in training and in evaluating weights: the kernel of this processor, or "conv-cuda".
std::string product_kernel(const std::string& device, DType precision);
const char* precision_name(DType precision);  ///< "fp32"
/// What auto means for a run: what its journal says when it is resumed, elsewhere perhaps, else what is fastest here.
std::string resolve_precision(const std::string& precision, const std::string& device,
                              const std::filesystem::path& run);

}  // namespace kronbit::app
