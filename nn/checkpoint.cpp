#include "nn/checkpoint.h"

#include <string_view>

#include "nn/state_dict.h"
#include "tensor/io/text.h"

namespace kronbit::nn {
namespace {

constexpr std::string_view kOptimiserPrefix = "optimiser.";

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const Network& net,
                     const std::map<std::string, Tensor>& optimiser_state,
                     const std::map<std::string, std::string>& meta) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : own_metadata(net)) writer.set_metadata(key, value);
  for (const auto& [key, value] : meta) {
    KB_CHECK(key != "format" && !own_metadata(net).contains(key));
    writer.set_metadata(key, value);
  }
  for (const Parameter& p : net.parameters()) writer.add(p.name, p.var.value());
  for (const auto& [name, tensor] : optimiser_state) {
    KB_CHECK(tensor.dtype() == DType::F32);
    writer.add(std::string(kOptimiserPrefix) + name, tensor);
  }
  writer.publish(path);
}

Checkpoint load_checkpoint(const std::filesystem::path& path, Network& net) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const WeightsInfo info = weights_info(file);
  if (info.network != net.name() || info.classes != net.classes()) {
    input_error(file.name(), "wanted a checkpoint of {} with {} classes, got {} with {}", net.name(), net.classes(),
                quote(info.network), info.classes);
  }
  Checkpoint checkpoint;
  for (const TensorInfo& tensor : file.tensors()) {
    if (!tensor.name.starts_with(kOptimiserPrefix)) continue;
    checkpoint.optimiser_state[tensor.name.substr(kOptimiserPrefix.size())] = to_tensor(tensor, file.name());
  }
  checkpoint.meta = file.metadata();
  checkpoint.meta.erase("format");
  for (const auto& [key, value] : own_metadata(net)) checkpoint.meta.erase(key);
  load_state_dict(net, file);
  return checkpoint;
}

}  // namespace kronbit::nn
