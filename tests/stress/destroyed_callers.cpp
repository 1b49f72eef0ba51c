// Suspended callers of process(), process_many() and drain() that are destroyed on the thread of the executor
// they resume on, before they are resumed, in between and afterwards, while other threads call flush(),
// cancel(), stats(), close(), process() and signals of cancellation slots; and while one of them destroys
// the Batcher. Who is not destroyed completes exactly once.

#include "support.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace stress;

struct Totals {
    std::atomic<std::uint64_t> values{0}, aborted{0}, closed{0}, destroyed{0};
} totals;

template <class T>
T item(int i) {
    if constexpr (std::same_as<T, int>) {
        return i;
    } else {
        return "an item that is not trivially copied " + std::to_string(i);
    }
}

template <class T>
std::vector<T> echo(std::vector<T> batch) {
    pause(40);
    return batch;
}

void count_end(const std::exception_ptr& error, bool right) {
    if (!error) {
        check(right, "a caller gets the result of its own item");
        ++totals.values;
    } else if (is_aborted(error)) {
        ++totals.aborted;
    } else {
        check(is(error, batching::errc::closed), "a call completes, is cancelled or is refused");
        ++totals.closed;
    }
}

// ---- those who are destroyed: all on one thread ------------------------------------------------------

struct Suspended {
    bool over = false;
    Frame frame;
};

template <class T>
Frame await_one(batching::Batcher<T, T>& batcher, int i, Suspended& self, asio::io_context& home) {
    std::exception_ptr error;
    bool right = false;
    try {
        auto operation = batcher.process(item<T>(i));
        const T result = co_await std::move(operation).resume_on(home.get_executor());
        right = result == item<T>(i);
    } catch (...) {
        error = std::current_exception();
    }
    self.over = true;
    count_end(error, right);
}

template <class T>
Frame await_many(batching::Batcher<T, T>& batcher, int i, Suspended& self, asio::io_context& home) {
    std::exception_ptr error;
    bool right = false;
    std::vector<T> items{item<T>(i), item<T>(i + 1), item<T>(i + 2)};
    const std::vector<T> expected = items;
    try {
        auto operation = batcher.process_many(std::move(items));
        const std::vector<T> results = co_await std::move(operation).resume_on(home.get_executor());
        right = results == expected;
    } catch (...) {
        error = std::current_exception();
    }
    self.over = true;
    count_end(error, right);
}

template <class T>
Frame await_drain(batching::Batcher<T, T>& batcher, Suspended& self, asio::io_context& home) {
    std::exception_ptr error;
    try {
        auto operation = batcher.drain();
        co_await std::move(operation).resume_on(home.get_executor());
    } catch (...) {
        error = std::current_exception();
    }
    self.over = true;
    count_end(error, true);
}

// Their owner: starts them, polls their executor now and then, and destroys them, whatever they wait for.
template <class T>
class Owner {
public:
    void start(batching::Batcher<T, T>& batcher, bool drain) {
        const int i = static_cast<int>(below(1000));
        Suspended& self = all_.emplace_back();
        self.frame = drain           ? await_drain(batcher, self, home_)
                     : below(4) == 0 ? await_many(batcher, i, self, home_)
                                     : await_one(batcher, i, self, home_);
    }
    asio::io_context& home() { return home_; }
    void poll() {
        home_.restart();
        home_.poll();
    }
    void destroy_some() {
        while (all_.size() > below(12)) destroy(below(2) == 0);
    }
    void destroy_all() {
        while (!all_.empty()) destroy(true);
        poll();  // nobody is left to be resumed
    }

private:
    void destroy(bool oldest) {
        totals.destroyed += (oldest ? all_.front() : all_.back()).over ? 0 : 1;
        oldest ? all_.pop_front() : all_.pop_back();
    }

    asio::io_context home_{1};
    std::deque<Suspended> all_;
};

// ---- the others: each has a thread, and a context that is polled there --------------------------------

template <class T>
class Meddler {
public:
    explicit Meddler(batching::Batcher<T, T>& batcher) : batcher_(&batcher) {}

    void step() {
        switch (below(8)) {
            case 0:
                batcher_->flush();
                break;
            case 1:
            case 2:
                batcher_->cancel();
                break;
            case 3:
                check_sum(batcher_->stats());
                break;
            case 4:
                if (!calls_.empty()) calls_[below(calls_.size())].signal.emit(some_type());
                break;
            case 5:
                if (!calls_.empty()) calls_.back().signal.emit(some_type());
                break;
            default:
                if (open_ < 20) call();
        }
        poll();
        pause(10);
    }
    void poll() {
        home_.restart();
        home_.poll();
        while (!calls_.empty() && calls_.front().over) calls_.pop_front();
    }
    bool has_open_calls() const { return open_ > 0; }

private:
    struct Call {
        asio::cancellation_signal signal;
        bool over = false;
    };

    static asio::cancellation_type some_type() {
        const asio::cancellation_type types[] = {asio::cancellation_type::total,
                                                 asio::cancellation_type::partial,
                                                 asio::cancellation_type::terminal};
        return types[below(3)];
    }
    void call() {
        const int i = static_cast<int>(below(1000));
        Call& call = calls_.emplace_back();
        ++open_;
        batcher_->async_process(
            item<T>(i), asio::bind_cancellation_slot(
                            call.signal.slot(),
                            asio::bind_executor(
                                home_, [this, &call, i](const std::exception_ptr& error, T result) {
                                    check(!call.over, "a call completes once");
                                    call.over = true;
                                    --open_;
                                    count_end(error, result == item<T>(i));
                                })));
    }

    batching::Batcher<T, T>* batcher_;
    asio::io_context home_{1};
    std::deque<Call> calls_;
    int open_ = 0;
};

template <class T, class Make>
void round(Make make) {
    Owner<T> owner;
    std::unique_ptr<batching::Batcher<T, T>> batcher = make(owner.home());
    enum class Stage { open, closing, over };
    std::atomic<Stage> stage{Stage::open};
    std::atomic<int> meddling{0};
    std::atomic<int> running{0};
    std::promise<void> goes;  // the Batcher does
    std::shared_future<void> going = goes.get_future().share();
    const std::size_t how_many = 1 + below(2);
    std::vector<std::thread> threads;
    for (std::size_t n = 0; n < how_many; ++n) {
        ++meddling;
        ++running;
        threads.emplace_back([&, n] {
            Meddler<T> meddler(*batcher);
            while (stage == Stage::open) meddler.step();
            for (int i = 0; i < 10; ++i) meddler.step();
            if (n == 0) batcher->close();
            while (stage == Stage::closing) meddler.step();
            --meddling;
            // The first of them destroys it while the owner destroys those who still wait.
            going.wait();
            if (n == 0) batcher.reset();
            const auto limit = Clock::now() + 20s;
            while (meddler.has_open_calls() && Clock::now() < limit) meddler.poll();
            check(!meddler.has_open_calls(), "every call completes");
            if (meddler.has_open_calls()) std::_Exit(result());
            --running;
        });
    }
    for (int i = 0; i < 60; ++i) {
        for (std::size_t n = below(6); n > 0; --n) owner.start(*batcher, false);
        pause(50);
        if (below(2) == 0) owner.poll();
        owner.destroy_some();
    }
    stage = Stage::closing;
    for (int i = 0; i < 10; ++i) {
        for (std::size_t n = below(6); n > 0; --n) owner.start(*batcher, below(2) == 0);
        pause(50);
        if (below(2) == 0) owner.poll();
        owner.destroy_some();
    }
    for (std::size_t n = below(10); n > 0; --n) owner.start(*batcher, below(4) == 0);
    stage = Stage::over;
    while (meddling > 0) std::this_thread::yield();
    goes.set_value();
    pause(30);
    if (below(2) == 0) owner.poll();
    owner.destroy_all();
    // The calls of the others may need this executor.
    while (running > 0) owner.poll();
    for (auto& thread : threads) thread.join();
    owner.destroy_all();
}

template <class T>
void round_of_some_kind(asio::thread_pool& pool) {
    using Batcher = batching::Batcher<T, T>;
    const batching::Options options{
        .max_batch_size = 1 + below(6),
        .batch_timeout = below(4) == 0
                             ? batching::no_timeout
                             : std::chrono::nanoseconds(std::chrono::microseconds(below(200))),
        .max_concurrent_batches = 1 + below(2)};
    // On workers of its own, on a pool, or where those who are destroyed resume.
    const std::size_t kind = below(3);
    round<T>([&](asio::io_context& home) {
        return kind == 0   ? std::make_unique<Batcher>(echo<T>, options)
               : kind == 1 ? std::make_unique<Batcher>(pool, echo<T>, options)
                           : std::make_unique<Batcher>(home, echo<T>, options);
    });
}

// ---- one that waits for the last of its items, while the others come back on two threads ---------------

Frame await_never(batching::Batcher<int, int>& batcher, asio::any_io_executor executor) {
    co_await batcher.process_many(std::vector<int>(9)).resume_on(executor);
    check(false, "who is destroyed is not resumed");
}

void destroyed_while_its_results_come(asio::thread_pool& pool) {
    batching::Batcher<int, int> batcher(
        echo<int>, {.max_batch_size = 8, .batch_timeout = batching::no_timeout});
    Frame frame = await_never(batcher, pool.get_executor());
    pause(50);
    std::promise<void> destroyed;
    asio::post(pool, [&] {
        frame = Frame();
        destroyed.set_value();
    });
    destroyed.get_future().wait();
    ++totals.destroyed;
}

}  // namespace

int main() {
    const Watchdog watchdog(60s);
    asio::thread_pool pool(2);
    const auto end = Clock::now() + duration();
    std::uint64_t rounds = 0;
    while (Clock::now() < end) {
        if (++rounds % 2 == 0) {
            round_of_some_kind<int>(pool);
        } else {
            round_of_some_kind<std::string>(pool);
        }
        destroyed_while_its_results_come(pool);
    }
    pool.join();
    fmt::print("{} rounds: {} values, {} aborted, {} refused, {} destroyed\n", rounds,
               totals.values.load(), totals.aborted.load(), totals.closed.load(),
               totals.destroyed.load());
    return result();
}
