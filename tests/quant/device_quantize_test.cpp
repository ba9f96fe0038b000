// The quantizers of training on a device against those of the processor: the same bits, for numbers of every kind.
#include <cstring>

#include "quant/cuda/device_quantizers.h"
#include "quant/quantizer.h"
#include "tests/nn/device_tests.h"
#include "tests/quant/strange_numbers.h"

namespace kronbit::quant {
namespace {

using nn::Bench;
using nn::Guarded;
using nn::on_devices;

template <class T>
void expect_bits(const std::vector<T>& got, const T* want) {
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(bits_of(got[i]), bits_of(want[i]))
        << "number " << i << ": " << static_cast<float>(got[i]) << ", wanted " << static_cast<float>(want[i]);
  }
}

/// Blocks of one kind each lie in a filter taps apart.
Tensor random_weights(int64_t outputs, int64_t channels, int64_t kernel, int64_t block, Rng& rng) {
  Tensor w = Tensor::zeros({outputs, channels, kernel, kernel});
  const int64_t taps = kernel * kernel;
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t t = 0; t < taps; ++t) {
      const auto row = random_numbers<float>(channels, block, true, rng);
      for (int64_t c = 0; c < channels; ++c)
        w.data<float>()[(o * channels + c) * taps + t] = row[static_cast<size_t>(c)];
    }
  }
  return w;
}

TEST(DeviceQuantize, Weights) {
  Rng rng(31, Purpose::Test);
  int cases = 0;
  for (const Mode mode : {Mode::SignedExtreme, Mode::PaperFloor, Mode::Binary}) {
    for (const int bits : {1, 2, 3, 5, 8}) {
      if (mode == Mode::Binary && bits != 1) continue;
      for (const int block : {32, 16, 5, 70}) {
        const int64_t outputs = 1 + static_cast<int64_t>(rng.below(4)),
                      channels = 1 + static_cast<int64_t>(rng.below(100));
        const int64_t kernel = 1 + static_cast<int64_t>(rng.below(3));
        SCOPED_TRACE(fmt::format("{} {} bits, block {}, {} -> {} channels, kernel {}", name_of(mode), bits, block,
                                 channels, outputs, kernel));
        const Tensor w = random_weights(outputs, channels, kernel, block, rng);
        const Tensor want = fake_quantize_weights(w, bits, mode, block);
        on_devices([&](const Bench& at) {
          Guarded<float> from = nn::to_device<float>(at.device, w), to(at.device, w.count());
          const auto run = device_quantizers(at.device).weights;
          const auto taps = static_cast<int>(kernel * kernel);
          run(outputs, static_cast<int>(channels), taps, from.data(), bits, mode, block, to.data(), at.queue);
          expect_bits(to.values(), want.data<float>());
          run(outputs, static_cast<int>(channels), taps, from.data(), bits, mode, block, from.data(), at.queue);
          expect_bits(from.values(), want.data<float>());
        });
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 44);
}

TEST(DeviceQuantize, WeightsOfManyOrdinaryBlocks) {
  Rng rng(32, Purpose::Test);
  const Tensor w = nn::random_tensor({24, 64, 3, 3}, rng);
  for (const int bits : {1, 4}) {
    const Tensor want = fake_quantize_weights(w, bits, Mode::SignedExtreme);
    on_devices([&](const Bench& at) {
      Guarded<float> from = nn::to_device<float>(at.device, w), to(at.device, w.count());
      device_quantizers(at.device).weights(24, 64, 9, from.data(), bits, Mode::SignedExtreme, 32, to.data(), at.queue);
      expect_bits(to.values(), want.data<float>());
    });
  }
}

// Eight partial sums 1 + 2^-24, 0, 0, 0, t, t, t, t: added as the processor does, every t = 2^-54 is lost against the
// first sum and the mean is halfway between two floats; had the t met each other first, it would be above.
TEST(DeviceQuantize, PartialSumsMeetInTheOrderOfTheProcessor) {
  Tensor w = Tensor::zeros({1, 32, 1, 1});
  w.data<float>()[0] = 1;
  w.data<float>()[8] = 0x1p-24f;
  for (int64_t c = 4; c < 8; ++c) w.data<float>()[c] = 0x1p-54f;
  const Tensor want = fake_quantize_weights(w, 1, Mode::Binary);
  EXPECT_EQ(want.data<float>()[0], 1.0f / 32);
  on_devices([&](const Bench& at) {
    Guarded<float> from = nn::to_device<float>(at.device, w), to(at.device, w.count());
    device_quantizers(at.device).weights(1, 32, 1, from.data(), 1, Mode::Binary, 32, to.data(), at.queue);
    expect_bits(to.values(), want.data<float>());
  });
}

void check_rows(const ActivationFormat& format, int64_t rows, int64_t channels, Rng& rng) {
  const int64_t pitch = pitch_of(channels);
  std::vector<bf16> x(static_cast<size_t>(rows * pitch)), dy = x, y = x, dx = x;
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = random_numbers<bf16>(channels, format.block, format.is_signed || r % 4 == 0, rng);
    std::copy(row.begin(), row.end(), x.begin() + r * pitch);
    for (int64_t c = 0; c < pitch; ++c)  // what lies in the padding of dy does not matter
      dy[static_cast<size_t>(r * pitch + c)] = bf16(static_cast<float>(rng.normal()));
  }
  quantize_rows(x.data(), y.data(), rows, pitch, channels, format);
  quantize_rows_backward(dy.data(), x.data(), dx.data(), rows, pitch, channels, format);
  const DeviceActivationFormat f{format.bits, format.is_signed, static_cast<int>(format.block)};
  on_devices([&](const Bench& at) {
    const DeviceQuantizers& run = device_quantizers(at.device);
    Guarded<bf16> from(at.device, x), to(at.device, rows * pitch), gradient(at.device, dy),
        back(at.device, rows * pitch);
    const int p = static_cast<int>(pitch), c = static_cast<int>(channels);
    run.rows(from.data(), to.data(), rows, p, c, f, at.queue);
    run.rows_backward(gradient.data(), from.data(), back.data(), rows, p, c, f, at.queue);
    expect_bits(to.values(), y.data());
    expect_bits(back.values(), dx.data());
    run.rows_backward(gradient.data(), from.data(), gradient.data(), rows, p, c, f, at.queue);
    run.rows(from.data(), from.data(), rows, p, c, f, at.queue);
    expect_bits(from.values(), y.data());
    expect_bits(gradient.values(), dx.data());
  });
}

TEST(DeviceQuantize, Activations) {
  Rng rng(33, Purpose::Test);
  for (int bits = 1; bits <= 8; ++bits) {
    for (const bool is_signed : {false, true}) {
      for (const int block : {32, 16, 24, 7, 64}) {
        const int64_t channels = 1 + static_cast<int64_t>(rng.below(100)),
                      rows = 1 + static_cast<int64_t>(rng.below(30));
        SCOPED_TRACE(fmt::format("{} bits, {}, block {}, {} rows of {} channels", bits,
                                 is_signed ? "signed" : "unsigned", block, rows, channels));
        check_rows({bits, is_signed, block}, rows, channels, rng);
      }
    }
  }
}

TEST(DeviceQuantize, ActivationsOfEveryWidth) {
  Rng rng(34, Purpose::Test);
  for (int64_t channels = 1; channels <= 70; channels += 3) {
    SCOPED_TRACE(fmt::format("{} channels", channels));
    check_rows({4, false, 32}, 9, channels, rng);
    check_rows({8, true, 32}, 9, channels, rng);
  }
  check_rows({3, true, 32}, 0, 20, rng);
}

}  // namespace
}  // namespace kronbit::quant
