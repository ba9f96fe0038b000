#include "nn/state_dict.h"

#include <algorithm>
#include <optional>

#include "nn/models/models.h"
#include "nn/state_dict_names.h"
#include "tensor/io/json.h"
#include "tensor/io/limits.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::nn {
namespace {

constexpr const char* kOwnMark = "kronbit.weights";
constexpr int64_t kMaxInputSize = 4096;  // of images, as build() takes them

std::string value_of(const SafetensorsFile& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  return it == file.metadata().end() ? std::string() : it->second;
}

/// Whether what the file says of itself is meant as we mean it: by the mark, or as our files without one look.
bool is_ours(const SafetensorsFile& file) {
  if (file.metadata().contains(kOwnMark)) return true;
  const std::vector<std::string> known = model_names();
  const std::string classes = value_of(file, "classes");
  return std::find(known.begin(), known.end(), value_of(file, "network")) != known.end() && !classes.empty() &&
         classes.find_first_not_of("0123456789") == std::string::npos;
}

using TensorsByName = std::map<std::string, const TensorInfo*>;

/// The tensors of `file` under the names of `net`, without the ignored ones.
TensorsByName tensors_of(const SafetensorsFile& file, const Network& net) {
  TensorsByName tensors;
  for (const TensorInfo& info : file.tensors()) {
    const std::string name = canonical_name(net.name(), info.name);
    if (is_ignored(name)) continue;
    const auto [other, is_new] = tensors.emplace(name, &info);
    if (!is_new) {
      input_error(file.name(), "{} and {} are both {} of {}", quote(other->second->name), quote(info.name),
                  printable(name), net.name());
    }
  }
  return tensors;
}

/// For every batch normalization that alone reads a convolution: the name its convolution's bias would have.
/// Key: name of that bias; value: index of the parameter that holds the running mean.
std::map<std::string, int> running_means_by_bias(const Network& net) {
  std::vector<int> readers(net.nodes().size());
  for (const Node& node : net.nodes())
    for (int input : node.inputs) ++readers[static_cast<size_t>(input)];
  const std::vector<int> convolutions = net.convolutions();
  std::map<std::string, int> means;
  for (const Node& node : net.nodes()) {
    if (node.op->kind() != "batch_norm") continue;
    const int conv = node.inputs[0];
    if (std::ranges::count(convolutions, conv) == 0 || readers[static_cast<size_t>(conv)] != 1) continue;
    const std::string bias = net.nodes()[static_cast<size_t>(conv)].name + ".bias";
    for (int p : node.parameters) {
      if (net.parameters()[static_cast<size_t>(p)].role == Role::Mean) means[bias] = p;
    }
  }
  return means;
}

/// A linear layer may come as the convolution that does the same, [O, C, kh, kw]: the numbers have the same order.
bool fits(const Shape& got, const Shape& wanted) {
  const bool flattened = got.rank() == 4 && wanted.rank() == 2 && got[0] == wanted[0] && got.count() == wanted.count();
  return got == wanted || flattened;
}

/// "3 missing (a, b, c)", or the first five of many.
std::string listed(const std::vector<std::string>& names, std::string_view what) {
  constexpr size_t kAllUpTo = 20, kElse = 5;
  const size_t shown = names.size() <= kAllUpTo ? names.size() : kElse;
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + names[i];
  return fmt::format("{} {} ({}{})", names.size(), what, text, shown < names.size() ? ", ..." : "");
}

/// The last linear layer; null where there is none.
const Node* head_of(const Network& net) {
  const auto found = std::find_if(net.nodes().rbegin(), net.nodes().rend(),
                                  [](const Node& node) { return node.op->kind() == "linear"; });
  return found == net.nodes().rend() ? nullptr : &*found;
}

/// "; try --net resnet18_imagenet" where the file begins with the 7x7 convolution that only that network has.
std::string imagenet_hint(const SafetensorsFile& file, const Network& net) {
  const std::string other = net.name() + "_imagenet";
  const std::vector<std::string> known = model_names();
  if (std::find(known.begin(), known.end(), other) == known.end()) return "";
  for (const TensorInfo& info : file.tensors()) {
    const bool first = canonical_name(net.name(), info.name).starts_with("conv1.");
    if (first && info.shape.size() == 4 && info.shape[2] == 7 && info.shape[3] == 7) return "; try --net " + other;
  }
  return "";
}

/// Throws: InputError unless `tensors` are exactly the parameters of `net` and biases that `means` can take in.
void check_tensors(const SafetensorsFile& file, const Network& net, const TensorsByName& tensors,
                   const std::map<std::string, int>& means) {
  std::vector<std::string> missing, surplus, misshaped;
  const Node* head = head_of(net);
  bool head_only = true;  // among the misshaped
  const auto compare = [&](const TensorInfo& info, const Shape& wanted) {
    const Shape got(info.shape);
    if (!fits(got, wanted)) {
      misshaped.push_back(fmt::format("{}: wanted {}, got {}", printable(info.name), wanted.text(), got.text()));
      head_only = head_only && head && canonical_name(net.name(), info.name).starts_with(head->name + ".");
    }
  };
  for (const Parameter& p : net.parameters()) {
    const auto it = tensors.find(p.name);
    if (it == tensors.end()) {
      missing.push_back(p.name);
    } else {
      compare(*it->second, p.var.value().shape());
    }
  }
  for (const auto& [name, info] : tensors) {
    if (net.find_parameter(name) != nullptr) continue;
    const auto mean = means.find(name);
    if (mean == means.end()) {
      surplus.push_back(printable(info->name));
    } else {
      compare(*info, net.parameters()[static_cast<size_t>(mean->second)].var.value().shape());
    }
  }
  std::string problems;
  const auto append = [&](const std::vector<std::string>& names, std::string_view what) {
    if (!names.empty()) problems += (problems.empty() ? "" : ", ") + listed(names, what);
  };
  append(missing, "missing");
  append(surplus, "surplus");
  append(misshaped, "misshaped");
  if (problems.empty()) return;
  const int classes = classes_of(file, net);
  if (missing.empty() && surplus.empty() && head_only && classes > 0 && classes != net.classes()) {
    input_error(file.name(), "wanted the weights of {} with {} classes, the file has {} (--classes {})", net.name(),
                net.classes(), classes, classes);
  }
  const std::string says = weights_info(file).network;
  const std::string hint = says.empty() || says == net.name() ? "" : "; the file says its network is " + quote(says);
  input_error(file.name(), "wanted the weights of {} with {} classes, got a file with {}{}{}", net.name(),
              net.classes(), problems, hint, imagenet_hint(file, net));
}

void check_variance(const Tensor& variance, const std::string& name, const SafetensorsFile& file) {
  const float* v = variance.data<float>();
  for (int64_t i = 0; i < variance.count(); ++i) {
    if (v[i] < 0) input_error(file.name(), "{}[{}]: wanted a variance, got {}", name, i, v[i]);
  }
}

}  // namespace

void load_state_dict(Network& net, const SafetensorsFile& file) {
  const TensorsByName tensors = tensors_of(file, net);
  const std::map<std::string, int> means = running_means_by_bias(net);
  check_tensors(file, net, tensors, means);

  std::vector<Tensor> loaded;
  for (const Parameter& p : net.parameters()) {
    loaded.push_back(to_tensor(*tensors.at(p.name), file.name()).reshaped(p.var.value().shape()));
    if (p.role == Role::Variance) check_variance(loaded.back(), p.name, file);
  }
  for (const auto& [bias_name, mean_index] : means) {
    const auto it = tensors.find(bias_name);
    if (it == tensors.end()) continue;
    const Tensor bias = to_tensor(*it->second, file.name());
    Tensor& mean = loaded[static_cast<size_t>(mean_index)];
    for (int64_t i = 0; i < mean.count(); ++i) mean.data<float>()[i] -= bias.data<float>()[i];
  }
  for (size_t i = 0; i < loaded.size(); ++i) net.parameters()[i].var.value().copy_from(loaded[i]);
}

void load_state_dict(Network& net, const std::filesystem::path& path) {
  load_state_dict(net, SafetensorsFile::open(path));
}

void save_state_dict(const Network& net, const std::filesystem::path& path,
                     const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
  for (const auto& [key, value] : own_metadata(net)) writer.set_metadata(key, value);
  for (const Parameter& p : net.parameters()) writer.add(p.name, p.var.value());
  writer.publish(path);
}

std::map<std::string, std::string> own_metadata(const Network& net) {
  return {{kOwnMark, "1"},
          {"network", net.name()},
          {"classes", fmt::format("{}", net.classes())},
          {"input_size", fmt::format("{}", net.input_shape()[0])}};
}

WeightsInfo weights_info(const SafetensorsFile& file) {
  WeightsInfo info;
  if (!is_ours(file)) return info;
  const auto number = [&](const char* key, int64_t most) {
    const std::string text = value_of(file, key);
    return text.empty() ? 0 : parse_int(text, 1, most, file.name() + ": " + key);
  };
  info.network = value_of(file, "network");
  info.classes = static_cast<int>(number("classes", kMaxClasses));
  info.input_size = number("input_size", kMaxInputSize);
  info.normalization = value_of(file, "normalization");
  if (const std::string names = value_of(file, "class_names"); !names.empty()) {
    const std::string where = file.name() + ": class_names";
    info.class_names = parse_names(names, where);
    if (std::ssize(info.class_names) != info.classes)
      input_error(where, "wanted {}, got {}", info.classes, info.class_names.size());
  }
  return info;
}

int classes_of(const SafetensorsFile& file, const Network& net) {
  const Node* head = head_of(net);
  if (!head) return 0;
  for (const TensorInfo& info : file.tensors()) {
    if (canonical_name(net.name(), info.name) != head->name + ".weight" || info.shape.empty()) continue;
    if (info.shape[0] >= 1 && info.shape[0] <= kMaxClasses) return static_cast<int>(info.shape[0]);
  }
  return 0;
}

}  // namespace kronbit::nn
