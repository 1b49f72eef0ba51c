// The model of the table ray: a score that is linear in 64 features.
#pragma once

#include <array>
#include <cstddef>

namespace bench {

using Features = std::array<float, 64>;

inline const Features& weights() {
    static const Features all = [] {
        Features weights{};
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i) / 64;
        return weights;
    }();
    return all;
}

}  // namespace bench
