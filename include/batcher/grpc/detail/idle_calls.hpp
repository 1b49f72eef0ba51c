// IdleCalls: the calls that wait for their client: to send the message, to take the reply, to stop watching.
//
// Such a call costs its client nothing, and the deployment its memory. Where others find no memory, those that
// have waited for longer than `patience` are given up, the longest first. So clients who neither send nor take
// cannot keep others out, and slow ones lose nothing as long as there is memory for all.
#pragma once

#include <chrono>
#include <list>
#include <mutex>

namespace batching::grpc::detail {

class IdleCall {
public:
    IdleCall() = default;
    IdleCall(const IdleCall&) = delete;
    IdleCall& operator=(const IdleCall&) = delete;

    // Give back the memory, and end. It does not end inside this.
    virtual void give_up() = 0;

protected:
    ~IdleCall() = default;

private:
    friend class IdleCalls;
    using Calls = std::list<IdleCall*>;

    Calls outside_{this};  // its node, while it is not in the list
    Calls::iterator place_ = outside_.begin();
    std::chrono::steady_clock::time_point since_;
};

// Thread-safe; every operation is O(1).
class IdleCalls {
public:
    using Clock = std::chrono::steady_clock;

    explicit IdleCalls(Clock::duration patience) : patience_(patience) {}

    // A call is idle from now on, whether it was before or not.
    void add(IdleCall& call, Clock::time_point now = Clock::now()) {
        const std::lock_guard lock(mutex_);
        call.since_ = now;
        calls_.splice(calls_.end(), call.outside_.empty() ? calls_ : call.outside_, call.place_);
    }
    // It is not idle any more; false if it was not, or was given up.
    bool remove(IdleCall& call) {
        const std::lock_guard lock(mutex_);
        if (!call.outside_.empty()) return false;
        take_out(call);
        return true;
    }
    // False if there is none that has been idle for so long.
    bool give_up_longest(Clock::time_point now = Clock::now()) {
        const std::lock_guard lock(mutex_);
        if (calls_.empty() || now - calls_.front()->since_ < patience_) return false;
        IdleCall& call = *calls_.front();
        take_out(call);
        call.give_up();  // with the lock held: its end waits for that
        return true;
    }

private:
    void take_out(IdleCall& call) {
        call.outside_.splice(call.outside_.end(), calls_, call.place_);
    }

    const Clock::duration patience_;
    std::mutex mutex_;
    IdleCall::Calls calls_;
};

}  // namespace batching::grpc::detail
