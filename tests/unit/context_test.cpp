// What is left when an execution context goes before its Batcher: no copy of its executors, and nothing that keeps the
// batch function alive.
#include <batcher/detail/access.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

namespace context_test {

using namespace test;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;

struct Home {
    auto executor() { return tracked(*context, track); }
    long copies() const { return track.copies(); }

    Track track;
    std::unique_ptr<aio::io_context> context = std::make_unique<aio::io_context>();
};

std::vector<int> identity(std::vector<int> items) { return items; }

// The batch function, with a token that tells whether it still lives.
auto holding(const std::shared_ptr<int>& token) {
    return [token](std::vector<int> items) { return items; };
}

Owned call_from(ManualBatcher& batcher, Home& home, Reply<int>& reply) {
    auto operation = batcher.process(1).resume_on(home.executor());
    reply.set(co_await std::move(operation));
}

TEST_CASE("of the executor of its own context a Batcher keeps no copy when the context has gone") {
    Home home;
    ManualBatcher batcher{home.executor(), identity, {.max_batch_size = 2, .batch_timeout = 1h}};
    Reply<int> replies[3];
    SECTION("it has never been called") {}
    SECTION("an item waits, and the timer is armed") {
        batcher.async_process(1, into(replies[0]));
        settle(*home.context);
    }
    SECTION("a batch is about to start") {
        for (int i = 0; i < 2; ++i) batcher.async_process(i, into(replies[i]));
    }
    SECTION("a batch has run, and an item waits") {
        for (int i = 0; i < 3; ++i) batcher.async_process(i, into(replies[i]));
        settle(*home.context);
        CHECK(replies[1].value == 1);
    }
    CHECK(home.copies() > 0);
    home.context.reset();
    CHECK(home.copies() == 0);
    CHECK(replies[2].pending());
}

TEST_CASE("of the executors of a callers' context a Batcher keeps no copy when that has gone") {
    aio::io_context context;
    Home home;
    ManualBatcher batcher{context, identity, {.max_batch_size = 2, .batch_timeout = 1h}};
    Reply<int> replies[2];
    SECTION("a handler waits") {
        batcher.async_process(1, aio::bind_executor(home.executor(), into(replies[0])));
    }
    SECTION("handlers have not been given their results yet") {
        for (auto& reply : replies) {
            batcher.async_process(1, aio::bind_executor(home.executor(), into(reply)));
        }
        settle(context);
        CHECK(replies[1].pending());
    }
    SECTION("handlers have been given their results") {
        for (auto& reply : replies) {
            batcher.async_process(1, aio::bind_executor(home.executor(), into(reply)));
        }
        settle(context);
        settle(*home.context);
        CHECK(replies[1].value == 1);
    }
    CHECK(home.copies() > 0);
    home.context.reset();
    CHECK(home.copies() == 0);
}

TEST_CASE("a suspended caller keeps no copy of an executor whose context has gone") {
    aio::io_context context;
    Home home;
    ManualBatcher batcher{context, identity, {.max_batch_size = 2, .batch_timeout = 1h}};
    Reply<int> reply;
    const Owned caller = call_from(batcher, home, reply);
    CHECK(home.copies() > 0);
    home.context.reset();
    CHECK(home.copies() == 0);
    CHECK(reply.pending());
}

TEST_CASE("what runs elsewhere for a Batcher keeps its context at work only until that goes") {
    Home home;
    ManualBatcher batcher{home.executor(), identity};
    const auto executor = batching::detail::Access::engine(batcher)->own_executor();
    executor->start_work();  // as for a batch that has been sent
    settle(*home.context);
    CHECK_FALSE(home.context->stopped());
    home.context.reset();
    CHECK(home.copies() == 0);
    executor->finish_work();
}

TEST_CASE("the batch function is destroyed with the Batcher, whichever context has gone before") {
    auto context = std::make_unique<aio::io_context>();
    auto home = std::make_unique<aio::io_context>();
    const auto token = std::make_shared<int>();
    Reply<int> replies[2];
    {
        ManualBatcher batcher{*context, holding(token), {.max_batch_size = 2, .batch_timeout = 1h}};
        const auto fill = [&] {
            for (auto& reply : replies) {
                batcher.async_process(1, aio::bind_executor(*home, into(reply)));
            }
        };
        SECTION("its own, with an item that waits") {
            batcher.async_process(1, into(replies[0]));
            settle(*context);
            context.reset();
        }
        SECTION("its own, with a batch that is about to start") {
            fill();
            context.reset();
        }
        SECTION("its own, with results that are on their way to another one") {
            fill();
            settle(*context);
            context.reset();
            settle(*home);
            CHECK(replies[1].value == 1);
        }
        SECTION("its callers', with a batch that is about to start") {
            fill();
            home.reset();
            settle(*context);
        }
        SECTION("its callers', with results that are on their way to it") {
            fill();
            settle(*context);
            home.reset();
            CHECK(replies[1].pending());
        }
    }
    if (context) settle(*context);  // the wait of the timer ends
    CHECK(token.use_count() == 1);
}

}  // namespace context_test
