// The GPU, by the CUDA runtime. Memory comes from CUDA's own pool, which keeps what is given back.
#include <exception>

#include "tensor/cuda/device.h"
#include "tensor/cuda/failure.h"
#include "tensor/cuda/simt.h"

#if defined(__CUDACC__)

namespace kronbit {
namespace cuda {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // forgets it: it is not the next launch's failure
  device_failure(what, cudaGetErrorString(code));
}

}  // namespace cuda

namespace {

using cuda::check;

/// Here for its attributes: they are there when this build has code for the GPU.
__global__ void empty_kernel() {}

class CudaDevice : public Device {
 public:
  CudaDevice() {
    check(cudaSetDevice(0), "device 0");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    cudaMemPool_t pool{};
    check(cudaDeviceGetDefaultMemPool(&pool, 0), "memory pool");
    uint64_t keep = UINT64_MAX;  // between synchronizations too
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "memory pool");
  }
  ~CudaDevice() override {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  bool simulated() const override { return false; }
  DeviceProperties properties() const override {
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, 0), "properties of device 0");
    DeviceProperties all;
    all.name = p.name;
    all.capability = 10 * p.major + p.minor;
    all.multiprocessors = p.multiProcessorCount;
    check(cudaMemGetInfo(&all.free_bytes, &all.memory_bytes), "memory of device 0");
    return all;
  }
  std::shared_ptr<void> allocate(size_t bytes) override {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, bytes == 0 ? 1 : bytes, stream_), "memory");
    return {memory, [stream = stream_](void* p) { cudaFreeAsync(p, stream); }};
  }
  void upload(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copy to the device");
    synchronize();
  }
  void download(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "copy from the device");
    synchronize();
  }
  void zero(void* to, size_t bytes) override { check(cudaMemsetAsync(to, 0, bytes, stream_), "zeroing memory"); }
  void synchronize() override { check(cudaStreamSynchronize(stream_), "work on the device"); }
  std::shared_ptr<void> record(const std::function<void()>& work) override {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording work");
    cudaGraph_t graph{};
    try {
      work();
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      cudaGetLastError();  // as in check()
      throw;
    }
    check(cudaStreamEndCapture(stream_, &graph), "recording work");
    cudaGraphExec_t whole{};
    const cudaError_t code = cudaGraphInstantiate(&whole, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "recording work");
    return {whole, [](void* p) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(p)); }};
  }
  void replay(const std::shared_ptr<void>& recorded) override {
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recorded.get()), stream_), "recorded work");
  }
  double seconds(const std::function<void()>& work) override {
    cudaEvent_t begin{}, end{};
    check(cudaEventCreate(&begin), "an event");
    check(cudaEventCreate(&end), "an event");
    check(cudaEventRecord(begin, stream_), "an event");
    work();
    check(cudaEventRecord(end, stream_), "an event");
    check(cudaEventSynchronize(end), "work on the device");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "an event");
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return milliseconds / 1e3;
  }
  void* stream() const override { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Device> open_cuda_device(std::string& why) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess || count == 0) {
    why = code == cudaErrorInsufficientDriver ? "no NVIDIA driver, or one older than this build's CUDA"
          : code != cudaSuccess               ? cudaGetErrorString(code)
                                              : "no GPU is visible";
    return nullptr;
  }
  try {
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "properties of device 0");
    if (major < 8) {
      why = "the GPU is older than compute capability 8.0";
      return nullptr;
    }
    auto device = std::make_unique<CudaDevice>();
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, empty_kernel), "code for device 0");
    return device;
  } catch (const std::exception& error) {  // in use by others only, no memory left, no code for it
    why = error.what();
    return nullptr;
  }
}

}  // namespace kronbit

#endif
