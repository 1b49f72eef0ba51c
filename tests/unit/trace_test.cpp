// What users rely on: with batching::trace() each batch has a span, which knows its callers.
#include "asking.hpp"
#include "recording_tracer.hpp"

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace trace_test {

using namespace test;
using batching::BatchInfo;
using batching::deduplicate;
using batching::DispatchReason;
using batching::errc;
using batching::key_by;
using batching::no_timeout;
using batching::Priority;
using batching::trace;
using batching::TraceContext;

struct Fixture : Asking {
    std::shared_ptr<RecordingTracer> tracer = std::make_shared<RecordingTracer>();
    Gate gate{context};

    // As from within a span.
    Reply<int>& ask_in(const TraceContext& span, ManualBatcher& batcher, int item,
                       const batching::CallOptions& options = {}) {
        const Current current(span);
        return ask(batcher, item, options);
    }
    const RecordedSpan& only_span() {
        REQUIRE(tracer->spans.size() == 1);
        return tracer->spans.front();
    }
};

constexpr batching::Options until_flushed{.batch_timeout = no_timeout};

// ---- traceparent -----------------------------------------------------------------------------------------

TEST_CASE("a context is written as the header traceparent has it, and read from that") {
    const std::string header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TraceContext context = TraceContext::from_traceparent(header);
    CHECK(context.valid());
    CHECK(context.sampled());
    CHECK(context.trace_id[0] == 0x4b);
    CHECK(context.trace_id[15] == 0x36);
    CHECK(context.span_id[1] == 0xf0);
    CHECK(context.span_id[7] == 0xb7);
    CHECK(context.flags == 1);
    CHECK(context.to_traceparent() == header);
    CHECK_FALSE(TraceContext().valid());
    CHECK_FALSE(TraceContext().sampled());
}

TEST_CASE("a context of a later version is read as far as this one knows it") {
    const std::string later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    CHECK(TraceContext::from_traceparent(later).valid());
    CHECK_FALSE(TraceContext::from_traceparent(later).sampled());
    CHECK(TraceContext::from_traceparent(later + "-and-more").valid());
    CHECK_FALSE(TraceContext::from_traceparent(later + ".").valid());
}

TEST_CASE("a tracestate belongs to a traceparent, and is passed on as it came") {
    const std::string parent = span_of(1).to_traceparent();
    const auto state = [&](const std::string& text) {
        return TraceContext::from_headers(parent, text).tracestate();
    };
    const std::string longest = "vendor=" + std::string(505, '~');
    for (const std::string& good : {std::string("a=1"), std::string("a=1, b@c=2"), longest}) {
        const TraceContext context = TraceContext::from_headers(parent, good);
        CHECK(context.tracestate() == good);
        CHECK(context == span_of(1));  // whatever is said of it
    }
    for (const std::string& bad : {std::string(), longest + "~", std::string("a=\n"),
                                   std::string("a=\x7f"), std::string("a=\xc3\xa9")}) {
        CHECK(state(bad).empty());
        CHECK(TraceContext::from_headers(parent, bad) == span_of(1));
    }
    CHECK(TraceContext::from_headers("who knows", "a=1").state == nullptr);
    TraceContext made = span_of(1);
    made.state = std::make_shared<const std::string>("a=\n");
    CHECK(made.tracestate().empty());
}

TEST_CASE("what is no traceparent is no context") {
    const auto is_none = [](const std::string& text) {
        return TraceContext::from_traceparent(text) == TraceContext();
    };
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (std::size_t size = 0; size < good.size(); ++size) CHECK(is_none(good.substr(0, size)));
    CHECK(is_none(good + "0"));
    CHECK(is_none(good + "-"));
    CHECK(is_none("ff" + good.substr(2)));
    CHECK(is_none("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    CHECK(is_none("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const char wrong : {'A', 'g', ' ', '_', '\0', '\xff'}) {
            std::string text = good;
            text[at] = wrong;
            CHECK(is_none(text));
        }
    }
}

// ---- parents and links -----------------------------------------------------------------------------------

TEST_CASE("a batch of one is a child of its caller") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1ms}, trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 21);
    CHECK(f.tracer->spans.empty());  // it waits
    f.advance(1ms);
    const RecordedSpan& span = f.only_span();
    CHECK(span.parent == span_of(1));
    CHECK(span.links.empty());
    CHECK(span.number == 1);
    CHECK(span.reason == DispatchReason::timeout);
    CHECK(span.items == 1);
    CHECK(span.callers == 1);
    CHECK(span.weight == 1);
    CHECK_FALSE(span.remote);
    CHECK(span.ended == 1);
    CHECK(span.failed == 0);
    CHECK_FALSE(span.error);
    CHECK(f.replies[0].value == 42);
}

TEST_CASE("a batch of several callers is a root with links to them, in the order of the items") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, trace(f.tracer)};
    for (const int i : {1, 2, 3}) f.ask_in(span_of(i), batcher, i);
    batcher.flush();
    settle(f.context);
    const RecordedSpan& span = f.only_span();
    CHECK_FALSE(span.parent.valid());
    CHECK(span.links == std::vector{span_of(1), span_of(2), span_of(3)});
    CHECK(span.items == 3);
    CHECK(span.callers == 3);
}

TEST_CASE("many items of one caller have one caller") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}, trace(f.tracer)};
    Reply<std::vector<int>> reply;
    {
        const Current current(span_of(1));
        batcher.async_process_many({1, 2, 3}, into(reply));
        CHECK(f.tracer->asked == 1);
    }
    settle(f.context);
    CHECK(f.only_span().parent == span_of(1));
    CHECK(f.only_span().links.empty());
    CHECK(f.only_span().callers == 3);
    CHECK(reply.value == std::vector{2, 4, 6});
}

TEST_CASE("callers without a context and callers that are not sampled are not linked") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 1);
    f.ask(batcher, 2);
    f.ask_in(not_sampled(3), batcher, 3);
    batcher.flush();
    settle(f.context);
    CHECK(f.only_span().links == std::vector{span_of(1)});
    CHECK_FALSE(f.only_span().parent.valid());
    CHECK(f.only_span().callers == 3);
}

TEST_CASE(
    "a batch of which no caller is sampled is a child of one, so that it is not sampled either") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, trace(f.tracer)};
    f.ask(batcher, 1);
    f.ask_in(not_sampled(2), batcher, 2);
    f.ask_in(not_sampled(3), batcher, 3);
    batcher.flush();
    settle(f.context);
    CHECK(f.only_span().parent == not_sampled(2));
    CHECK(f.only_span().links.empty());
}

TEST_CASE("a batch of which no caller has a context has neither parent nor links") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, trace(f.tracer)};
    f.ask_all(batcher, {1, 2});
    batcher.flush();
    settle(f.context);
    CHECK_FALSE(f.only_span().parent.valid());
    CHECK(f.only_span().links.empty());
    CHECK(f.only_span().callers == 2);
}

TEST_CASE("at most 128 callers are linked, and all are counted") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 1'000, .batch_timeout = no_timeout},
                          trace(f.tracer)};
    for (int i = 1; i <= 300; ++i) f.ask_in(span_of(i), batcher, i);
    batcher.flush();
    settle(f.context);
    REQUIRE(f.only_span().links.size() == 128);
    CHECK(f.only_span().links.front() == span_of(1));
    CHECK(f.only_span().links.back() == span_of(128));
    CHECK(f.only_span().callers == 300);
}

TEST_CASE("each batch has the links of its own callers") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = no_timeout},
                          trace(f.tracer)};
    for (int i = 1; i <= 5; ++i) f.ask_in(span_of(i), batcher, i);
    batcher.flush();
    settle(f.context);
    REQUIRE(f.tracer->spans.size() == 3);
    CHECK(f.tracer->spans[0].links == std::vector{span_of(1), span_of(2)});
    CHECK(f.tracer->spans[1].links == std::vector{span_of(3), span_of(4)});
    CHECK(f.tracer->spans[2].links.empty());
    CHECK(f.tracer->spans[2].parent == span_of(5));
    CHECK(f.tracer->spans[2].number == 3);
}

// ---- with the other rules --------------------------------------------------------------------------------

TEST_CASE("who shares a place is a caller like any other") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, deduplicate(),
                          trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 7);
    f.ask_in(span_of(2), batcher, 7);
    f.ask_in(span_of(3), batcher, 8);
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{7, 8}});
    CHECK(f.only_span().links == std::vector{span_of(1), span_of(3), span_of(2)});
    CHECK(f.only_span().items == 2);
    CHECK(f.only_span().callers == 3);
    f.check_once();
}

TEST_CASE("who joins a batch that runs gets its result, and is none of its links") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.gate.doubling(),
                          {.batch_timeout = 0},
                          trace(f.tracer),
                          deduplicate({.join_running = true})};
    f.ask_in(span_of(1), batcher, 7);
    settle(f.context);
    REQUIRE(f.gate.started.size() == 1);
    f.ask_in(span_of(2), batcher, 7);
    f.gate.open();
    settle(f.context);
    CHECK(f.only_span().parent == span_of(1));
    CHECK(f.only_span().callers == 1);
    CHECK(f.replies[1].value == 14);
}

TEST_CASE("keys, weights and priorities are what they are without traces") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = no_timeout, .max_batch_weight = 100},
                          trace(f.tracer),
                          batching::weigh([](int item) { return static_cast<std::size_t>(item); }),
                          key_by([](int item) { return item / 10; }),
                          deduplicate()};
    f.ask_in(span_of(1), batcher, 10);
    f.ask_in(span_of(2), batcher, 20);
    f.ask_in(span_of(3), batcher, 11, {.priority = Priority::high});
    f.ask_in(span_of(4), batcher, 20, {.timeout = 1h});
    f.ask_in(span_of(5), batcher, 101);
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{11, 10}, {20}});
    REQUIRE(f.tracer->spans.size() == 2);
    CHECK(f.tracer->spans[0].links == std::vector{span_of(3), span_of(1)});
    CHECK(f.tracer->spans[0].weight == 21);
    CHECK(f.tracer->spans[1].links == std::vector{span_of(2), span_of(4)});
    CHECK(f.replies[4].failed_with(errc::too_heavy));
    f.check_once();
}

// ---- callers that go -------------------------------------------------------------------------------------

TEST_CASE("a caller who has gone before the batch is formed is none of its callers") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), until_flushed, deduplicate(),
                          trace(f.tracer)};
    aio::cancellation_signal leader;
    aio::cancellation_signal sharer;
    const auto ask_until = [&](int span, int item, aio::cancellation_signal& signal) {
        const Current current(span_of(span));
        batcher.async_process(
            item, aio::bind_cancellation_slot(signal.slot(), into(f.replies.emplace_back())));
    };
    ask_until(1, 7, leader);
    f.ask_in(span_of(2), batcher, 7);
    ask_until(3, 7, sharer);
    f.ask_in(span_of(4), batcher, 8, {.timeout = 1ms});
    f.ask_in(span_of(5), batcher, 9);
    leader.emit(aio::cancellation_type::total);
    sharer.emit(aio::cancellation_type::total);
    f.advance(1ms);
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{7, 9}});
    CHECK(f.only_span().links == std::vector{span_of(2), span_of(5)});
    CHECK(f.only_span().callers == 2);
    f.check_once();
}

TEST_CASE(
    "a call that is refused, or waits when its Batcher goes, has no span, and frees what it has") {
    Fixture f;
    {
        ManualBatcher batcher{f.context,
                              f.batches.doubling(),
                              {.batch_timeout = 1h, .max_queue_size = 1},
                              trace(f.tracer)};
        f.ask_in(span_of(1), batcher, 1);
        f.ask_in(span_of(2), batcher, 2);
        settle(f.context);
        CHECK(f.replies[1].failed_with(errc::overloaded));
    }
    settle(f.context);
    CHECK(f.replies[0].aborted());
    CHECK(f.tracer->spans.empty());
}

TEST_CASE("the span of a batch whose callers have all gone while it runs ends when that does") {
    Fixture f;
    ManualBatcher batcher{f.context, f.gate.doubling(), {.batch_timeout = 0}, trace(f.tracer)};
    aio::cancellation_signal signal;
    {
        const Current current(span_of(1));
        batcher.async_process(
            1, aio::bind_cancellation_slot(signal.slot(), into(f.replies.emplace_back())));
    }
    settle(f.context);
    CHECK(f.only_span().ended == 0);
    signal.emit(aio::cancellation_type::terminal);
    settle(f.context);
    CHECK(f.replies[0].aborted());
    CHECK(f.only_span().ended == 1);
}

// ---- the span --------------------------------------------------------------------------------------------

TEST_CASE("the span is current while the function runs, and not when callers resume") {
    Fixture f;
    TraceContext within;
    TraceContext outside = span_of(99);
    TraceContext told;
    ManualBatcher batcher{f.context,
                          [&](std::vector<int> items, const BatchInfo& info) {
                              within = Current::get();
                              told = info.trace_context();
                              CHECK(f.only_span().ended == 0);
                              return items;
                          },
                          {.batch_timeout = 0},
                          trace(f.tracer)};
    {
        const Current current(span_of(1));
        batcher.async_process(1, [&](std::exception_ptr, int) {
            outside = Current::get();
            CHECK(f.only_span().ended == 1);  // before its callers have their results
        });
    }
    settle(f.context);
    CHECK(within.valid());
    CHECK(within == f.only_span().context);
    CHECK(told == within);
    CHECK_FALSE(outside.valid());
}

TEST_CASE("an asynchronous function is told its span, and the span ends when it has its results") {
    Fixture f;
    TraceContext told;
    ManualBatcher batcher{
        f.context,
        [&](std::vector<int> items, const BatchInfo& info) -> aio::awaitable<std::vector<int>> {
            co_await aio::post(aio::use_awaitable);
            told = info.trace_context();
            CHECK(f.only_span().ended == 0);
            co_return items;
        },
        {.batch_timeout = 0},
        trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 1);
    settle(f.context);
    CHECK(told == f.only_span().context);
    CHECK(f.only_span().ended == 1);
    CHECK(f.replies[0].value == 1);
}

TEST_CASE("without the rule a function is told of no span") {
    Fixture f;
    TraceContext told = span_of(1);
    ManualBatcher batcher{f.context,
                          [&](std::vector<int> items, const BatchInfo& info) {
                              told = info.trace_context();
                              return items;
                          },
                          {.batch_timeout = 0}};
    f.ask_in(span_of(1), batcher, 1);
    settle(f.context);
    CHECK_FALSE(told.valid());
}

TEST_CASE("the span ends with what the function has thrown") {
    Fixture f;
    ManualBatcher batcher{
        f.context,
        [](std::vector<int>) -> std::vector<int> { throw std::runtime_error("the model is gone"); },
        {.batch_timeout = 0},
        trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 1);
    f.ask_in(span_of(2), batcher, 2);
    settle(f.context);
    CHECK(f.only_span().failed == 2);
    CHECK(f.only_span().ended == 1);
    REQUIRE(f.only_span().error);
    CHECK_THROWS_WITH(std::rethrow_exception(f.only_span().error), "the model is gone");
    CHECK(f.replies[0].sentence() == "the model is gone");
}

TEST_CASE("the span ends with how many callers have failed on their own") {
    Fixture f;
    using Results = std::vector<batching::Result<int>>;
    batching::Batcher<int, int, ManualClock> batcher{
        f.context,
        [](const std::vector<int>& items) {
            Results results;
            for (const int item : items) {
                if (item % 2 == 0) {
                    results.emplace_back(item);
                } else {
                    results.emplace_back(std::make_exception_ptr(std::runtime_error("it is odd")));
                }
            }
            return results;
        },
        {.batch_timeout = 0},
        trace(f.tracer)};
    f.ask_all(batcher, {1, 2, 3});
    settle(f.context);
    CHECK(f.only_span().failed == 2);
    CHECK_FALSE(f.only_span().error);
}

// ---- tracers that fail -----------------------------------------------------------------------------------

TEST_CASE("whatever of a tracer throws, calls get their results") {
    Fixture f;
    const auto throws = GENERATE(Throws::current, Throws::start, Throws::context,
                                 Throws::make_current, Throws::end);
    f.tracer->throws = throws;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}, trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 21);
    settle(f.context);
    CHECK(f.replies[0].value == 42);
    if (throws == Throws::current) CHECK_FALSE(f.only_span().parent.valid());
    if (throws == Throws::start) CHECK(f.tracer->spans.empty());
}

TEST_CASE("a tracer that starts no span lets its one caller stand for the batch") {
    Fixture f;
    f.tracer->starts = false;
    TraceContext told;
    ManualBatcher batcher{f.context,
                          [&](std::vector<int> items, const BatchInfo& info) {
                              told = info.trace_context();
                              return items;
                          },
                          {.batch_timeout = 0},
                          trace(f.tracer)};
    f.ask_in(span_of(1), batcher, 1);
    settle(f.context);
    CHECK(told == span_of(1));
    f.ask_in(span_of(1), batcher, 1);
    f.ask_in(span_of(2), batcher, 2);
    settle(f.context);
    CHECK_FALSE(told.valid());
}

TEST_CASE("no tracer is as no rule") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 0},
                          trace(std::shared_ptr<batching::Tracer>())};
    f.ask_in(span_of(1), batcher, 21);
    settle(f.context);
    CHECK(f.replies[0].value == 42);
}

// ---- from many threads -----------------------------------------------------------------------------------

TEST_CASE("every call of many threads stands in the span of one batch") {
    const auto tracer = std::make_shared<RecordingTracer>();
    constexpr int threads = 4;
    constexpr int calls = 200;
    {
        batching::Batcher<int, int> batcher{
            [](std::vector<int> items) { return items; },
            {.max_batch_size = 8, .batch_timeout = 0, .max_concurrent_batches = 2},
            trace(tracer)};
        std::vector<std::thread> callers;
        for (int thread = 0; thread < threads; ++thread) {
            callers.emplace_back([&, thread] {
                for (int i = 0; i < calls; ++i) {
                    const Current current(span_of(1 + thread * calls + i));
                    batcher.process(i).get();
                }
            });
        }
        for (auto& caller : callers) caller.join();
    }
    std::vector<TraceContext> seen;
    for (const auto& span : tracer->spans) {
        CHECK(span.ended == 1);
        if (span.parent.valid()) seen.push_back(span.parent);
        seen.insert(seen.end(), span.links.begin(), span.links.end());
    }
    REQUIRE(seen.size() == threads * calls);
    std::ranges::sort(seen, {}, &TraceContext::span_id);
    for (int i = 0; i < threads * calls; ++i) {
        CHECK(seen[static_cast<std::size_t>(i)] == span_of(1 + i));
    }
}

}  // namespace trace_test
