// Table 4: what batching buys. A batch function that takes a + b n (a: a kernel launch, a round trip, a
// query), under an offered load: how much of it gets through, and how late.
#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <competitors/rules.hpp>
#include <cstddef>
#include <measure.hpp>
#include <open_loop.hpp>
#include <optional>
#include <string>
#include <vector>

using namespace bench;

namespace {

constexpr std::size_t largest_batch = 256;
constexpr Nanoseconds per_item{500};

using Batcher = batching::Batcher<int, int>;

// Keeps its thread busy for a + b n.
class CostlyTwice {
public:
    explicit CostlyTwice(Nanoseconds per_call) : per_call_(per_call) {}
    std::vector<int> operator()(const std::vector<int>& numbers) const {
        const auto end =
            Clock::now() + per_call_ + per_item * static_cast<std::int64_t>(numbers.size());
        std::vector<int> doubles = twice(numbers);
        while (Clock::now() < end) {
        }
        return doubles;
    }

private:
    Nanoseconds per_call_;
};

struct Window {
    Clock::time_point end;
    std::vector<double> latencies;  // of what was done in it, ns
};

Task call(Batcher& batcher, asio::io_context& context, Window& window, int x,
          Clock::time_point due) {
    try {
        const int y = co_await batcher.process(x).resume_on(context.get_executor());
        check_result(x, y);
        const auto now = Clock::now();
        if (now < window.end) window.latencies.push_back(nanoseconds_between(due, now));
    } catch (const std::exception&) {
        // Too late: the batcher was closed with this item in its queue.
    }
}

// Throughput in thousands a second, and p99 in milliseconds.
std::vector<double> run(Nanoseconds per_call, double rate, batching::Options options,
                        std::chrono::duration<double> time) {
    asio::io_context context(1);
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(CostlyTwice(per_call), options);
    }
    Window window{Clock::now() + std::chrono::duration_cast<Nanoseconds>(time), {}};
    const auto items = static_cast<std::size_t>(rate * time.count());
    window.latencies.reserve(items);
    Generator generator(context, rate, items, [&](std::size_t i, Clock::time_point due) {
        call(*batcher, context, window, static_cast<int>(i), due);
    });
    context.run_until(window.end);
    generator.stop();
    batcher.reset();  // what waits is cancelled
    context.restart();
    context.run();  // all callers end
    const double done = static_cast<double>(window.latencies.size());
    return {done / time.count() / 1e3, quantile(window.latencies, 0.99) / 1e6};
}

}  // namespace

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    const Settings settings = settings_from(argc, argv);
    const auto time = std::chrono::duration<double>(settings.quick ? 0.02 : 0.2);
    Sheet sheet(settings, "gain", {"per_call_us", "items_per_second"},
                {{"throughput", "k/s"}, {"p99", "ms"}});
    for (const std::chrono::microseconds per_call : {50us, 500us, 5'000us}) {
        for (const std::size_t rate : {300, 1'000, 3'000, 10'000, 30'000, 100'000}) {
            const auto contender = [&](const char* name, batching::Options options) {
                return Contender{"function on a worker", name, [=] {
                                     return run(per_call, static_cast<double>(rate), options, time);
                                 }};
            };
            sheet.measure(
                fmt::format("A function of {} us + 0.5 us an item, {} items a second offered",
                            with_commas(static_cast<std::size_t>(per_call.count())),
                            with_commas(rate)),
                {std::to_string(per_call.count()), std::to_string(rate)},
                {contender("no batching", {.max_batch_size = 1}),
                 contender("batches of up to 256, no wait",
                           {.max_batch_size = largest_batch, .batch_timeout = 0ms}),
                 contender("batches of up to 256, 1 ms",
                           {.max_batch_size = largest_batch, .batch_timeout = 1ms})});
        }
    }
}
