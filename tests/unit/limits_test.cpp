// Options at the ends of their ranges: what cannot be is refused with a sentence that names the field and
// the value, and durations of any type mean what they say.
#include "catch.hpp"
#include "support.hpp"

#include <limits>
#include <ratio>
#include <type_traits>

namespace limits_test {

using namespace test;
using batching::no_timeout;
using batching::Options;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;

constexpr std::size_t size_max = std::numeric_limits<std::size_t>::max();

std::vector<int> identity(std::vector<int> items) { return items; }

// The sentence of the std::invalid_argument that `make` throws; of anything else, that it is not one.
template <class Make>
std::string refusal(Make make) {
    try {
        make();
    } catch (const std::invalid_argument& error) {
        return error.what();
    } catch (const std::exception& error) {
        return std::string("not a std::invalid_argument: ") + error.what();
    }
    return "not refused";
}

bool names(const std::string& sentence, const std::string& part) {
    return sentence.find(part) != std::string::npos;
}

// Whether a single item, below a full batch, still waits after `time`.
bool waits_for(const Options& options, std::chrono::nanoseconds time) {
    aio::io_context context;
    ManualBatcher batcher{context, identity, options};
    Reply<int> reply;
    call(batcher, 1, reply);
    settle(context);
    ManualClock::advance(time);
    settle(context);
    const bool waits = reply.pending();
    batcher.flush();
    settle(context);
    CHECK(reply.value == 1);
    return waits;
}

TEST_CASE("more concurrent batches than there can be are refused") {
    const Options options{.max_concurrent_batches = size_max};
    std::string sentence;
    SECTION("of a Batcher that owns workers") {
        sentence = refusal([&] { batching::Batcher{identity, options}; });
    }
    SECTION("of one on an executor") {
        aio::io_context context;
        sentence = refusal([&] { batching::Batcher{context, identity, options}; });
    }
    CAPTURE(sentence);
    CHECK(names(sentence, "max_concurrent_batches"));
    CHECK(names(sentence, std::to_string(size_max)));
}

TEST_CASE("more replicas than there can be are refused, before one is made") {
    int made = 0;
    const auto make = [&](std::size_t) {
        if (++made > 1000) throw std::runtime_error("that many replicas are really made");
        return identity;
    };
    const std::string sentence = refusal([&] { batching::replicas(size_max, make); });
    CAPTURE(sentence);
    CHECK(names(sentence, "the number of replicas"));
    CHECK(names(sentence, std::to_string(size_max)));
    CHECK(made == 0);
}

TEST_CASE("a max_batch_size without end works, or is refused") {
    const Options options{.max_batch_size = size_max, .batch_timeout = 0ms};
    std::string sentence;
    try {
        batching::Batcher batcher{identity, options};
        CHECK(batcher.process(1).get() == 1);
        CHECK(batcher.process_many({1, 2}).get() == std::vector<int>{1, 2});
        return;
    } catch (const std::invalid_argument& error) {
        sentence = error.what();
    }
    CAPTURE(sentence);
    CHECK(names(sentence, "max_batch_size must be at most "));
    CHECK(names(sentence, ", not " + std::to_string(size_max)));
}

TEST_CASE("a max_queue_size as large as can be counted limits nothing") {
    const std::size_t limit = GENERATE(size_max - 1, size_max);
    batching::Batcher batcher{identity, {.batch_timeout = 0ms, .max_queue_size = limit}};
    CHECK(batcher.process(1).get() == 1);
    CHECK(batcher.process_many({1, 2}).get() == std::vector<int>{1, 2});
}

TEST_CASE("a queue that can never fill a batch is refused where only full batches leave") {
    SECTION("with no_timeout") {
        std::string sentence;
        const Options options{
            .max_batch_size = 8, .batch_timeout = no_timeout, .max_queue_size = 7};
        SECTION("on its own workers") {
            sentence = refusal([&] { batching::Batcher{identity, options}; });
        }
        SECTION("on an executor") {
            aio::io_context context;
            sentence = refusal([&] { batching::Batcher{context, identity, options}; });
        }
        CAPTURE(sentence);
        CHECK(names(sentence, "max_queue_size"));
        CHECK(names(sentence, "max_batch_size"));
        CHECK(names(sentence, "7"));
        CHECK(names(sentence, "8"));
    }
    SECTION("not with a timeout") {
        CHECK(refusal([] {
                  batching::Batcher{identity, {.max_batch_size = 8, .max_queue_size = 7}};
              }) == "not refused");
    }
    SECTION("not if it fills one exactly") {
        aio::io_context context;
        ManualBatcher batcher{
            context,
            identity,
            {.max_batch_size = 8, .batch_timeout = no_timeout, .max_queue_size = 8}};
        Reply<int> replies[8];
        for (int i = 0; i < 8; ++i) call(batcher, i, replies[i]);
        settle(context);
        for (int i = 0; i < 8; ++i) CHECK(replies[i].value == i);
    }
}

TEST_CASE("a batch_timeout of 0 needs no unit, and one of nothing is 0") {
    CHECK(Options{.batch_timeout = 0}.batch_timeout == 0ns);
    CHECK(Options{.batch_timeout = {}}.batch_timeout == 0ns);
}

TEST_CASE("a batch_timeout that no clock can count is no timeout") {
    using Years = std::chrono::duration<std::int64_t, std::ratio<31'556'952>>;
    SECTION("hours::max()") {
        const Options options{.batch_timeout = std::chrono::hours::max()};
        CHECK(options.batch_timeout == no_timeout);
        CHECK(waits_for(options, 10'000h));
    }
    SECTION("in years") {
        const Options options{.batch_timeout = Years(1'000)};
        CHECK(options.batch_timeout == no_timeout);
        CHECK(waits_for(options, 10'000h));
    }
    SECTION("seconds::max()") {
        const Options options{.batch_timeout = std::chrono::seconds::max()};
        CHECK(options.batch_timeout == no_timeout);
        CHECK(waits_for(options, 10'000h));
    }
    SECTION("no_timeout itself") {
        const Options options{.batch_timeout = no_timeout};
        CHECK(options.batch_timeout == no_timeout);
        CHECK(waits_for(options, 10'000h));
    }
}

TEST_CASE("a batch_timeout that ends beyond what the clock can show does not end early") {
    CHECK(waits_for({.batch_timeout = std::chrono::nanoseconds::max() - 1ns}, 10'000h));
    CHECK(waits_for({.batch_timeout = std::chrono::hours(2'500'000)}, 10'000h));
}

TEST_CASE("a negative batch_timeout is refused, however large") {
    const auto refused = [](const Options& options) {
        const std::string sentence = refusal([&] { batching::Batcher{identity, options}; });
        CAPTURE(sentence);
        CHECK(names(sentence, "batch_timeout must be 0 or more, not "));
    };
    refused({.batch_timeout = -1ns});
    refused({.batch_timeout = std::chrono::hours::min()});
}

TEST_CASE("a batch_timeout may be a duration of any type, and is what it says") {
    CHECK(Options{}.batch_timeout == 1ms);
    CHECK(Options{.batch_timeout = 5ms}.batch_timeout == 5ms);
    CHECK(Options{.batch_timeout = std::chrono::microseconds(3)}.batch_timeout == 3us);
    CHECK(Options{.batch_timeout = 0s}.batch_timeout == 0ns);
    CHECK_FALSE(Options{.batch_timeout = 5ms}.batch_timeout == no_timeout);
    CHECK(waits_for({.batch_timeout = 5ms}, 4ms));
    CHECK_FALSE(waits_for({.batch_timeout = 5ms}, 6ms));
    CHECK(waits_for({.batch_timeout = std::chrono::microseconds(3)}, 2us));
    CHECK_FALSE(waits_for({.batch_timeout = std::chrono::microseconds(3)}, 4us));
    CHECK(waits_for({}, 900us));
    CHECK_FALSE(waits_for({}, 1100us));
}

TEST_CASE("a batch_timeout may be a duration in floating point") {
    const auto check = [](auto options) {
        using Timeout = decltype(options.batch_timeout);
        using Seconds = std::chrono::duration<double>;
        CHECK(std::is_convertible_v<Seconds, Timeout>);
        if constexpr (std::is_convertible_v<Seconds, Timeout>) {
            options.batch_timeout = Seconds(0.5);
            CHECK(options.batch_timeout == 500ms);
            options.batch_timeout = Seconds(1e300);
            CHECK(options.batch_timeout == no_timeout);
            options.batch_timeout = Seconds(std::numeric_limits<double>::infinity());
            CHECK(options.batch_timeout == no_timeout);
        }
    };
    check(Options{});
}

}  // namespace limits_test
