// Decoders: threads that read large requests, in turns, so that those which serve the connections never
// do: whoever is busy with a message neither reads others nor answers pings.
#pragma once

#include <algorithm>
#include <batcher/grpc/detail/incoming_call.hpp>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

class Decoders {
public:
    // Does a part of what a call needs; true if it was the last.
    using Step = std::function<bool(IncomingCall&)>;

    explicit Decoders(Step step) : step_(std::move(step)) {}
    Decoders(const Decoders&) = delete;
    Decoders& operator=(const Decoders&) = delete;
    ~Decoders() { stop(); }

    // One for four processors.
    void start() {
        const unsigned count = std::clamp(std::thread::hardware_concurrency() / 4, 1U, 8U);
        for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
    }

    // To be called when no call is left.
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }

    // Throws std::bad_alloc.
    void add(IncomingCall& call) {
        Calls added{&call};
        {
            const std::lock_guard lock(mutex_);
            calls_.splice(calls_.end(), added);
        }
        changed_.notify_one();
    }

private:
    using Calls = std::list<IncomingCall*>;

    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return stopping_ || !calls_.empty(); });
            if (calls_.empty()) return;
            Calls taken;
            taken.splice(taken.end(), calls_, calls_.begin());
            lock.unlock();
            const bool last = step_(*taken.front());
            lock.lock();
            if (!last) calls_.splice(calls_.end(), taken);  // the others first
        }
    }

    const Step step_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Calls calls_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace batching::grpc::detail
