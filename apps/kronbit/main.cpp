// kronbit: how many bits does each layer of this CNN deserve? Exit codes: 0 done, 1 the work failed, 2 the command line
// or an input is wrong, 130/143 stopped by a signal or --time-limit; what then failed, such as a last write, has its line.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <system_error>

#include "apps/kronbit/command.h"
#include "apps/kronbit/command_line.h"
#include "apps/kronbit/made_by.h"
#include "quant/kernels/block_product.h"
#include "quant/kernels/cuda/device_product.h"
#include "tensor/base/error.h"
#include "tensor/base/stopped.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::app {

namespace {

/// Kernels of a lesser processor, to compare them or to avoid a faulty one.
void limit_the_instruction_set() {
  if (const char* level = std::getenv("KRONBIT_ISA")) limit_isa(level);
}

// Two libraries read the environment before main(), so the program starts itself once more where they need telling:
// OpenBLAS takes new CPUs for very old ones and starts threads that nothing here uses, of which those that get no
// memory keep the program from ending; and OpenMP's threads wait for milliseconds in a loop before they sleep,
// which doubles the time of everything when another process wants the processor.
void restart_with_the_right_environment(char** argv) {
  bool changed = false;
  const auto set = [&](const char* name, const std::string& value) {
    changed = setenv(name, value.c_str(), 1) == 0 || changed;
  };
  if (const std::string core = openblas_core_expected(); !std::getenv("OPENBLAS_CORETYPE") && !core.empty())
    set("OPENBLAS_CORETYPE", core);
  if (!std::getenv("OPENBLAS_NUM_THREADS")) set("OPENBLAS_NUM_THREADS", "1");
  if (!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT")) set("GOMP_SPINCOUNT", "5000");
  if (changed) execv("/proc/self/exe", argv);
  // Without /proc the program goes on as it is, slower.
}

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "kronbit: %s\n", printable(message).c_str());
  return code;
}

/// stdout did not take the result. A reader that has seen enough (`kronbit rank RUN | head -1`) is no reason to
/// complain.
int fail_at_stdout(int error) { return error == EPIPE ? 1 : fail(1, "[stdout] cannot write the result"); }

int flushed(int code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) return fail_at_stdout(errno);
  return code;
}

/// Kernels of training are forced here; those of packed networks are left to the commands that run them.
void force_kernel(KernelChoice kernels, const std::string& name) {
  const auto training = brgemm_variants();
  const bool is_training = name == "auto" || std::any_of(training.begin(), training.end(),
                                                         [&](const BrgemmVariant& v) { return v.name == name; });
  const auto packed = quant::block_kernels();
  const auto on_gpus = quant::device_kernels(*open_simulated_device()).products;
  const auto is_it = [&](const auto* kernel) { return kernel->name == name; };
  const bool is_packed = std::any_of(packed.begin(), packed.end(), is_it) || std::ranges::any_of(on_gpus, is_it);
  if (is_training || !is_packed || kernels == KernelChoice::Training) force_brgemm_variant(name);
}

int run(int argc, char** argv) {
  CLI::App app{"How many bits does each layer of this CNN deserve, and what do you gain?", "kronbit"};
  app.require_subcommand(0, 1);  // an unknown one is named; none is noticed below
  app.set_version_flag("--version", version_text());
  app.option_defaults()->always_capture_default();
  app.footer(
      "Start: kronbit search --help. Exit codes: 0 done, 1 failed, 2 wrong input, 130/143 stopped by a signal or "
      "--time-limit.");
  Frame frame;
  add_info(app, frame);
  add_size(app, frame);
  add_train(app, frame);
  add_eval(app, frame);
  add_finetune(app, frame);
  add_search(app, frame);
  add_rank(app, frame);
  add_export(app, frame);
  add_run(app, frame);
  add_profile(app, frame);
  add_sensitivity(app, frame);
  add_verify(app, frame);
  add_status(app, frame);
  add_report(app, frame);
  add_evaluate(app, frame);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return flushed(app.exit(e));  // --help, --version
  } catch (const CLI::ParseError& e) {
    return fail(2, refusal(app, e));
  }
  if (!frame.chosen) return fail(2, "a subcommand is required (see kronbit --help)");
  if (!frame.threads.empty()) set_threads(static_cast<int>(parse_int(frame.threads, 1, 1024, "--threads")));
  if (!frame.kernel.empty()) force_kernel(frame.kernels, frame.kernel);
  return flushed(frame.chosen());
}

}  // namespace

}  // namespace kronbit::app

int main(int argc, char** argv) {
  using namespace kronbit;
  try {
    open_standard_streams();
    app::limit_the_instruction_set();
    app::restart_with_the_right_environment(argv);
    app::install_signals();
    return app::run(argc, argv);
  } catch (const InputError& e) {
    return app::fail(2, e.what());
  } catch (const Stopped&) {
    return app::stop_exit_code();
  } catch (const Error& e) {
    return app::fail(app::stop_requested ? app::stop_exit_code() : 1, e.what());  // what failed is told, stopped or not
  } catch (const std::bad_alloc&) {
    return app::fail(1, "[memory] not enough memory");
  } catch (const std::filesystem::filesystem_error& e) {
    return app::fail(2, fmt::format("[{}] {}", e.path1().string(), e.code().message()));
  } catch (const std::system_error& e) {
    if (std::ferror(stdout)) return app::fail_at_stdout(e.code().value());
    return app::fail(1, std::string("internal error: ") + e.what());
  } catch (const std::exception& e) {
    return app::fail(1, std::string("internal error: ") + e.what());
  }
}
