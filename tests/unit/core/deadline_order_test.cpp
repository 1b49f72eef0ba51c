// The Deadlines: the earliest of those that are watched is first, whoever came and left before.
#include <algorithm>
#include <batcher/detail/core/deadlines.hpp>
#include <cstddef>
#include <deque>
#include <random>
#include <vector>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace deadline_order_test {

using batching::detail::Deadline;
using batching::detail::Deadlines;
using core_test::Time;
using namespace std::chrono_literals;

Deadline deadline(Time at) {
    Deadline one{};
    one.at = at;
    return one;
}

TEST_CASE("deadlines that come in their order stand in a row, and leave it from anywhere",
          "[deadlines]") {
    Deadlines deadlines;
    CHECK(deadlines.empty());
    Deadline a = deadline(1ms);
    Deadline b = deadline(1ms);
    Deadline c = deadline(2ms);
    for (Deadline* one : {&a, &b, &c}) {
        deadlines.push(*one);
        CHECK(one->in_row);
    }
    CHECK(&deadlines.first() == &a);
    deadlines.erase(b);
    CHECK(&deadlines.first() == &a);
    deadlines.erase(a);
    CHECK(&deadlines.first() == &c);
    deadlines.push(a);
    CHECK(!a.in_row);
    CHECK(&deadlines.first() == &a);
    deadlines.erase(c);
    CHECK(&deadlines.first() == &a);
    deadlines.erase(a);
    CHECK(deadlines.empty());
}

TEST_CASE("the earliest deadline is first, whichever came and left before", "[deadlines]") {
    std::mt19937 random(20261129);
    for (const int spread : {1, 10, 1000}) {
        Deadlines deadlines;
        std::deque<Deadline> all(200);
        std::vector<Deadline*> watched;
        std::vector<Deadline*> others;
        for (Deadline& one : all) others.push_back(&one);
        for (int step = 0; step < 3000; ++step) {
            const bool comes = watched.empty() || (!others.empty() && random() % 2 == 0);
            std::vector<Deadline*>& from = comes ? others : watched;
            const std::size_t i = random() % from.size();
            Deadline& one = *from[i];
            from.erase(from.begin() + static_cast<std::ptrdiff_t>(i));
            if (comes) {
                one.at = Time(step + static_cast<int>(random() % static_cast<unsigned>(spread)));
                deadlines.push(one);
                watched.push_back(&one);
            } else {
                deadlines.erase(one);
                others.push_back(&one);
            }
            REQUIRE(deadlines.empty() == watched.empty());
            if (watched.empty()) continue;
            const auto earliest = std::min_element(watched.begin(), watched.end(),
                                                   [](auto* x, auto* y) { return x->at < y->at; });
            REQUIRE(deadlines.first().at == (*earliest)->at);
        }
    }
}

}  // namespace deadline_order_test
