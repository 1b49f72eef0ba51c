// Lateness: how much later than it should a batch has lately begun that left at a certain time. Timers are late, and so are
// the threads that they wake: 40 us as a rule, and 100 us now and then, on a machine with nothing else to do.
//
// A quarter more than nearly the largest of the last ones: a larger one counts at once, and each smaller one takes a 64th off.
#pragma once

#include <algorithm>
#include <batcher/detail/core/call.hpp>
#include <chrono>

namespace batching::detail {

class Lateness {
public:
    void saw(Time late) noexcept {
        if (late > most) return;
        large_ = (std::max)(late, large_ - large_ / 64);
    }
    // Rarely is it later.
    Time margin() const noexcept { return large_ + large_ / 4; }

private:
    // More is a machine that stood still, which says nothing of the next time. (Windows looks at its timers every 15.6 ms.)
    static constexpr Time most = std::chrono::milliseconds(20);

    Time large_{};
};

}  // namespace batching::detail
