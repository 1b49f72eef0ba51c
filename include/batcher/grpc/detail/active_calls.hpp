// ActiveCalls: the calls that a deployment has accepted and not yet answered, for the sake of its end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

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
        if (calls_.empty()) none_.notify_all();
    }

    // False if there are still some at `end`.
    bool wait_until_none(std::chrono::system_clock::time_point end) {
        std::unique_lock lock(mutex_);
        return none_.wait_until(lock, end, [this] { return calls_.empty(); });
    }

    // Calls that end wait for the lock, on other threads: none ends inside give_up().
    void give_up_all() {
        const std::lock_guard lock(mutex_);
        for (ActiveCall* const call : calls_) call->give_up();
    }

private:
    std::mutex mutex_;
    std::condition_variable none_;
    std::list<ActiveCall*> calls_;
};

}  // namespace batching::grpc::detail
