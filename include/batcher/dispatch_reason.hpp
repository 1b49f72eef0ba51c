// DispatchReason: why a batch has left.
#pragma once

#include <cstdint>

namespace batching {

// Why a batch has left, full or not: as the figures of Stats count it.
enum class DispatchReason : std::uint8_t {
    full,     // as many calls waited as it may have
    timeout,  // the oldest call had waited batch_timeout, or as long as its deadline allows
    flushed   // flush(), close() or drain() was called
};

}  // namespace batching
