// kronbit evaluate: one evaluation of a search, started by it. The job is one JSON line on stdin, the result one on
// stdout; evaluation/protocol.h is what goes with them.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <thread>

#include "apps/kronbit/evaluation/protocol.h"
#include "apps/kronbit/evaluation/trial.h"
#include "apps/kronbit/options/pictures.h"
#include "search/evaluator.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

/// When the explorer dies, however it dies and on whatever machine, its end of stdin is closed, by the system or by the
/// launcher between, and its evaluations must not go on.
void end_with_stdin() {
  std::thread([] {
    char ignored;
    for (;;) {
      const ssize_t n = ::read(STDIN_FILENO, &ignored, 1);
      if (n == 0 || (n < 0 && errno != EINTR)) _exit(1);
    }
  }).detach();
}

Json calculate(const Job& job) {
  set_threads(job.threads);
  if (!job.kernel.empty()) force_brgemm_variant(job.kernel);
  return job.trial ? run_trial(job) : run_job(job);
}

int run_attended(const Job& job, const Attendance& attendance) {
  end_with_stdin();
  print_marked(kBegins, {{"host", host_name()}, {"pid", getpid()}});
  const auto say = [](search::Fault fault, const std::string& reason) {
    print_marked(kResult, {{"fault", search::name_of(fault)}, {"reason", reason}});
  };
  try {
    prepare(attendance);
    print_marked(kResult, {{"result", calculate(job)}});
    return 0;
  } catch (const Refusal& e) {
    say(search::Fault::Refused, e.what());
    throw;
  } catch (const data::DamagedImage& e) {
    Json said = input_line(e);
    said["fault"] = search::name_of(search::Fault::Input);
    print_marked(kResult, said);
    throw;
  } catch (const InputError& e) {
    // What is wrong here is wrong for all; on another machine only its own files may be.
    say(attendance.folder.empty() ? search::Fault::Input : search::Fault::Refused, e.what());
    throw;
  } catch (const NumericalError& e) {
    say(search::Fault::Training, e.what());
    throw;
  } catch (const Error& e) {
    const int code = stop_exit_code();
    say(search::Fault::Worker,
        code == 0 ? e.what() : fmt::format("the evaluation was stopped by signal {}", code - 128));
    throw;
  }
}

int run() {
  stop_gently();
  std::string line;
  std::getline(std::cin, line);
  const Json json = parse_json(line, "job");
  const Job job = job_from_json(json);
  if (job.parent > 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != static_cast<pid_t>(job.parent)) return 1;  // it has died before
  }
  if (has(json, "attended")) return run_attended(job, attendance_from_json(get_object(json, "attended", "job")));
  print_json(calculate(job));
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, Frame& frame) {
  add_command(app, frame, "evaluate", "one evaluation of a search (started by it): job on stdin, result on stdout", "",
              [] { return run(); })
      ->group("");  // internal: not listed
}

}  // namespace kronbit::app
