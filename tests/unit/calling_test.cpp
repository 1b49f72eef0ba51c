// The ways to call a Batcher, and where the callers resume.
#include "catch.hpp"
#include "support.hpp"

#include <future>
#include <set>
#include <thread>

namespace calling_test {

using namespace test;

struct Params {
    int a;
    double b;
};
std::vector<double> add(std::vector<Params> batch) {
    std::vector<double> sums;
    for (const Params& p : batch) sums.push_back(p.a + p.b);
    return sums;
}

std::vector<int> doubled(std::vector<int> items) {
    for (int& item : items) item *= 2;
    return items;
}

struct NoDefault {
    explicit NoDefault(int v) : value(v) {}
    int value;
};

// A coroutine whose promise names an executor, as boost::cobalt's do.
struct WithExecutor {
    struct promise_type {
        // From the arguments of the coroutine, of which the executor is the first.
        template <class... Args>
        explicit promise_type(aio::any_io_executor e, Args&&...) : executor(std::move(e)) {}
        WithExecutor get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
        const aio::any_io_executor& get_executor() const noexcept { return executor; }
        aio::any_io_executor executor;
    };
};

WithExecutor call_on(aio::any_io_executor, batching::Batcher<int, int>& batcher, const Track& track,
                     int& result, bool& here) {
    result = co_await batcher.process(1);
    here = track.here();
}

TEST_CASE("In and Out are deduced from the function") {
    batching::Batcher batcher{add};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<Params, double>>);
    CHECK(batcher.process({1, 0.5}).get() == 1.5);
}

TEST_CASE("a plain thread gets its result with get(), which blocks") {
    batching::Batcher batcher{doubled, {.max_batch_size = 4}};
    std::vector<std::future<int>> results;
    for (int i = 0; i < 8; ++i) {
        results.push_back(
            std::async(std::launch::async, [&, i] { return batcher.process(i).get(); }));
    }
    for (int i = 0; i < 8; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == 2 * i);
}

TEST_CASE("a Batcher without an executor runs its function on a thread of its own") {
    std::set<std::thread::id> threads;
    {
        batching::Batcher batcher{[&](std::vector<int> items) {
            threads.insert(std::this_thread::get_id());
            return items;
        }};
        for (int i = 0; i < 5; ++i) batcher.process(i).get();
    }
    CHECK(threads.size() == 1);
    CHECK(threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("a Batcher on an executor starts no thread: function and timer run there") {
    aio::io_context context;
    std::thread::id ran_on;
    batching::Batcher batcher{context, [&](std::vector<int> items) {
                                  ran_on = std::this_thread::get_id();
                                  return items;
                              }};
    Reply<int> reply;
    call(batcher, 1, reply);
    CHECK(reply.pending());
    context.run();
    CHECK(reply.value == 1);
    CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE(
    "a Batcher takes an execution context, its executor, a strand or a polymorphic executor") {
    aio::io_context context;
    aio::thread_pool pool(1);
    batching::Batcher on_context{context, doubled};
    batching::Batcher on_pool{pool, doubled};
    batching::Batcher on_executor{context.get_executor(), doubled};
    batching::Batcher on_strand{aio::make_strand(context), doubled, {.max_batch_size = 2}};
    batching::Batcher on_any{aio::any_io_executor(context.get_executor()), doubled};
    CHECK(on_pool.process(4).get() == 8);
    Reply<int> replies[4];
    call(on_context, 1, replies[0]);
    call(on_executor, 2, replies[1]);
    call(on_strand, 3, replies[2]);
    call(on_any, 4, replies[3]);
    context.run();
    for (int i = 0; i < 4; ++i) CHECK(replies[i].value == 2 * (i + 1));
}

TEST_CASE("nothing is queued until the operation is awaited, started or got") {
    aio::io_context context;
    batching::Batcher batcher{context, doubled};
    {
        [[maybe_unused]] auto operation = batcher.process(1);
    }
    auto token_operation = batcher.async_process(1, deferred);
    CHECK(batcher.stats().submitted == 0);
    Reply<int> reply;
    std::move(token_operation)(into(reply));
    CHECK(batcher.stats().submitted == 1);
    context.run();
    CHECK(reply.value == 2);
}

TEST_CASE("process is awaited in asio::awaitable, and resumes on the awaitable's executor") {
    aio::io_context functions;
    aio::io_context callers;
    Track track;
    batching::Batcher batcher{functions, doubled};
    int result = 0;
    aio::co_spawn(
        tracked(callers, track),
        [&]() -> aio::awaitable<void> {
            result = co_await batcher.process(21);
            CHECK(track.here());
        },
        aio::detached);
    callers.poll();
    functions.run();
    CHECK(result == 0);
    callers.restart();
    callers.run();
    CHECK(result == 42);
}

TEST_CASE("process throws its error inside asio::awaitable") {
    aio::io_context context;
    batching::Batcher batcher{context, [](std::vector<int>) -> std::vector<int> {
                                  throw std::runtime_error("no model");
                              }};
    std::string sentence;
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            try {
                co_await batcher.process(1);
            } catch (const std::runtime_error& e) {
                sentence = e.what();
            }
        },
        aio::detached);
    context.run();
    CHECK(sentence == "no model");
}

TEST_CASE("async_process takes any completion token") {
    batching::Batcher batcher{doubled};
    CHECK(batcher.async_process(1, aio::use_future).get() == 2);
    std::promise<int> promise;
    batcher.async_process(2, [&](std::exception_ptr, int value) { promise.set_value(value); });
    CHECK(promise.get_future().get() == 4);
    CHECK(batcher.process(3)(aio::use_future).get() == 6);
}

TEST_CASE("a handler is called on its associated executor, by default the Batcher's") {
    aio::io_context context;
    Track batchers;
    Track handlers;
    batching::Batcher batcher{tracked(context, batchers), doubled};
    bool on_handlers = false;
    bool on_batchers = false;
    batcher.async_process(
        1, aio::bind_executor(tracked(context, handlers),
                              [&](std::exception_ptr, int) { on_handlers = handlers.here(); }));
    batcher.async_process(2, [&](std::exception_ptr, int) { on_batchers = batchers.here(); });
    context.run();
    CHECK(on_handlers);
    CHECK(on_batchers);
}

TEST_CASE("a coroutine of any type resumes on the Batcher's executor") {
    aio::io_context context;
    Track track;
    batching::Batcher batcher{tracked(context, track), doubled};
    bool here = false;
    [](auto& b, Track& t, bool& h) -> Detached {
        co_await b.process(1);
        h = t.here();
    }(batcher, track, here);
    context.run();
    CHECK(here);
}

TEST_CASE("a coroutine resumes where resume_on says") {
    aio::io_context functions;
    aio::io_context callers;
    Track track;
    batching::Batcher batcher{functions, doubled};
    int result = 0;
    bool here = false;
    [](auto& b, auto executor, Track& t, int& r, bool& h) -> Detached {
        r = co_await b.process(1).resume_on(executor);
        h = t.here();
    }(batcher, tracked(callers, track), track, result, here);
    functions.run();
    CHECK(result == 0);
    callers.run();
    CHECK(result == 2);
    CHECK(here);
}

TEST_CASE("a coroutine whose promise has get_executor() resumes there") {
    aio::io_context functions;
    aio::io_context callers;
    Track track;
    batching::Batcher batcher{functions, doubled};
    int result = 0;
    bool here = false;
    call_on(tracked(callers, track), batcher, track, result, here);
    functions.run();
    CHECK(result == 0);
    callers.run();
    CHECK(result == 2);
    CHECK(here);
}

TEST_CASE("an operation kept in a variable is awaited by moving it") {
    aio::io_context context;
    batching::Batcher batcher{context, add};
    double result = 0;
    [](auto& b, double& r) -> Detached {
        auto operation = b.process(Params{1, 2});
        r = co_await std::move(operation);
    }(batcher, result);
    context.run();
    CHECK(result == 3);
}

TEST_CASE("nobody is resumed inside process or inside the batch function") {
    aio::io_context context;
    bool inside = false;
    bool resumed_inside = false;
    batching::Batcher batcher{context,
                              [&](std::vector<int> items) {
                                  inside = true;
                                  items = doubled(std::move(items));
                                  inside = false;
                                  return items;
                              },
                              {.max_batch_size = 1, .max_queue_size = 1}};
    Reply<int> accepted;
    Reply<int> refused;
    auto watch = [&](Reply<int>& reply) {
        return [&](std::exception_ptr error, int value) {
            resumed_inside |= inside;
            into(reply)(error, value);
        };
    };
    inside = true;
    batcher.async_process(1, watch(accepted));
    batcher.async_process(2, watch(refused));
    inside = false;
    context.run();
    CHECK(accepted.value == 2);
    CHECK(refused.failed_with(batching::errc::overloaded));
    CHECK_FALSE(resumed_inside);
}

TEST_CASE("callers of a batch that share an executor are resumed by one post") {
    aio::io_context functions;
    aio::io_context one;
    aio::io_context other;
    Track one_track;
    Track other_track;
    batching::Batcher batcher{functions, doubled, {.max_batch_size = 10}};
    int resumed = 0;
    for (int i = 0; i < 10; ++i) {
        auto& track = i % 2 == 0 ? one_track : other_track;
        auto executor = tracked(i % 2 == 0 ? one : other, track);
        batcher.async_process(
            i, aio::bind_executor(executor, [&](std::exception_ptr, int) { ++resumed; }));
    }
    functions.run();
    one.run();
    other.run();
    CHECK(resumed == 10);
    CHECK(one_track.posts == 1);
    CHECK(other_track.posts == 1);
}

TEST_CASE("callers on the Batcher's own executor are resumed by the task that ran the batch") {
    aio::io_context context;
    Track track;
    batching::Batcher batcher{tracked(context, track), doubled, {.max_batch_size = 10}};
    Reply<int> replies[10];
    for (int i = 0; i < 10; ++i) call(batcher, i, replies[i]);
    context.run();
    for (auto& reply : replies) CHECK(reply.times == 1);
    // One task for the batch; and perhaps the wait for the timer that the first item armed.
    CHECK(track.posts <= 2);
}

TEST_CASE("an exception out of one resumed handler loses none of the others") {
    aio::io_context functions;
    aio::io_context callers;
    for (const bool same_executor : {true, false}) {
        aio::io_context& home = same_executor ? functions : callers;
        batching::Batcher batcher{functions, doubled, {.max_batch_size = 4}};
        Reply<int> replies[4];
        for (int i = 0; i < 4; ++i) {
            batcher.async_process(
                i, aio::bind_executor(home, [&, i](std::exception_ptr error, int value) {
                    into(replies[i])(error, value);
                    if (i % 2 == 0) throw std::logic_error("a handler's own mistake");
                }));
        }
        int thrown = 0;
        for (aio::io_context* context : {&functions, &callers}) {
            for (bool again = true; again;) {
                again = false;
                try {
                    context->restart();
                    context->run();
                } catch (const std::logic_error&) {
                    ++thrown;
                    again = true;
                }
            }
        }
        CHECK(thrown == 2);
        for (int i = 0; i < 4; ++i) CHECK(replies[i].value == 2 * i);
    }
}

TEST_CASE("a handler's executor has outstanding work until the handler is called") {
    aio::io_context functions;
    aio::io_context callers;
    batching::Batcher batcher{functions, doubled};
    Reply<int> reply;
    batcher.async_process(1, aio::bind_executor(callers, into(reply)));
    callers.poll();
    CHECK_FALSE(callers.stopped());
    functions.run();
    callers.run();
    CHECK(reply.value == 2);
}

TEST_CASE("a result without a default constructor: awaited as itself, an optional for tokens") {
    aio::io_context context;
    batching::Batcher batcher{context, [](std::vector<NoDefault> items) { return items; }};
    int awaited = 0;
    int in_awaitable = 0;
    std::optional<NoDefault> by_token;
    [](auto& b, int& r) -> Detached {
        const NoDefault result = co_await b.process(NoDefault(1));
        r = result.value;
    }(batcher, awaited);
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            const NoDefault result = co_await batcher.process(NoDefault(2));
            in_awaitable = result.value;
        },
        aio::detached);
    batcher.async_process(NoDefault(3),
                          [&](std::exception_ptr, std::optional<NoDefault> r) { by_token = r; });
    context.run();
    CHECK(awaited == 1);
    CHECK(in_awaitable == 2);
    REQUIRE(by_token);
    CHECK(by_token->value == 3);
}

TEST_CASE("items and results may be move-only") {
    using Pointer = std::unique_ptr<int>;
    batching::Batcher batcher{[](std::vector<Pointer> items) { return items; }};
    CHECK(*batcher.process(std::make_unique<int>(7)).get() == 7);
    CHECK(*batcher.async_process(std::make_unique<int>(8), aio::use_future).get() == 8);
}

TEST_CASE("process_many gives the results in the order of the items, in one completion") {
    aio::io_context context;
    Batches batches;
    batching::Batcher batcher{context, batches.doubling(), {.max_batch_size = 4}};
    std::optional<std::vector<int>> results;
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            std::vector<int> items{5, 4, 3, 2, 1, 0};
            results = co_await batcher.process_many(std::move(items));
        },
        aio::detached);
    Reply<int> single;
    aio::post(context, [&] { call(batcher, 100, single); });
    context.run();
    CHECK(results == std::vector<int>{10, 8, 6, 4, 2, 0});
    CHECK(single.value == 200);
    CHECK(batches.seen == std::vector<std::vector<int>>{{5, 4, 3, 2}, {1, 0, 100}});
}

TEST_CASE("process_many works from a coroutine, a thread and a handler, also with nothing to do") {
    batching::Batcher batcher{doubled};
    CHECK(batcher.process_many({1, 2, 3}).get() == std::vector<int>{2, 4, 6});
    CHECK(batcher.process_many({}).get().empty());
    CHECK(batcher.async_process_many({4}, aio::use_future).get() == std::vector<int>{8});
    std::promise<std::vector<int>> promise;
    [](auto& b, auto& p) -> Detached { p.set_value(co_await b.process_many({1, 2, 3})); }(batcher,
                                                                                          promise);
    CHECK(promise.get_future().get() == std::vector<int>{2, 4, 6});
}

TEST_CASE("process_many takes items in braces, those without a name of their type, too") {
    aio::io_context context;
    batching::Batcher strings{context, [](std::vector<std::string> items) { return items; }};
    const std::string name = "c";
    std::vector<std::string> results;
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            results = co_await strings.process_many({"a", std::string("b"), name});
        },
        aio::detached);
    context.run();
    CHECK(results == std::vector<std::string>{"a", "b", "c"});

    struct Point {
        int x, y;
    };
    batching::Batcher points{[](const std::vector<Point>& items) {
        std::vector<int> sums;
        for (const Point& item : items) sums.push_back(item.x + item.y);
        return sums;
    }};
    CHECK(points.process_many({{1, 2}, {.x = 3, .y = 4}}).get() == std::vector<int>{3, 7});
}

TEST_CASE("process_many of bool items and bool results") {
    batching::Batcher batcher{[](std::vector<bool> items) {
        items.flip();
        return items;
    }};
    CHECK(batcher.process(true).get() == false);
    CHECK(batcher.process_many({true, false}).get() == std::vector<bool>{false, true});
}

struct Request {
    std::string text;
    int times = 1;
};

std::vector<std::string> repeated(const std::vector<Request>& requests) {
    std::vector<std::string> results;
    for (const Request& request : requests) {
        std::string& result = results.emplace_back();
        for (int i = 0; i < request.times; ++i) result += request.text;
    }
    return results;
}

// g++ 12 frees an aggregate twice that is made inside a co_await: so it is made inside process().
TEST_CASE("an aggregate goes in braces, without its name, also into co_await") {
    aio::io_context context;
    batching::Batcher batcher{context, repeated};
    const std::string text = "a text that is too long to be stored inside a std::string";
    std::vector<std::string> results;
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            results.push_back(co_await batcher.process({text, 2}));
            results.push_back(co_await batcher.process({text}));
            results.push_back(co_await batcher.process({}));
            Request named{text, 1};
            results.push_back(co_await batcher.process(named));
            results.push_back(co_await batcher.process(std::move(named)));
        },
        aio::detached);
    context.run();
    CHECK(results == std::vector<std::string>{text + text, text, "", text, text});
}

TEST_CASE("outside of co_await an aggregate may have its name, and its fields theirs") {
    batching::Batcher batcher{repeated};
    const Request constant{"c", 3};
    CHECK(batcher.process(Request{"a", 2}).get() == "aa");
    CHECK(batcher.process({.text = "b"}).get() == "b");
    CHECK(batcher.process(constant).get() == "ccc");
    CHECK(batcher.async_process({"d", 4}, aio::use_future).get() == "dddd");
}

TEST_CASE("an item that refers to something goes with a future if it is said to outlive the call") {
    batching::Batcher batcher{[](const std::vector<std::string_view>& items) {
        std::vector<std::size_t> sizes;
        for (const std::string_view item : items) sizes.push_back(item.size());
        return sizes;
    }};
    CHECK(batcher.async_process(batching::outlives(std::string_view("four")), aio::use_future)
              .get() == 4);
    CHECK(batcher.process("three").get() == 5);
}

}  // namespace calling_test
