// How the CUDA files report a failure: without the headers that nvcc would take long to read.
#pragma once

namespace kronbit {

/// Throws: Error "[cuda] what: why"
[[noreturn]] void device_failure(const char* what, const char* why);

}  // namespace kronbit
