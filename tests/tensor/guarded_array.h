// Memory for tests of kernels: what lies behind it may not be touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "tensor/base/error.h"

namespace kronbit {

/// Numbers that end exactly where a page without any access begins (and begin after one, up to a page's rest).
template <class T>
class GuardedArray {
 public:
  explicit GuardedArray(int64_t count) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = static_cast<size_t>(count) * sizeof(T), pages = (bytes + page - 1) / page * page;
    size_ = pages + 2 * page;
    base_ = static_cast<char*>(mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    KB_CHECK(base_ != MAP_FAILED);
    if (pages > 0) KB_CHECK(mprotect(base_ + page, pages, PROT_READ | PROT_WRITE) == 0);
    data_ = reinterpret_cast<T*>(base_ + page + pages - bytes);
  }
  ~GuardedArray() { munmap(base_, size_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;
  T* data() { return data_; }

 private:
  char* base_;
  size_t size_;
  T* data_;
};

}  // namespace kronbit
