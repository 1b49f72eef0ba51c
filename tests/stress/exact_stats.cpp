// Stats are exact: after ten million calls with every kind of end the counts are what the callers themselves have
// counted, and whoever looks meanwhile sees sums that agree.

#include "support.hpp"

#include "../unit/sanitized.hpp"

#include <memory>

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, int>;
using Results = std::vector<batching::Result<int>>;

constexpr std::uint64_t operations = sanitized ? 500'000 : 10'000'000;
constexpr std::uint64_t threads = 2;
constexpr std::uint64_t items_of_a_call = 50;
constexpr std::uint64_t calls_at_once = 24;

struct BadItem {};

// Some items fail alone, and some batches as a whole.
Results answer(const std::vector<int>& items) {
    if (items.front() % 97 == 0) throw BadItem();
    Results results;
    results.reserve(items.size());
    for (const int item : items) {
        if (item % 7 == 0) {
            results.emplace_back(std::make_exception_ptr(BadItem()));
        } else {
            results.emplace_back(item);
        }
    }
    return results;
}

struct Tally {
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    std::uint64_t overloaded = 0;
    std::uint64_t expired = 0;
    std::uint64_t cancelled = 0;

    void count(const std::exception_ptr& error) {
        try {
            if (error) std::rethrow_exception(error);
            ++completed;
        } catch (const BadItem&) {
            ++failed;
        } catch (const batching::Error& e) {
            ++(e.code() == batching::errc::overloaded ? overloaded : expired);
        } catch (...) {
            check(is_aborted(error), "a call is cancelled, if nothing else");
            ++cancelled;
        }
    }
    void add(const Tally& other) {
        completed += other.completed;
        failed += other.failed;
        overloaded += other.overloaded;
        expired += other.expired;
        cancelled += other.cancelled;
    }
};

// Calls with all kinds of options, as many at once, on a context of their own.
class Caller {
public:
    Caller(Batcher& batcher, std::uint64_t seed) : batcher_(batcher), random_(seed) {}

    Tally run(std::uint64_t items) {
        left_ = items;
        for (std::uint64_t i = 0; i != calls_at_once; ++i) next();
        context_.run();
        return tally_;
    }

private:
    int random_item() { return static_cast<int>(random_() % 100'000); }
    batching::CallOptions random_options() {
        batching::CallOptions options;
        if (random_() % 4 == 0) options.timeout = std::chrono::microseconds(random_() % 2'000);
        options.priority = static_cast<batching::Priority>(random_() % 3);
        return options;
    }

    void next() {
        if (left_ == 0) return;
        if (random_() % 8 == 0) return one();
        std::vector<int> items(std::min(left_, items_of_a_call));
        left_ -= items.size();
        for (int& item : items) item = random_item();
        batcher_.async_process_each(
            std::move(items), random_options(),
            asio::bind_executor(context_,
                                [this](const std::exception_ptr& error, const Results& results) {
                                    check(!error, "each item has a fate of its own");
                                    for (const auto& result : results) tally_.count(result.error());
                                    next();
                                }));
    }

    // A call that is cancelled, at once or a little later: if it is not over by then.
    void one() {
        --left_;
        const auto signal = std::make_shared<asio::cancellation_signal>();
        batcher_.async_process(
            random_item(), random_options(),
            asio::bind_cancellation_slot(
                signal->slot(),
                asio::bind_executor(context_, [this, signal](const std::exception_ptr& error, int) {
                    tally_.count(error);
                    next();
                })));
        if (random_() % 2 == 0) return signal->emit(asio::cancellation_type::terminal);
        asio::post(context_, [signal] { signal->emit(asio::cancellation_type::terminal); });
    }

    Batcher& batcher_;
    std::mt19937_64 random_;
    asio::io_context context_;
    std::uint64_t left_ = 0;
    Tally tally_;
};

}  // namespace

int main() {
    const Watchdog watchdog(110s);
    Batcher batcher(answer, {.max_batch_size = 64,
                             .batch_timeout = 100us,
                             .max_concurrent_batches = 2,
                             .max_queue_size = 1'000});
    Tally tally;
    std::mutex mutex;
    std::atomic<std::uint64_t> under_way{threads};
    std::vector<std::thread> callers;
    for (std::uint64_t i = 0; i != threads; ++i) {
        callers.emplace_back([&, i] {
            Caller caller(batcher, i);
            const Tally own = caller.run(operations / threads);
            const std::lock_guard lock(mutex);
            tally.add(own);
            --under_way;
        });
    }
    std::uint64_t looks = 0;
    while (under_way != 0) {
        check_sum(batcher.stats());
        ++looks;
        pause(1'000);
    }
    for (auto& caller : callers) caller.join();

    const batching::Stats stats = batcher.stats();
    const std::uint64_t batches =
        stats.batches_full + stats.batches_timeout + stats.batches_flushed;
    check(stats.completed == tally.completed, "completed is exact");
    check(stats.failed == tally.failed, "failed is exact");
    check(stats.rejected == tally.overloaded, "rejected is exact");
    check(stats.overloaded == tally.overloaded, "overloaded is exact");
    check(stats.expired == tally.expired, "expired is exact");
    check(stats.cancelled == tally.cancelled, "cancelled is exact");
    check(stats.submitted + stats.rejected == operations, "all calls are counted once");
    check(stats.batch_size.count() == batches, "all batches have a size");
    check(stats.run_time.count() == batches, "all batches have a run time");
    check(tally.completed > 0 && tally.failed > 0 && tally.overloaded > 0 && tally.expired > 0 &&
              tally.cancelled > 0,
          "there was every kind of end");
    check_sum(stats);
    fmt::print(
        "{} calls, {} looks: {} completed, {} failed, {} overloaded, {} expired, {} cancelled\n",
        operations, looks, tally.completed, tally.failed, tally.overloaded, tally.expired,
        tally.cancelled);
    return result();
}
