#include "load.hpp"

#include "terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio.hpp>
#include <batcher.hpp>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <utility>

namespace digits {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Classifier = batching::Batcher<Image, int>;

// A client looks at its answer for a moment before it asks again: 20 ms on average, at random, so
// that clients do not march in step.
constexpr double mean_pause_seconds = 0.020;

// What the clients of one run share. All of them run on one event loop, in one thread.
class Run {
public:
    Run(const Load& load, std::span<const Sample> questions)
        : begin_(Clock::now() + 500ms),
          end_(begin_ + std::chrono::duration_cast<Clock::duration>(load.measured)),
          questions_(questions),
          answers_(questions.size()) {}

    bool over() const { return Clock::now() >= end_; }
    bool measured(Clock::time_point at) const { return at >= begin_ && at < end_; }

    std::size_t next_question() { return next_++ % questions_.size(); }
    const Image& image(std::size_t question) const { return questions_[question].image; }

    void record(std::size_t question, int answer, Clock::time_point asked_at) {
        const auto now = Clock::now();
        answers_[question] = answer;
        if (measured(now)) latencies_.push_back(now - asked_at);
    }

    std::string progress() const {
        const std::chrono::duration<double> left =
            std::max(end_ - Clock::now(), Clock::duration::zero());
        return fmt::format("{:.1f} s left, {} calls", left.count(), next_);
    }

    Measured result() {
        Measured result;
        result.calls_per_second = static_cast<double>(latencies_.size()) /
                                  std::chrono::duration<double>(end_ - begin_).count();
        result.p50 = percentile(50);
        result.p99 = percentile(99);
        for (std::size_t i = 0; i < answers_.size(); ++i) {
            if (answers_[i].has_value()) ++result.asked;
            if (answers_[i] == questions_[i].label) ++result.right;
        }
        return result;
    }

private:
    Clock::duration percentile(std::size_t percent) {
        if (latencies_.empty()) return {};
        const auto place = latencies_.begin() +
                           static_cast<std::ptrdiff_t>((latencies_.size() - 1) * percent / 100);
        std::nth_element(latencies_.begin(), place, latencies_.end());
        return *place;
    }

    const Clock::time_point begin_;  // of what is measured; before it, the queue settles
    const Clock::time_point end_;
    const std::span<const Sample> questions_;
    std::vector<std::optional<int>> answers_;  // the last answer to each question
    std::vector<Clock::duration> latencies_;
    std::size_t next_ = 0;
};

// This is all a client has to know: it asks for one digit, and gets one answer.
asio::awaitable<void> client(Classifier& classifier, Run& run, unsigned seed) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    std::minstd_rand random(seed);
    std::exponential_distribution<double> seconds(1 / mean_pause_seconds);
    while (!run.over()) {
        const std::size_t question = run.next_question();
        const auto asked_at = Clock::now();
        const int answer = co_await classifier.process(run.image(question));
        run.record(question, answer, asked_at);

        pause.expires_after(std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(seconds(random))));
        co_await pause.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> show_progress(const Load& load, const Run& run) {
    ProgressLine line(
        fmt::format("{}, {}", load.clients == 1 ? "a lone client" : "all clients", load.name));
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!run.over()) {
        line.show(run.progress());
        timer.expires_after(100ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

// An exception out of a coroutine comes out of the event loop, and so out of measure().
void rethrow(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

}  // namespace

double Measured::mean_batch_size() const {
    std::size_t batches = 0;
    std::size_t images = 0;
    for (std::size_t size = 0; size < batches_of_size.size(); ++size) {
        batches += batches_of_size[size];
        images += batches_of_size[size] * size;
    }
    return batches == 0 ? 0 : static_cast<double>(images) / static_cast<double>(batches);
}

Measured measure(const Load& load, const NearestNeighbour& model,
                 std::span<const Sample> questions) {
    std::vector<std::size_t> batches_of_size(load.options.max_batch_size + 1);
    Run run(load, questions);
    {
        // The batch function runs on the Batcher's own thread, the clients on the event loop here.
        Classifier classifier{[&](std::span<const Image> batch) {
                                  if (run.measured(Clock::now())) ++batches_of_size[batch.size()];
                                  return model.classify(batch);
                              },
                              load.options};
        asio::io_context event_loop;
        asio::co_spawn(event_loop, show_progress(load, run), rethrow);
        for (int i = 0; i < load.clients; ++i) {
            asio::co_spawn(event_loop, client(classifier, run, static_cast<unsigned>(i + 1)),
                           rethrow);
        }
        event_loop.run();
    }
    Measured result = run.result();
    result.batches_of_size = std::move(batches_of_size);
    return result;
}

}  // namespace digits
