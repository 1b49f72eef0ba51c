// What a call costs in memory. Counts are exact, whatever the machine.
#include "aligned_memory.hpp"
#include "catch.hpp"
#include "recording_tracer.hpp"
#include "sanitized.hpp"
#include "support.hpp"

#if !defined(BATCHER_TEST_SANITIZED)

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <new>

namespace {
std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> freed{0};

void give_back(void* p) noexcept {
    if (p != nullptr) ++freed;
    std::free(p);
}
void give_back_aligned(void* p) noexcept {
    if (p != nullptr) ++freed;
    free_aligned(p);
}
}  // namespace

// Of the whole program, so that nothing escapes.
void* operator new(std::size_t size) {
    ++allocations;
    if (void* p = std::malloc(size)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    ++allocations;
    if (void* p = allocate_aligned(size, alignment)) return p;
    throw std::bad_alloc();
}
// Not inlined, or g++ would warn, with optimisation, that what operator new returned is given to free.
BATCHER_NOINLINE void operator delete(void* p) noexcept { give_back(p); }
BATCHER_NOINLINE void operator delete(void* p, std::size_t) noexcept { give_back(p); }
BATCHER_NOINLINE void operator delete(void* p, std::align_val_t) noexcept { give_back_aligned(p); }
BATCHER_NOINLINE void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    give_back_aligned(p);
}

using namespace test;

namespace {

Detached caller(batching::Batcher<int, int>& batcher, const bool& stop) {
    while (!stop) co_await batcher.process(1);
}

aio::awaitable<void> awaitable_caller(batching::Batcher<int, int>& batcher, const bool& stop) {
    while (!stop) co_await batcher.process(1);
}

// Allocations that `batches` full batches of `size` items cost, in a closed loop of coroutines that `start`
// starts.
template <class Start>
std::size_t allocations_of(std::size_t batches, std::size_t size, Start start) {
    aio::io_context context;
    std::size_t left = 10 + batches;
    std::size_t before = 0;
    bool stop = false;
    batching::Batcher<int, int> batcher{context,
                                        [&](const std::vector<int>& items) {
                                            if (stop) return items;  // the last of them
                                            if (left == batches) before = allocations;
                                            if (--left == 0) {
                                                before = allocations - before;
                                                stop = true;
                                            }
                                            return items;
                                        },
                                        {.max_batch_size = size, .batch_timeout = 1h}};
    for (std::size_t i = 0; i < 2 * size; ++i) start(context, batcher, stop);
    context.run_for(30s);
    REQUIRE(left == 0);
    return before;
}

}  // namespace

TEST_CASE("an item costs no allocation, however many there are in a batch") {
    const auto check = [](auto start) {
        const std::size_t of_few = allocations_of(100, 8, start);
        const std::size_t of_many = allocations_of(100, 800, start);
        CHECK(of_few == of_many);
        CHECK(of_few <= 400);  // a batch: the function's own results, what carries them, and a post
    };
    SECTION("in a plain coroutine") {
        check([](auto&, auto& batcher, const bool& stop) { caller(batcher, stop); });
    }
    SECTION("in asio::awaitable") {
        check([](auto& context, auto& batcher, const bool& stop) {
            aio::co_spawn(context, awaitable_caller(batcher, stop), aio::detached);
        });
    }
}

namespace {

Detached caller_on(batching::Batcher<int, int>& batcher, aio::io_context& home, const bool& stop) {
    while (!stop) co_await batcher.process(1).resume_on(home.get_executor());
}

// Allocations while callers on `count` io_contexts, in turn, get `rounds` batches each.
std::size_t allocations_with(std::size_t count, std::size_t rounds) {
    std::deque<aio::io_context> contexts(count);
    aio::io_context own;
    bool stop = false;
    batching::Batcher<int, int> batcher{own,
                                        [](const std::vector<int>& items) { return items; },
                                        {.max_batch_size = 8, .batch_timeout = 1h}};
    for (auto& context : contexts) {
        for (int i = 0; i < 8; ++i) caller_on(batcher, context, stop);
    }
    const auto go_round = [&] {
        for (std::size_t i = 0; i < count; ++i) {
            own.poll();
            own.restart();
            for (auto& context : contexts) {
                context.poll();
                context.restart();
            }
        }
    };
    for (std::size_t i = 0; i < 20; ++i) go_round();
    const std::size_t before = allocations;
    const std::uint64_t completed = batcher.stats().completed;
    for (std::size_t i = 0; i < rounds; ++i) go_round();
    const std::size_t spent = allocations - before;
    const std::uint64_t batches = (batcher.stats().completed - completed) / 8;
    REQUIRE(batches >= rounds);
    stop = true;
    batcher.close();
    for (std::size_t i = 0; i < 3; ++i) go_round();
    return spent / batches;
}

}  // namespace

TEST_CASE("a batch of callers on 32 io_contexts costs the allocations of one of callers on one") {
    CHECK(allocations_with(32, 20) <= allocations_with(1, 20));
}

namespace {

// What the calls of a Batcher with these rules have allocated and not given back, once it has gone.
template <class... Rules>
std::size_t left_behind_by(Rules... rules) {
    const auto run_calls = [&] {
        aio::io_context context;
        bool stop = false;
        int batches = 0;
        batching::Batcher<int, int> batcher{context,
                                            [&](const std::vector<int>& items) {
                                                stop = ++batches >= 20;
                                                return items;
                                            },
                                            {.max_batch_size = 8, .batch_timeout = 0s},
                                            rules...};
        for (int i = 0; i < 8; ++i) caller(batcher, stop);
        context.run_for(30s);
        REQUIRE(stop);
        batcher.cancel();
        context.poll();
    };
    run_calls();  // what is allocated once in a program
    const std::size_t before = allocations - freed;
    run_calls();
    return allocations - freed - before;
}

}  // namespace

TEST_CASE("once a Batcher has gone, its calls have given back all that they allocated") {
    CHECK(left_behind_by() == 0);
    CHECK(left_behind_by(batching::key_by([](int item) { return item; })) == 0);
    CHECK(left_behind_by(batching::deduplicate()) == 0);

    const test::Current current(test::span_of(1));
    const auto tracer = std::make_shared<test::RecordingTracer>();
    tracer->starts = false;
    CHECK(left_behind_by(batching::trace(tracer)) == 0);
    CHECK(left_behind_by(batching::key_by([](int item) { return item; }),
                         batching::trace(tracer)) == 0);
}

#endif

TEST_CASE("a waiting item takes at most 128 bytes beside its value") {
    using Operation = batching::Batcher<int, int>::process_type;
    using Awaiter = decltype(std::declval<Operation>().operator co_await());
    CHECK(sizeof(Operation) + sizeof(Awaiter) <= 128 + sizeof(int));
}
