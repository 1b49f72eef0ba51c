// The error of a batch function that returned too few results, or too many.
#pragma once

#include <fmt/core.h>

#include <batcher/error.hpp>
#include <cstddef>

namespace batching::detail {

inline Error result_count_mismatch(std::size_t results, std::size_t items) {
    return {errc::result_count_mismatch,
            fmt::format("the batch function returned {} result{} for {} item{}", results,
                        results == 1 ? "" : "s", items, items == 1 ? "" : "s")};
}

}  // namespace batching::detail
