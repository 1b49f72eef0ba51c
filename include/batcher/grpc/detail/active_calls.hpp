// ActiveCalls: the calls that a deployment has accepted and not yet answered, for the sake of its end.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <vector>

namespace batching::grpc::detail {

class ActiveCall {
public:
    ActiveCall() = default;
    ActiveCall(const ActiveCall&) = delete;
    ActiveCall& operator=(const ActiveCall&) = delete;

    // Answer now, whatever is missing. Any thread.
    virtual void give_up() = 0;

protected:
    ~ActiveCall() = default;

private:
    friend class ActiveCalls;
    std::list<ActiveCall*>::iterator place_;
};

class ActiveCalls {
public:
    void add(ActiveCall& call) {
        const std::lock_guard lock(mutex_);
        call.place_ = calls_.insert(calls_.end(), &call);
    }
    void remove(ActiveCall& call) {
        const std::lock_guard lock(mutex_);
        calls_.erase(call.place_);
        std::replace(told_.begin(), told_.end(), &call, static_cast<ActiveCall*>(nullptr));
        if (calls_.empty()) none_.notify_all();
    }

    // False if there are still some at `end`.
    bool wait_until_none(std::chrono::system_clock::time_point end) {
        std::unique_lock lock(mutex_);
        return none_.wait_until(lock, end, [this] { return calls_.empty(); });
    }

    void give_up_all() {
        // A call that ends on another thread waits for the lock; those that do on this thread are taken out.
        const std::lock_guard lock(mutex_);
        told_.assign(calls_.begin(), calls_.end());
        for (std::size_t i = 0; i < told_.size(); ++i) {
            if (ActiveCall* const call = told_[i]) call->give_up();
        }
        told_.clear();
    }

private:
    std::recursive_mutex mutex_;
    std::condition_variable_any none_;
    std::list<ActiveCall*> calls_;
    std::vector<ActiveCall*> told_;  // while all are given up
};

}  // namespace batching::grpc::detail
