#include "bench/peers/cublaslt.h"

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "tensor/tensor.h"

namespace kronbit::bench {
namespace {

/// The functions we use, from the library itself.
struct Library {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmulDescCreate) describe = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) prefer = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) algorithms = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  std::string why;

  Library() {
    const std::string major = std::to_string(CUBLAS_VER_MAJOR);
    void* file = dlopen(("libcublasLt.so." + major).c_str(), RTLD_NOW);
    if (file == nullptr) {
      why = dlerror();
      return;
    }
    find(file, "cublasLtCreate", create);
    find(file, "cublasLtMatmulDescCreate", describe);
    find(file, "cublasLtMatrixLayoutCreate", layout);
    find(file, "cublasLtMatmulPreferenceCreate", preference);
    find(file, "cublasLtMatmulPreferenceSetAttribute", prefer);
    find(file, "cublasLtMatmulAlgoGetHeuristic", algorithms);
    find(file, "cublasLtMatmul", matmul);
  }
  template <class Function>
  void find(void* file, const char* name, Function& to) {
    to = reinterpret_cast<Function>(dlsym(file, name));
    if (to == nullptr) why = std::string("cuBLASLt has no ") + name;
  }
};

}  // namespace

double cublaslt_seconds(Device& device, int64_t m, int64_t n, int64_t k, int calls, std::string& why) {
  static const Library library;
  if (!library.why.empty() || device.simulated()) {
    why = device.simulated() ? "there is no GPU" : library.why;
    return -1;
  }
  constexpr size_t kWorkspace = size_t{32} << 20;
  constexpr int kMost = 8;
  std::vector<bf16> numbers(static_cast<size_t>(std::max(m, n) * k));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = bf16(static_cast<float>(i * 2654435761u % 1021) / 512 - 1);
  DeviceArray<bf16> x(device, numbers.data(), m * k), w(device, numbers.data(), k * n), y(device, m * n);
  DeviceArray<std::byte> workspace(device, static_cast<int64_t>(kWorkspace));
  cublasLtHandle_t handle{};
  cublasLtMatmulDesc_t product{};
  cublasLtMatrixLayout_t lw{}, lx{}, ly{};
  cublasLtMatmulPreference_t preference{};
  // Its matrices are stored column by column: it is asked for the transposed product, y^T [n][m] = w^T x^T.
  bool ok = library.create(&handle) == CUBLAS_STATUS_SUCCESS;
  ok = ok && library.describe(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS;
  const auto layout = [&](cublasLtMatrixLayout_t& to, int64_t rows, int64_t columns) {
    ok = ok && library.layout(&to, CUDA_R_16BF, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), rows) ==
                   CUBLAS_STATUS_SUCCESS;
  };
  layout(lw, n, k);
  layout(lx, k, m);
  layout(ly, n, m);
  ok = ok && library.preference(&preference) == CUBLAS_STATUS_SUCCESS;
  ok = ok && library.prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace, sizeof(kWorkspace)) ==
                 CUBLAS_STATUS_SUCCESS;
  cublasLtMatmulHeuristicResult_t found[kMost];
  int count = 0;
  ok = ok &&
       library.algorithms(handle, product, lw, lx, ly, ly, preference, kMost, found, &count) == CUBLAS_STATUS_SUCCESS;
  if (!ok || count == 0) {
    why = "cuBLASLt has no algorithm for such a product";
    return -1;
  }
  const float one = 1, zero = 0;
  double best = std::numeric_limits<double>::infinity();
  for (int a = 0; a < count; ++a) {
    const auto run = [&] {
      for (int i = 0; i < calls; ++i)
        ok = ok && library.matmul(handle, product, &one, w.data(), lw, x.data(), lx, &zero, y.data(), ly, y.data(), ly,
                                  &found[a].algo, workspace.data(), kWorkspace,
                                  static_cast<cudaStream_t>(device.stream())) == CUBLAS_STATUS_SUCCESS;
    };
    run();
    if (ok) best = std::min(best, device.seconds(run) / calls);
  }
  if (!ok) why = "cuBLASLt failed";
  return ok ? best : -1;
}

}  // namespace kronbit::bench

#else

namespace kronbit::bench {

double cublaslt_seconds(Device&, int64_t, int64_t, int64_t, int, std::string& why) {
  why = "this build has no CUDA toolkit";
  return -1;
}

}  // namespace kronbit::bench

#endif
