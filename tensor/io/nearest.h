// "did you mean ...?": the known name that a mistyped one is nearest to.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kronbit {

/// The one of `names` with the fewest letters to insert, delete or replace, the first of several; "" when that are more
/// than half of the letters of `name`: no slip of the keyboard.
std::string nearest(std::string_view name, std::span<const std::string> names);

}  // namespace kronbit
