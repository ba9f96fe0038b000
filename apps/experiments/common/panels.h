// Several panels in one picture, with one key above them all.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "apps/kronbit/report/plot_parts.h"

namespace kronbit::experiments {

/// A gnuplot script of panels in two columns. each: commands that hold for every panel; panels: a script each, its
/// blocks named unlike the others'; key: what follows `plot f(x)` per entry, "with lines lw 2 title 'expected'".
inline std::string panels_script(const std::string& each, const std::vector<std::string>& panels,
                                 const std::vector<std::string>& key) {
  app::Script head;
  head.line("set multiplot layout {},2 margins 0.075,0.925,0.085,0.87 spacing 0.16,0.155", (panels.size() + 1) / 2);
  head.line("unset key\n{}", each);
  std::string script = head.text();
  for (const std::string& panel : panels) script += panel;
  // The key belongs to a plot without axes as wide as the picture, whose constants lie outside of it.
  script +=
      "set lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\nset tmargin at screen 0.998\n"
      "unset border\nunset tics\nunset title\nunset xlabel\nunset ylabel\nunset y2label\nunset grid\n"
      "set xrange [0:1]\nset yrange [0:1]\nset key inside top center horizontal\nplot ";
  for (size_t i = 0; i < key.size(); ++i) script += (i == 0 ? "-1 " : ", -1 ") + key[i];
  return script + "\nunset multiplot\n";
}

}  // namespace kronbit::experiments
