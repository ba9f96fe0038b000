// The side whose kernels run on a GPU: namespace `cuda` (simt.h). A build without CUDA has no such side and opens no GPU;
// there the name stands for the other one, so that tables of both sides need no second version.
#pragma once

#ifdef KRONBIT_HAS_CUDA
#define KB_GPU_SIDE cuda
#else
#define KB_GPU_SIDE simulated
#endif
