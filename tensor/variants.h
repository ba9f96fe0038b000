// Tables of variants: the same function for several instruction sets, best first, the one that runs everywhere last.
#pragma once

#include <span>

namespace kronbit {

/// The first variant that this processor supports now. Asked for anew at every call: limit_isa() may change the answer.
/// Requires: the last one is supported everywhere
template <class Variant>
const Variant& first_supported(std::span<const Variant> all) {
  for (const Variant& variant : all.first(all.size() - 1))
    if (variant.supported()) return variant;
  return all.back();
}

}  // namespace kronbit
