// kronbit report: RUN/report.html again, from the journal alone.
#include "apps/kronbit/report/report.h"
#include "apps/kronbit/options/common.h"

namespace kronbit::app {
namespace {

int run(const Frame& frame, const std::string& folder) {
  write_report(folder);
  const std::string path = (std::filesystem::path(folder) / "report.html").string();
  if (frame.json) {
    print_json({{"report", path}});
  } else {
    fmt::print("{}\n", path);
  }
  return 0;
}

}  // namespace

void add_report(CLI::App& app, Frame& frame) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = add_command(app, frame, "report", "write RUN/report.html from the journal; safe while it runs",
                                  "Example:\n  kronbit report RUN", [&frame, folder] { return run(frame, *folder); });
  command->add_option("RUN", *folder, "folder of a search or a training")->required();
}

}  // namespace kronbit::app
