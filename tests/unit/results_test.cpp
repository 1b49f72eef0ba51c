// Results whose move constructor throws on their way to the caller: he gets that exception, once, and the
// others of his batch get their results.
#include "catch.hpp"
#include "support.hpp"
#include "watchdog.hpp"

#include <future>
#include <type_traits>

namespace results_test {

using namespace test;

// A result. A fuse counts the moves of armed ones; the one at which it burns down throws.
struct Fragile {
    int value = 0;
    bool armed = false;

    Fragile() = default;
    Fragile(int v, bool a) noexcept : value(v), armed(a) {}
    Fragile(Fragile&& other) : value(other.value), armed(other.armed) { move(); }
    Fragile& operator=(Fragile&& other) {
        value = other.value;
        armed = other.armed;
        move();
        return *this;
    }

    inline static std::atomic<int> fuse{-1};  // -1: none

private:
    void move() const {
        if (armed && fuse >= 0 && fuse-- == 0) throw std::runtime_error("a result broke");
    }
};

// The same without a default constructor: then handlers get a std::optional.
struct FragileAndFull : Fragile {
    FragileAndFull(int v, bool a) noexcept : Fragile(v, a) {}
    FragileAndFull(FragileAndFull&&) = default;
    FragileAndFull& operator=(FragileAndFull&&) = default;
};
static_assert(!std::is_default_constructible_v<FragileAndFull>);

constexpr int size = 3;
constexpr int fragile = 1;  // the item whose result is armed

// The fuse is lit when the function is done with its results.
template <class Out>
auto function(int fuse) {
    return [fuse](const std::vector<int>& items) {
        std::vector<Out> results;
        results.reserve(items.size());
        for (const int item : items) results.emplace_back(2 * item, item % size == fragile);
        Fragile::fuse = fuse;
        return results;
    };
}

// What a caller got. It keeps no Fragile, as it would have to move it.
struct Got {
    int times = 0;
    std::optional<int> value;
    std::string sentence;

    void fail(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::runtime_error& e) {
            sentence = e.what();
        } catch (...) {
            sentence = "another exception";
        }
    }
};

// A completion handler that moves nothing: all moves are the library's.
template <class Out>
auto into(Got& got) {
    using Argument =
        std::conditional_t<std::is_default_constructible_v<Out>, Out, std::optional<Out>>;
    return [&got](const std::exception_ptr& error, Argument&& result) {
        ++got.times;
        if (error) {
            got.fail(error);
        } else if constexpr (std::is_default_constructible_v<Out>) {
            got.value = result.value;
        } else if (result) {
            got.value = result->value;
        }
    };
}

// Lights ever longer fuses until one is not burnt down: `round(fuse)` makes one call for each of three items.
// Each of the others gets his result, the fragile one that or the exception; at least one has to.
template <class Round>
void for_each_move(Round round) {
    int broken = 0;
    for (int fuse = 0; fuse < 100; ++fuse) {
        INFO("move " << fuse);
        Fragile::fuse = -1;
        Got got[size];
        round(fuse, got);
        const bool burnt = Fragile::fuse.exchange(-1) == -1;
        for (int i = 0; i < size; ++i) {
            INFO("item " << i);
            CHECK(got[i].times == 1);
            if (burnt && i == fragile) {
                CHECK_FALSE(got[i].value);
                CHECK(got[i].sentence == "a result broke");
                ++broken;
            } else {
                CHECK(got[i].value == 2 * i);
                CHECK(got[i].sentence.empty());
            }
        }
        if (!burnt) {
            CHECK(broken == fuse);
            CHECK(broken > 0);
            return;
        }
    }
    FAIL("there is no end of moves");
}

// Runs all there is to do. What comes out of a handler comes out here: no exception may.
void run(aio::io_context& context) {
    for (int tries = 0; tries < 10; ++tries) {
        try {
            settle(context);
            return;
        } catch (const std::exception& e) {
            FAIL_CHECK("out of the executor came: " << e.what());
        }
    }
}

// The Batcher of one round, on a context.
template <class Out>
struct Round {
    explicit Round(int fuse) : batcher(context, function<Out>(fuse), {.max_batch_size = size}) {}
    aio::io_context context;
    batching::Batcher<int, Out, ManualClock> batcher;
};

TEMPLATE_TEST_CASE(
    "a result that breaks on its way into a handler: he is called, with the exception", "", Fragile,
    FragileAndFull) {
    using Out = TestType;
    SECTION("on the Batcher's executor") {
        for_each_move([](int fuse, Got* got) {
            Round<Out> round(fuse);
            for (int i = 0; i < size; ++i) round.batcher.async_process(i, into<Out>(got[i]));
            run(round.context);
        });
    }
    SECTION("on executors of their own") {
        for_each_move([](int fuse, Got* got) {
            Round<Out> round(fuse);
            aio::io_context home;
            const auto strand = aio::make_strand(home);
            for (int i = 0; i < size; ++i) {
                round.batcher.async_process(i, aio::bind_executor(strand, into<Out>(got[i])));
            }
            run(round.context);
            run(home);
        });
    }
    SECTION("on the executor of callers of a Batcher that owns its worker") {
        for_each_move([](int fuse, Got* got) {
            const Watchdog watchdog("a caller");
            aio::io_context home;
            batching::Batcher<int, Out> batcher{function<Out>(fuse),
                                                {.max_batch_size = size, .batch_timeout = 1h}};
            for (int i = 0; i < size; ++i) {
                batcher.async_process(i, aio::bind_executor(home, into<Out>(got[i])));
            }
            for (int tries = 0; tries < size; ++tries) {
                try {
                    home.run();
                } catch (const std::exception& e) {
                    FAIL_CHECK("out of the executor came: " << e.what());
                }
            }
        });
    }
}

TEST_CASE("a result that breaks on its way into a coroutine is thrown there") {
    SECTION("a plain one") {
        for_each_move([](int fuse, Got* got) {
            Round<Fragile> round(fuse);
            for (int i = 0; i < size; ++i) {
                [](auto& batcher, int item, Got& g) -> Detached {
                    try {
                        auto operation = batcher.process(item);
                        const Fragile result = co_await std::move(operation);
                        g.value = result.value;
                    } catch (...) {
                        g.fail(std::current_exception());
                    }
                    ++g.times;
                }(round.batcher, i, got[i]);
            }
            run(round.context);
        });
    }
    SECTION("an asio::awaitable") {
        for_each_move([](int fuse, Got* got) {
            Round<Fragile> round(fuse);
            for (int i = 0; i < size; ++i) {
                aio::co_spawn(
                    round.context,
                    [](auto& batcher, int item, Got& g) -> aio::awaitable<void> {
                        try {
                            auto operation = batcher.process(item);
                            const Fragile result = co_await std::move(operation);
                            g.value = result.value;
                        } catch (...) {
                            g.fail(std::current_exception());
                        }
                        ++g.times;
                    }(round.batcher, i, got[i]),
                    aio::detached);
            }
            run(round.context);
        });
    }
}

TEST_CASE("a result that breaks on its way into a blocked thread is thrown there") {
    for_each_move([](int fuse, Got* got) {
        const Watchdog watchdog("get()");
        batching::Batcher<int, Fragile> batcher{function<Fragile>(fuse),
                                                {.max_batch_size = size, .batch_timeout = 1h}};
        std::future<void> threads[size];
        for (int i = 0; i < size; ++i) {
            threads[i] = std::async(std::launch::async, [&batcher, i, &g = got[i]] {
                try {
                    g.value = batcher.process(i).get().value;
                } catch (...) {
                    g.fail(std::current_exception());
                }
                ++g.times;
            });
        }
        for (auto& thread : threads) thread.get();
    });
}

// process_many({0, 1}), whose second result is armed, beside process(2), in the same batch. The results of the
// former are told as those of item 0, whose value stands for both, and of item 1.
void took(Got* got, const std::vector<Fragile>& results) {
    for (std::size_t i = 0; i < results.size() && i < 2; ++i) got[i].value = results[i].value;
}

TEST_CASE("one of the results of process_many breaks: it fails with the exception, once") {
    const bool coroutine = GENERATE(false, true);
    int broken = 0;
    for (int fuse = 0; fuse < 100; ++fuse) {
        INFO("move " << fuse);
        Fragile::fuse = -1;
        Round<Fragile> round(fuse);
        Got got[size];
        std::vector<int> items{0, fragile};
        if (coroutine) {
            [](auto& batcher, std::vector<int> i, Got* g) -> Detached {
                try {
                    auto operation = batcher.process_many(std::move(i));
                    const std::vector<Fragile> results = co_await std::move(operation);
                    took(g, results);
                } catch (...) {
                    g[fragile].fail(std::current_exception());
                }
                ++g[fragile].times;
            }(round.batcher, std::move(items), got);
        } else {
            round.batcher.async_process_many(
                std::move(items),
                [&got](const std::exception_ptr& error, std::vector<Fragile>&& results) {
                    ++got[fragile].times;
                    if (error) {
                        got[fragile].fail(error);
                    } else {
                        took(got, results);
                    }
                });
        }
        round.batcher.async_process(2, into<Fragile>(got[2]));
        run(round.context);
        const bool burnt = Fragile::fuse.exchange(-1) == -1;
        CHECK(got[fragile].times == 1);
        CHECK(got[2].times == 1);
        CHECK(got[2].value == 4);
        if (burnt) {
            ++broken;
            CHECK_FALSE(got[0].value);
            CHECK_FALSE(got[fragile].value);
            CHECK(got[fragile].sentence == "a result broke");
        } else {
            CHECK(got[0].value == 0);
            CHECK(got[fragile].value == 2 * fragile);
            CHECK(broken > 0);
            return;
        }
    }
    FAIL("there is no end of moves");
}

}  // namespace results_test
