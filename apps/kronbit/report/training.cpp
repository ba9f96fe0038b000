// The report of a training: loss and accuracy over the epochs.
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/plot_parts.h"
#include "apps/kronbit/report/sections.h"

namespace kronbit::app {
namespace {

constexpr const char* kWhere = "journal";

struct Epoch {
  double epoch, lr, loss, val_loss, train_top1, val_top1, seconds;
};

std::vector<Epoch> read_epochs(const std::vector<Json>& lines) {
  std::vector<Epoch> epochs;
  for (const Json& line : lines) {
    if (line["event"] != "epoch") continue;
    const auto number = [&](const char* key) { return get_number(line, key, -1e300, 1e300, kWhere); };
    epochs.push_back({number("epoch"), number("lr"), number("loss"), number("val_loss"), number("train_top1"),
                      number("val_top1"), number("seconds")});
  }
  return epochs;
}

std::string curves(Plotter& plotter, const std::vector<Epoch>& epochs, const std::string& id, const std::string& what,
                   double scale, double Epoch::*train, double Epoch::*validation) {
  DataBlock a("a"), b("b");
  for (const Epoch& e : epochs) {
    a.row({e.epoch, scale * e.*train});
    b.row({e.epoch, scale * e.*validation});
  }
  Script s;
  s.line("set xlabel 'epoch'\nset ylabel '{}'\nset xrange [0:*]", what);
  s.plot(a, fmt::format("with linespoints pt 7 ps 0.4 lw 1.5 lc rgb '{}' title 'training images, augmented'",
                        ink::series(1)));
  s.plot(b, fmt::format("with linespoints pt 5 ps 0.4 lw 2 lc rgb '{}' title 'validation images'", ink::series(0)));
  return s.empty() ? "" : plotter.draw(id, what + " per epoch", s.text(), 560, 380);
}

}  // namespace

std::string training_body(const std::string& name, const std::vector<Json>& lines, Plotter& plotter) {
  const Json& settings = get_object(lines[0], "settings", kWhere);
  const std::vector<Epoch> epochs = read_epochs(lines);
  const std::string net = has(settings, "net") ? get_string(settings, "net", kWhere) : "the network";
  std::string html =
      fmt::format("<header>\n<h1>kronbit {} &middot; {}</h1>\n",
                  escape(has(settings, "command") ? get_string(settings, "command", kWhere) : "train"), escape(name));
  double best = 0, seconds = 0;
  for (const Epoch& e : epochs) {
    best = std::max(best, e.val_top1);
    seconds += e.seconds;
  }
  const Json *test = nullptr, *untrained = nullptr;
  for (const Json& line : lines) {
    if (line["event"] == "test") test = &line;
    if (line["event"] == "untrained") untrained = &line;
  }
  if (untrained) best = get_number(*untrained, "val_top1", 0, 1, kWhere);
  std::string answer = "No epoch has finished yet.";
  if (untrained || !epochs.empty())
    answer = fmt::format("{} reaches <b>{}</b> on validation images after {:g} epochs", escape(net), percent(best),
                         untrained ? 0 : epochs.back().epoch);
  if (test)
    answer +=
        fmt::format(" and <b>{}</b> on the {} images of the test split",
                    percent(get_number(*test, "top1", 0, 1, kWhere)), get_int(*test, "images", 0, INT64_MAX, kWhere));
  if (!epochs.empty()) answer += fmt::format(", in {}.", duration_text(seconds));
  if (untrained) answer += ".";
  html += "<p class=\"answer\">" + answer + "</p>\n</header>\n";
  if (!epochs.empty()) {
    html +=
        "<div class=\"panels\">\n" +
        figure(curves(plotter, epochs, "accuracy", "accuracy (%)", 100, &Epoch::train_top1, &Epoch::val_top1),
               "Accuracy per epoch.") +
        figure(curves(plotter, epochs, "loss", "loss", 1, &Epoch::loss, &Epoch::val_loss), "Cross-entropy per epoch.") +
        "</div>\n";
    Table table{
        .head = {"epoch", "learning rate", "loss", "validation loss", "training top-1", "validation top-1", "seconds"},
        .rows = {}};
    for (const Epoch& e : epochs)
      table.rows.push_back({fmt::format("{:g}", e.epoch), fmt::format("{:.3g}", e.lr), fmt::format("{:.4f}", e.loss),
                            fmt::format("{:.4f}", e.val_loss), percent(e.train_top1), percent(e.val_top1),
                            fmt::format("{:.1f}", e.seconds)});
    html += section("Epochs", table.html());
  }
  return html + settings_section(lines, "");
}

}  // namespace kronbit::app
