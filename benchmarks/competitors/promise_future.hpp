// Written by hand: a mutex, a condition variable, and a promise and future for each call. One thread runs
// the batches; each caller is a thread that blocks.
#pragma once

#include <competitors/rules.hpp>
#include <condition_variable>
#include <cstddef>
#include <future>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

// --8<-- [start:hand]
class PromiseFuture {
    struct Request {
        int input;
        std::promise<int> result;
    };

public:
    explicit PromiseFuture(const Rules& rules) : rules_(rules), worker_([this] { work(); }) {}
    ~PromiseFuture() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        arrived_.notify_all();
        worker_.join();
    }

    int process(int x) {
        Request request{x, {}};
        auto result = request.result.get_future();
        {
            const std::lock_guard lock(mutex_);
            waiting_.push_back(std::move(request));
        }
        arrived_.notify_one();
        return result.get();
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            arrived_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            arrived_.wait_for(lock, rules_.batch_timeout, [this] {
                return closed_ || waiting_.size() >= rules_.max_batch_size;
            });
            std::vector<Request> batch = take();
            lock.unlock();
            run(batch);
            batch.clear();
            lock.lock();
        }
    }

    std::vector<Request> take() {
        std::vector<Request> batch;
        if (waiting_.size() <= rules_.max_batch_size) {
            batch.swap(waiting_);
        } else {
            const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(rules_.max_batch_size);
            batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
            waiting_.erase(waiting_.begin(), end);
        }
        return batch;
    }

    static void run(std::vector<Request>& batch) {
        std::vector<int> inputs;
        inputs.reserve(batch.size());
        for (const Request& request : batch) inputs.push_back(request.input);
        const std::vector<int> results = twice(inputs);
        for (std::size_t i = 0; i < batch.size(); ++i) batch[i].result.set_value(results[i]);
    }

    const Rules rules_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::vector<Request> waiting_;
    bool closed_ = false;
    std::thread worker_;
};
// --8<-- [end:hand]

}  // namespace bench
