#include "apps/kronbit/evaluation/protocol.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kronbit::app {

Json to_json(const Attendance& a) {
  Json json = {{"program", a.program}, {"folder", a.folder}};
  if (a.numerics) json["numerics"] = to_json(*a.numerics);
  return json;
}

Attendance attendance_from_json(const Json& json) {
  const std::string where = "job";
  Attendance a = {get_string(json, "program", where), {}, get_string(json, "folder", where)};
  if (has(json, "numerics")) a.numerics = numerics_from_json(get_object(json, "numerics", where), where);
  return a;
}

void prepare(const Attendance& a) {
  if (!a.program.empty() && program_identity() != a.program) {
    throw Refusal(
        fmt::format("worker {} has another program: wanted {}, has {}", host_name(), a.program, program_identity()));
  }
  if (!a.folder.empty() && chdir(a.folder.c_str()) != 0) {
    throw Refusal(fmt::format("worker {} cannot work in the search's folder: wanted {}, has none ({})", host_name(),
                              a.folder, std::strerror(errno)));
  }
  if (a.numerics) adopt(*a.numerics);
}

void print_marked(std::string_view mark, const Json& json) {
  const std::string line = fmt::format("\n{}{}\n", mark, dump_line(json));
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

std::optional<Json> find_marked(std::string_view mark, std::string_view text) {
  const size_t found = text.rfind(mark);
  if (found == std::string_view::npos) return std::nullopt;
  const size_t start = found + mark.size(), end = text.find('\n', start);
  if (end == std::string_view::npos) return std::nullopt;
  try {
    return parse_json(text.substr(start, end - start), "evaluate");
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace kronbit::app
