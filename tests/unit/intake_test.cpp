// The intake, in both its forms: the lock-free one and the portable one.
#include "catch.hpp"

#include <array>
#include <batcher/detail/intake.hpp>
#include <thread>
#include <vector>

namespace {

using batching::detail::Link;
using batching::detail::LockedIntake;
using batching::detail::PackedIntake;
using batching::detail::Pushed;

const auto ignore_signal = [] {};

template <class Intake>
Pushed push(Intake& intake, Link& link) {
    return intake.push(link, link, 1, ignore_signal);
}

std::vector<Link*> chain(Link* newest) {
    std::vector<Link*> links;
    for (; newest != nullptr; newest = newest->next) links.push_back(newest);
    return links;
}

}  // namespace

TEMPLATE_TEST_CASE("arrivals are collected all at once, newest first", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    std::array<Link, 3> links;
    for (Link& link : links) push(intake, link);
    CHECK_FALSE(intake.empty());
    CHECK(chain(intake.collect()) == std::vector<Link*>{&links[2], &links[1], &links[0]});
    CHECK(intake.empty());
    CHECK(intake.collect() == nullptr);
}

TEMPLATE_TEST_CASE(
    "the arrival that was asked for signals, before it is published, and no other does", "[intake]",
    PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 4> links;
    REQUIRE(intake.watch(3));
    CHECK(push(intake, links[0]) == Pushed::quiet);
    CHECK(push(intake, links[1]) == Pushed::quiet);
    int called = 0;
    CHECK(intake.push(links[2], links[2], 1, [&] { ++called; }) == Pushed::signal);
    CHECK(called == 1);
    CHECK(push(intake, links[3]) == Pushed::quiet);
}

TEMPLATE_TEST_CASE("a chain counts as many arrivals", "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 3> links;
    links[1].next = &links[0];
    REQUIRE(intake.watch(3));
    CHECK(intake.push(links[1], links[0], 2, ignore_signal) == Pushed::quiet);
    CHECK(push(intake, links[2]) == Pushed::signal);
    CHECK(chain(intake.collect()) == std::vector<Link*>{&links[2], &links[1], &links[0]});
}

TEMPLATE_TEST_CASE("a countdown cannot be set over the head of arrivals", "[intake]", PackedIntake,
                   LockedIntake) {
    TestType intake;
    Link link;
    push(intake, link);
    CHECK_FALSE(intake.watch(1));
    intake.collect();
    CHECK(intake.watch(1));
    CHECK(push(intake, link) == Pushed::signal);
}

TEMPLATE_TEST_CASE("a countdown that is larger than it can count signals early, never late",
                   "[intake]", PackedIntake, LockedIntake) {
    TestType intake;
    REQUIRE(intake.watch(70'000));
    std::vector<Link> links(70'000);
    bool signalled = false;
    for (Link& link : links) signalled |= push(intake, link) == Pushed::signal;
    CHECK(signalled);
}

TEMPLATE_TEST_CASE("a closed intake refuses arrivals and gives up what it had", "[intake]",
                   PackedIntake, LockedIntake) {
    TestType intake;
    std::array<Link, 2> links;
    push(intake, links[0]);
    CHECK(chain(intake.close()) == std::vector<Link*>{&links[0]});
    CHECK(push(intake, links[1]) == Pushed::closed);
    CHECK(intake.empty());
    CHECK(intake.collect() == nullptr);
    CHECK(intake.watch(1));  // nothing to wait for
    CHECK(push(intake, links[1]) == Pushed::closed);
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
    std::vector<Link*> arrived;
    for (auto& link : links[0]) {
        push(intake, link);
        if (link.number % 100 != 0) continue;
        auto some = chain(intake.collect());
        arrived.insert(arrived.end(), some.rbegin(), some.rend());
    }
    other.join();
    auto rest = chain(intake.collect());
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
