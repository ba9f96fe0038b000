// Feeds bytes to the reader of packed networks: what a fuzzer and the ordinary tests have in common.
#pragma once

#include <cstddef>
#include <span>

namespace kronbit::quant {

/// Reads the bytes as a packed network. An accepted one is written, read again and compared; one that is small and
/// takes small images is run once. Returns: whether they were accepted. Every failure but InputError is thrown on.
bool accepts_packed(std::span<const std::byte> bytes);

}  // namespace kronbit::quant
