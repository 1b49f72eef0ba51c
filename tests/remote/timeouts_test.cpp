// How long a caller of a handle waits at most: `timeout`, wherever its item is meanwhile.
#include "deployed.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace timeouts_test {

using namespace test;
using batching::errc;

// Of calls that were started one by one: true if all of them fail with their deadline within half a minute.
bool all_time_out(std::vector<std::future<int>>& calls) {
    return eventually([&] {
               return std::all_of(calls.begin(), calls.end(), [](auto& call) {
                   return call.wait_for(0ms) == std::future_status::ready;
               });
           }) &&
           std::all_of(calls.begin(), calls.end(), [](auto& call) {
               try {
                   call.get();
                   return false;
               } catch (const batching::Error& error) {
                   return error.code() == errc::deadline_exceeded;
               }
           });
}

TEST_CASE("callers that wait in the handle's own queue wait no longer than the others") {
    const Directory directory;
    auto handle =
        rpc::connect<int, int>("unix:" + directory.file("nobody"), "doubling",
                               {.timeout = 300ms, .calls_in_flight = 1, .max_items_per_call = 1});
    std::vector<std::future<int>> calls;
    for (int i = 0; i < 400; ++i) calls.push_back(handle.async_process(i, aio::use_future));
    CHECK(all_time_out(calls));  // one after the other they would take two minutes
    CHECK(handle.stats().waiting == 0);
    CHECK(handle.stats().expired + handle.stats().failed == 400);
}

TEST_CASE("what a caller waited in the handle's queue counts while its call runs, too") {
    Deployed deployed;
    deployed.doubling.hold();
    auto handle = deployed.connect({.timeout = 3s, .calls_in_flight = 1});
    auto first = handle.async_process(1, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    auto early = handle.async_process(2, aio::use_future);
    const auto made = std::chrono::steady_clock::now();
    REQUIRE(eventually([&] { return std::chrono::steady_clock::now() > made + 1500ms; }));
    auto late = handle.async_process(3, aio::use_future);
    deployed.doubling.step();
    CHECK(first.get() == 2);
    REQUIRE(deployed.doubling.called(2));  // with both
    CHECK_THROWS_AS(early.get(), batching::Error);
    deployed.doubling.release();
    CHECK(late.get() == 6);
    CHECK(handle.stats().expired == 1);
}

TEST_CASE("a call that waited in vain for a connection says why there is none, at its deadline") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("nobody");
    auto handle = rpc::connect<int, int>(
        address, "doubling", {.timeout = 1s, .calls_in_flight = 1, .max_items_per_call = 1});
    auto sent = handle.async_process(1, aio::use_future);
    auto queued = handle.async_process(2, aio::use_future);
    for (auto* const call : {&sent, &queued}) {
        const auto sentence = sentence_of([&] { call->get(); });
        CHECK(contains(sentence, "the deployment \"doubling\" at " + address +
                                     " could not be reached within 1000 ms: "));
        CHECK(contains(sentence, "No such file or directory"));
    }
}

}  // namespace timeouts_test
