// What decides the last bits of an evaluation beyond its job: the kernels of its products of matrices, because each
// adds in its own order, and the C library's exp and log. All other loops of training are bit-identical on every
// processor. Searches and trainings write their numerics into their journals; whoever goes on with them, here or on
// another machine, uses these or refuses.
#pragma once

#include <filesystem>
#include <string>

#include "apps/kronbit/command.h"
#include "tensor/base/error.h"
#include "tensor/io/json.h"

namespace kronbit::app {

/// An evaluation that this machine must not do: another one may. The message is one line for the journal.
class Refusal : public Error {
 public:
  using Error::Error;
};

struct Numerics {
  std::string precision;  ///< "fp32" or "bf16", never "auto"
  std::string f32;        ///< kernel of f32 products: "avx512"; OpenBLAS with its core: "openblas Zen"
  std::string bf16;       ///< kernel of bf16 products; "" in fp32
  std::string libm;       ///< "fma" or "no fma": the C library has two versions of exp and log
  bool operator==(const Numerics&) const = default;
};

/// What would be used now, with --kernel and KRONBIT_ISA as they are. precision: fp32 or bf16.
Numerics numerics_here(const std::string& precision);
/// Those that the run in a folder began with, unless --kernel names a kernel (if it is another, the comparison of
/// settings refuses it); numerics_here() where there is no run, or one whose journal does not say.
Numerics numerics_of_run(const Frame& frame, const std::filesystem::path& run, const std::string& precision);
Json to_json(const Numerics& numerics);
Numerics numerics_from_json(const Json& json, std::string_view where);

/// Makes this process calculate with `wanted`. Throws: Refusal when it cannot: "node7 cannot run the bf16 kernel amx:
/// wanted a processor with amx-bf16, has AMD EPYC 9645 (avx512bf16)".
void adopt(const Numerics& wanted);

/// Version, checksum of the running program's file and version of the C library; equal ones calculate the same.
std::string program_identity();
std::string host_name();

}  // namespace kronbit::app
