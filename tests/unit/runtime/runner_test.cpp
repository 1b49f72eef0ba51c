// How an engine drives its runner: with a runner that keeps its batches until the test says so, as that of a handle
// keeps those that it has sent.
#include <batcher/detail/access.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../catch.hpp"
#include "../support.hpp"

namespace runner_test {

using namespace test;
using batching::detail::Batch;
using batching::detail::Done;

// What is known of the batches, which outlives the runner.
struct Log {
    std::vector<std::vector<int>> invoked;
    std::vector<std::size_t> stopped;  // the sizes of their calls then
    std::size_t made = 0;
    bool alive = true;                // the runner, and so the engine
    std::function<void()> on_invoke;  // what else happens then
    bool answers_at_once = false;
    std::deque<std::pair<batching::detail::ItemBatch<int, int>*, Done>> under_way;

    void answer_first() {
        auto [batch, done] = std::move(under_way.front());
        under_way.pop_front();
        batch->values = batch->items;
        done.elsewhere();
    }
};

class Keeping final : public batching::detail::ItemRunner<int, int> {
public:
    explicit Keeping(Log& log) : log_(&log) {}
    ~Keeping() override { log_->alive = false; }

    void complete(batching::Options& options) const override { batching::detail::check(options); }
    std::unique_ptr<Batch> make_batch() noexcept override {
        ++log_->made;
        return ItemRunner::make_batch();
    }
    bool never_blocks() const noexcept override { return true; }
    bool invoke(Batch& base, Done& done) noexcept override {
        auto& batch = of(base);
        log_->invoked.push_back(batch.items);
        if (log_->answers_at_once) {
            batch.values = batch.items;
            return true;
        }
        log_->under_way.emplace_back(&batch, std::move(done));
        if (log_->on_invoke) log_->on_invoke();
        return false;
    }
    void stop(Batch& batch) noexcept override { log_->stopped.push_back(batch.size); }

private:
    Log* log_;
};

auto keeping(aio::io_context& context, Log& log, const batching::Options& options) {
    return batching::detail::Access::make<int, int>(context.get_executor(),
                                                    std::make_unique<Keeping>(log), options);
}

TEST_CASE("a batch that is under way is stopped, once, when the last of its callers has left",
          "[runner]") {
    aio::io_context context;
    Log log;
    auto batcher = keeping(context, log, {.max_batch_size = 3});
    std::vector<aio::cancellation_signal> signals(3);
    std::vector<Reply<int>> replies(3);
    for (std::size_t i = 0; i < 3; ++i) {
        batcher.async_process(static_cast<int>(i),
                              aio::bind_cancellation_slot(signals[i].slot(), into(replies[i])));
    }
    CHECK(log.invoked == std::vector<std::vector<int>>{{0, 1, 2}});
    signals[0].emit(aio::cancellation_type::terminal);
    signals[2].emit(aio::cancellation_type::terminal);
    CHECK(log.stopped.empty());
    signals[1].emit(aio::cancellation_type::terminal);
    CHECK(log.stopped == std::vector<std::size_t>{0});
    log.answer_first();
    settle(context);
    CHECK(log.stopped.size() == 1);
    for (const auto& reply : replies) CHECK(reply.aborted());
}

TEST_CASE("a runner that never blocks starts the batch inside the call that fills it", "[runner]") {
    aio::io_context context;
    Log log;
    auto batcher = keeping(context, log, {.max_batch_size = 2});
    std::vector<Reply<int>> replies(2);
    batcher.async_process(1, into(replies[0]));
    CHECK(log.invoked.empty());
    batcher.async_process(2, into(replies[1]));
    CHECK(log.invoked == std::vector<std::vector<int>>{{1, 2}});
    CHECK(batcher.stats().running == 2);
    log.answer_first();
    CHECK(replies[0].pending());  // posted
    settle(context);
    CHECK(replies[0].value == 1);
    CHECK(replies[1].value == 2);
}

TEST_CASE("a runner that never blocks may have the answer at once", "[runner]") {
    aio::io_context context;
    Log log;
    log.answers_at_once = true;
    auto batcher = keeping(context, log, {.max_batch_size = 1});
    Reply<int> reply;
    batcher.async_process(1, into(reply));
    CHECK(batcher.stats().completed == 1);
    CHECK(reply.pending());  // posted
    settle(context);
    CHECK(reply.value == 1);
}

TEST_CASE("a batch that is never answered fails with operation_aborted when its answer is dropped",
          "[runner]") {
    aio::io_context context;
    Log log;
    auto batcher = keeping(context, log, {.max_batch_size = 1});
    Reply<int> reply;
    batcher.async_process(1, into(reply));
    log.under_way.clear();
    settle(context);
    CHECK(reply.aborted());
}

TEST_CASE("a Batcher that takes the place of one that has gone finds its callers' contexts anew",
          "[runner]") {
    aio::io_context context;
    aio::io_context home;
    for (int i = 0; i < 64; ++i) {
        std::optional<batching::Batcher<int, int>> batcher(
            std::in_place, context, [](std::vector<int> items) { return items; },
            batching::Options{.max_batch_size = 1});
        Reply<int> reply;
        batcher->async_process(i, aio::bind_executor(home, into(reply)));
        settle(context);
        REQUIRE(reply.pending());
        settle(home);
        REQUIRE(reply.value == i);
    }
}

TEST_CASE("batches are used again: one after the other needs one, and as many at once as many",
          "[runner]") {
    aio::io_context context;
    Log log;
    const std::size_t at_once = GENERATE(std::size_t{1}, std::size_t{3});
    auto batcher = keeping(context, log, {.max_batch_size = 1, .max_concurrent_batches = at_once});
    for (int round = 0; round < 20; ++round) {
        std::vector<Reply<int>> replies(at_once);
        for (auto& reply : replies) batcher.async_process(round, into(reply));
        while (!log.under_way.empty()) log.answer_first();
        settle(context);
        for (const auto& reply : replies) CHECK(reply.value == round);
    }
    CHECK(log.made == at_once);
}

TEST_CASE("a batch is used again also when the last of its callers has thrown", "[runner]") {
    aio::io_context context;
    Log log;
    auto batcher = keeping(context, log, {.max_batch_size = 1});
    for (int round = 0; round < 5; ++round) {
        batcher.async_process(1, [](std::exception_ptr, int) {
            throw std::runtime_error("a handler's own mistake");
        });
        log.answer_first();
        CHECK_THROWS_AS(context.poll(), std::runtime_error);
        context.restart();
    }
    CHECK(log.made == 1);
}

TEST_CASE("a batch whose items find no room fails, and leaves nothing to call the function with",
          "[runner]") {
    Log log;
    Keeping runner(log);
    const auto batch = runner.make_batch();
    batch->items = std::numeric_limits<std::size_t>::max();
    batching::detail::Runner::Failures failures;
    CHECK_FALSE(runner.load(*batch, failures));
    CHECK(batch->error != nullptr);
    CHECK(failures.empty());
}

TEST_CASE("an engine whose context goes while a batch ends lives until that has ended",
          "[runner]") {
    auto context = std::make_unique<aio::io_context>();
    Log log;
    std::optional batcher(keeping(*context, log, {.max_batch_size = 1}));
    const bool has_thrown = GENERATE(false, true);
    batcher->async_process(1, [&](std::exception_ptr, int) {
        if (has_thrown) throw std::runtime_error("a handler's own mistake");
    });
    log.answer_first();
    if (has_thrown) {
        CHECK_THROWS_AS(context->poll(), std::runtime_error);
    } else {
        context->poll();
    }
    Reply<int> replies[2];
    aio::cancellation_signal signal;
    batcher->async_process(0, aio::bind_cancellation_slot(signal.slot(), into(replies[0])));
    batcher->async_process(1, into(replies[1]));
    signal.emit(aio::cancellation_type::terminal);
    // A batch that has been used before, and that nobody waits for now, ends, and lets the next one start.
    log.on_invoke = [&] {
        context.reset();
        batcher.reset();
        log.under_way.clear();
        CHECK(log.alive);
    };
    log.answer_first();
    CHECK_FALSE(context);
    CHECK_FALSE(log.alive);
}

// A call that is not part of a request.
struct PlainCall final : batching::detail::Item<int> {
    explicit PlainCall(int item) : Item(item) {
        ops = &batching::detail::call_ops<PlainCall, false>;
        queued_at = {};
    }
    void resume() { ++resumed; }
    void abandon() noexcept { ++abandoned; }

    int resumed = 0;
    int abandoned = 0;
};

// Never goes off, and does what a test wants when its context goes.
struct NoTimer final : batching::detail::Timer {
    explicit NoTimer(std::function<void()> f) : on_destroy(std::move(f)) {}
    batching::detail::Time now() const noexcept override { return {}; }
    void arm(batching::detail::Time, std::shared_ptr<batching::detail::Engine>) noexcept override {}
    void expired(batching::detail::Time) noexcept override {}
    void cancel() noexcept override {}
    void destroy() noexcept override { on_destroy(); }

    std::function<void()> on_destroy;
};

TEST_CASE("a call that comes while the context goes is abandoned like those before it",
          "[runner]") {
    auto context = std::make_unique<aio::io_context>();
    Log log;
    PlainCall calls[2] = {PlainCall(0), PlainCall(1)};
    std::shared_ptr<batching::detail::Engine> engine;
    const auto push = [&](PlainCall& call) {
        call.state(batching::detail::CallState::queued);
        if (!engine->push(call))
            engine->submit(call, call, 1, batching::detail::Accept::all_or_none);
    };
    engine = batching::detail::Engine::make(
        context->get_executor(), batching::Options{.max_batch_size = 3, .batch_timeout = 1h},
        std::make_unique<Keeping>(log), std::make_unique<NoTimer>([&] {
            // Once: newer Asio (1.30.2) tells its services twice that the context goes.
            if (calls[1].state() == batching::detail::CallState::created) push(calls[1]);
        }),
        nullptr);
    push(calls[0]);
    context.reset();
    for (const auto& call : calls) {
        CHECK(call.abandoned == 1);
        CHECK(call.resumed == 0);
    }
    CHECK(log.invoked.empty());
}

}  // namespace runner_test
