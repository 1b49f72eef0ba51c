// The intake, in both its forms: the lock-free one and the portable one.
#include <array>
#include <batcher/detail/runtime/intake.hpp>
#include <cstddef>
#include <limits>
#include <thread>
#include <vector>

#include "../catch.hpp"

namespace intake_test {

using batching::detail::Link;
using batching::detail::LockedIntake;
using batching::detail::PackedIntake;
using Links = std::vector<Link*>;

template <class Intake>
bool push(Intake& intake, Link& link) {
    return intake.push(link, link, 1);
}

Links chain(Link* newest) {
    Links links;
    for (; newest != nullptr; newest = newest->next) links.push_back(newest);
    return links;
}

// Makes a chain of them, the last one the newest.
template <std::size_t size>
void make_chain(std::array<Link, size>& links) {
    for (std::size_t i = 1; i < size; ++i) links[i].next = &links[i - 1];
}

TEMPLATE_TEST_CASE("arrivals are collected all at once, newest first", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    CHECK(intake.empty());
    CHECK(intake.collect(0) == nullptr);
    std::array<Link, 3> links;
    for (Link& link : links) CHECK(push(intake, link));
    CHECK_FALSE(intake.empty());
    CHECK(chain(intake.collect(0)) == Links{&links[2], &links[1], &links[0]});
    CHECK(intake.empty());
    CHECK(intake.collect(0) == nullptr);
}

TEMPLATE_TEST_CASE("without a countdown any number may arrive", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    std::vector<Link> links(70'000);
    bool all = true;
    for (Link& link : links) all &= push(intake, link);
    CHECK(all);
    CHECK(chain(intake.collect(0)).size() == links.size());
    CHECK(push(intake, links[0]));
    CHECK(intake.push(links[1], links[1], std::numeric_limits<std::size_t>::max()));
}

TEMPLATE_TEST_CASE("the arrival that would end the countdown is not taken, nor any after it",
                   "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 4> links;
    REQUIRE(intake.watch(3));
    CHECK(push(intake, links[0]));
    CHECK(push(intake, links[1]));
    CHECK_FALSE(push(intake, links[2]));
    CHECK_FALSE(push(intake, links[3]));
    CHECK(chain(intake.collect(0)) == Links{&links[1], &links[0]});
    CHECK(push(intake, links[2]));
}

TEMPLATE_TEST_CASE("a countdown of 1 takes none", "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    REQUIRE(intake.watch(1));
    Link link;
    CHECK_FALSE(push(intake, link));
    CHECK(intake.empty());
}

TEMPLATE_TEST_CASE("what is not taken is left as it was", "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 3> links;
    make_chain(links);
    Link elsewhere;
    links[0].next = &elsewhere;
    REQUIRE(intake.watch(3));
    CHECK_FALSE(intake.push(links[2], links[0], 3));
    CHECK(links[0].next == &elsewhere);
    CHECK(links[2].next == &links[1]);
    CHECK(intake.empty());
}

TEMPLATE_TEST_CASE("a chain counts as many arrivals", "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 2> two;
    std::array<Link, 2> more;
    Link one;
    make_chain(two);
    make_chain(more);
    REQUIRE(intake.watch(4));
    CHECK(intake.push(two[1], two[0], 2));
    CHECK_FALSE(intake.push(more[1], more[0], 2));  // the fourth would be in it
    CHECK(push(intake, one));
    CHECK_FALSE(intake.push(more[1], more[0], 2));  // more than the countdown has left
    CHECK(chain(intake.collect(0)) == Links{&one, &two[1], &two[0]});
}

TEMPLATE_TEST_CASE("a chain stands before those that came earlier", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    Link first;
    std::array<Link, 3> links;
    make_chain(links);
    CHECK(push(intake, first));
    CHECK(intake.push(links[2], links[0], 3));
    CHECK(chain(intake.collect(0)) == Links{&links[2], &links[1], &links[0], &first});
}

TEMPLATE_TEST_CASE("to collect starts the countdown again", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    std::array<Link, 3> links;
    REQUIRE(intake.watch(2));
    CHECK(push(intake, links[0]));
    SECTION("none") {
        CHECK(chain(intake.collect(0)) == Links{&links[0]});
        CHECK(push(intake, links[1]));
        CHECK(push(intake, links[2]));
    }
    SECTION("of 1") {
        CHECK(chain(intake.collect(1)) == Links{&links[0]});
        CHECK_FALSE(push(intake, links[1]));
    }
    SECTION("of 2") {
        CHECK(chain(intake.collect(2)) == Links{&links[0]});
        CHECK(push(intake, links[1]));
        CHECK_FALSE(push(intake, links[2]));
    }
}

TEMPLATE_TEST_CASE("a countdown is not set over the head of arrivals", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    std::array<Link, 3> links;
    REQUIRE(intake.watch(3));
    CHECK(push(intake, links[0]));
    CHECK_FALSE(intake.watch(1));
    CHECK_FALSE(intake.watch(0));
    CHECK(push(intake, links[1]));        // the one that was set goes on
    CHECK_FALSE(push(intake, links[2]));  // and ends
    intake.collect(0);
    CHECK(intake.watch(1));
    CHECK_FALSE(push(intake, links[0]));
}

TEMPLATE_TEST_CASE("a countdown is set anew as long as nothing has arrived", "[intake]",
                   PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 2> links;
    REQUIRE(intake.watch(1));
    REQUIRE(intake.watch(1));
    REQUIRE(intake.watch(2));
    CHECK(push(intake, links[0]));
    CHECK_FALSE(push(intake, links[1]));
    intake.collect(1);
    REQUIRE(intake.watch(0));
    CHECK(push(intake, links[0]));
    CHECK(push(intake, links[1]));
}

TEMPLATE_TEST_CASE("a countdown that is larger than it can count ends early, never late",
                   "[intake]", PackedIntake, LockedIntake) {
    const bool collected = GENERATE(false, true);
    const std::size_t countdown =
        GENERATE(std::size_t{65'535}, std::size_t{65'536}, std::size_t{70'000});
    TestType intake;
    std::vector<Link> links(countdown);
    if (collected) {
        intake.collect(countdown);
    } else {
        REQUIRE(intake.watch(countdown));
    }
    std::size_t taken = 0;
    for (Link& link : links) taken += push(intake, link) ? 1 : 0;
    CHECK(taken < countdown);
    CHECK(taken >= 65'534);
    CHECK(chain(intake.collect(0)).size() == taken);
}

TEMPLATE_TEST_CASE("the largest countdown of all is a countdown", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    Link link;
    REQUIRE(intake.watch(std::numeric_limits<std::size_t>::max()));
    CHECK(push(intake, link));
    CHECK_FALSE(intake.push(link, link, std::numeric_limits<std::size_t>::max()));
}

TEMPLATE_TEST_CASE("arrivals from several threads are all collected, in each thread's order",
                   "[intake]", PackedIntake, LockedIntake) {
    struct Numbered : Link {
        std::size_t number = 0;
    };
    constexpr std::size_t count = 20'000;
    TestType intake;
    std::array<std::vector<Numbered>, 2> links{std::vector<Numbered>(count),
                                               std::vector<Numbered>(count)};
    for (auto& mine : links) {
        for (std::size_t i = 0; i < count; ++i) mine[i].number = i;
    }
    std::thread other([&] {
        for (auto& link : links[1]) push(intake, link);
    });
    Links arrived;
    for (auto& link : links[0]) {
        push(intake, link);
        if (link.number % 100 != 0) continue;
        const Links some = chain(intake.collect(0));
        arrived.insert(arrived.end(), some.rbegin(), some.rend());
    }
    other.join();
    const Links rest = chain(intake.collect(0));
    arrived.insert(arrived.end(), rest.rbegin(), rest.rend());

    std::array<std::size_t, 2> next{0, 0};
    bool in_order = true;
    for (Link* link : arrived) {
        auto* numbered = static_cast<Numbered*>(link);
        const bool first = numbered >= links[0].data() && numbered < links[0].data() + count;
        in_order &= numbered->number == next[first ? 0 : 1]++;
    }
    CHECK(in_order);
    CHECK(next == std::array<std::size_t, 2>{count, count});
}

TEMPLATE_TEST_CASE("of arrivals from several threads exactly those before the last are taken",
                   "[intake]", PackedIntake, LockedIntake) {
    constexpr std::size_t countdown = 20'000;
    TestType intake;
    REQUIRE(intake.watch(countdown));
    std::array<std::vector<Link>, 2> links{std::vector<Link>(countdown),
                                           std::vector<Link>(countdown)};
    std::array<std::size_t, 2> taken{0, 0};
    const auto push_all = [&](std::size_t thread) {
        for (auto& link : links[thread]) taken[thread] += push(intake, link) ? 1 : 0;
    };
    std::thread other([&] { push_all(1); });
    push_all(0);
    other.join();
    CHECK(taken[0] + taken[1] == countdown - 1);
    CHECK(chain(intake.collect(0)).size() == countdown - 1);
}

}  // namespace intake_test
