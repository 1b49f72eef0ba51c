// Priority: which of the calls that wait are served first.
#pragma once

#include <cstdint>

namespace batching {

// Which of the calls that wait are served first: those of a higher priority, in arrival order within one.
enum class Priority : std::uint8_t { low, normal, high };

}  // namespace batching
