// kronbit evaluate: one evaluation of a search, started by it. The job is one JSON line on stdin, the result one on
// stdout.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "apps/kronbit/evaluation.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

int run() {
  std::string line;
  std::getline(std::cin, line);
  const Job job = job_from_json(parse_json(line, "job"));
  if (job.parent > 0) {
    // When the explorer dies, however it dies, its evaluations must not go on.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != static_cast<pid_t>(job.parent)) return 1;
  }
  set_threads(job.threads);
  if (!job.kernel.empty()) force_brgemm_variant(job.kernel);
  print_json(run_job(job));
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, Frame& frame) {
  add_command(app, frame, "evaluate", "one evaluation of a search (started by it): job on stdin, result on stdout", "",
              [] { return run(); })
      ->group("");  // internal: not listed
}

}  // namespace kronbit::app
