// Delivery: waiters whose results are decided, on their way back; HandBack: the task that resumes them.
//
// The callers of a batch that share an executor are resumed by one posted task. Those who want the
// executor that the batch function ran on are resumed where it returned, without another post.
#pragma once

#include <batcher/detail/burst_clock.hpp>
#include <batcher/detail/engine_base.hpp>
#include <batcher/detail/outcome.hpp>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace batching::detail {

class Delivery {
public:
    struct Group {
        asio::any_io_executor executor;
        WaiterList<Waiter> waiters;
    };

    explicit Delivery(EngineBase& engine) noexcept : engine_(engine) {}
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;

    // The waiter's result is decided. Under the engine's lock if the waiter was ever handed in.
    void add(Waiter& waiter) {
        waiter.life(Life::settled);
        waiter.carrier = this;
        list_for(waiter).push_back(waiter);
    }

    WaiterList<Waiter> direct;  // to be resumed on any thread
    Group here;                 // on the Batcher's own executor (not named in the group)
    std::list<Group> elsewhere;

protected:
    ~Delivery() = default;

private:
    WaiterList<Waiter>& list_for(const Waiter& waiter) {
        if (waiter.direct) return direct;
        if (waiter.home == nullptr) return here.waiters;
        // The latest groups first. After 16 it is cheaper to post once more than to go on comparing.
        std::size_t compared = 0;
        for (auto group = elsewhere.rbegin(); group != elsewhere.rend() && compared < 16; ++group) {
            if (group->executor == *waiter.home) return group->waiters;
            ++compared;
        }
        elsewhere.emplace_back().executor = *waiter.home;
        engine_.sending();
        return elsewhere.back().waiters;
    }

    EngineBase& engine_;
};

// Waiters that need nothing but to be resumed.
struct PlainDelivery final : Delivery {
    using Delivery::Delivery;
};

// Waiters that find their results in the outcome of a batch.
template <class Out>
struct BatchDelivery final : Delivery {
    BatchDelivery(EngineBase& engine, Outcome<Out> o) : Delivery(engine), outcome(std::move(o)) {}
    Outcome<Out> outcome;
};

// Those in frames are told under the lock, as their owners may destroy them at any time; the others own
// handlers, whose destructors are user code.
inline void abandon_all(EngineBase& engine, WaiterList<Waiter>& waiters) noexcept {
    for (std::unique_lock lock(engine.mutex()); Waiter* waiter = waiters.pop_front();) {
        waiter->life(Life::done);
        if (waiter->in_frame) {
            waiter->abandon();
        } else {
            lock.unlock();
            waiter->abandon();
            lock.lock();
        }
    }
}

// Resumes one group, on its executor. It takes no lock: who destroys a suspended caller does so on the
// caller's executor, or otherwise ordered with it, as he could not know else that it is still suspended.
//
// An exception out of a resumed caller goes to the executor, as from any handler; the others of the
// group are posted again. If it is destroyed uncalled, they are abandoned.
class HandBack {
public:
    HandBack(std::shared_ptr<EngineBase> engine, std::shared_ptr<Delivery> delivery,
             Delivery::Group& group) noexcept
        : engine_(std::move(engine)), delivery_(std::move(delivery)), group_(&group) {}
    HandBack(HandBack&&) noexcept = default;
    HandBack& operator=(HandBack&&) = delete;
    ~HandBack() {
        if (!delivery_) return;
        abandon_all(*engine_, group_->waiters);
        engine_->rest();
    }

    void operator()() {
        const auto engine = std::move(engine_);
        const auto delivery = std::move(delivery_);
        struct Rest {
            EngineBase& engine;
            ~Rest() { engine.rest(); }
        } const rest{*engine};
        resume_all(engine, delivery);
    }

private:
    void resume_all(const std::shared_ptr<EngineBase>& engine,
                    const std::shared_ptr<Delivery>& delivery) {
        const Burst burst;
        auto& waiters = group_->waiters;
        try {
            while (Waiter* waiter = waiters.pop_front()) {
                waiter->life(Life::done);
                Burst::more_to_come(!waiters.empty());
                waiter->resume();
            }
        } catch (...) {
            if (!waiters.empty()) {
                const bool here = group_ == &delivery->here;
                asio::post(here ? engine->executor() : *waiters.front().home,
                           HandBack(engine, delivery, *group_));
            }
            throw;
        }
    }

    std::shared_ptr<EngineBase> engine_;
    std::shared_ptr<Delivery> delivery_;
    Delivery::Group* group_;
};

// Sends off everybody but those who are resumed `here`.
inline void send_elsewhere(const std::shared_ptr<EngineBase>& engine,
                           const std::shared_ptr<Delivery>& delivery) {
    for (auto& group : delivery->elsewhere) {
        // Exchanged, as it may count as outstanding work, and the delivery lives on for other groups.
        asio::post(std::exchange(group.executor, asio::any_io_executor()),
                   HandBack(engine, delivery, group));
        engine->sent();
    }
    while (Waiter* waiter = delivery->direct.pop_front()) {
        waiter->life(Life::done);
        waiter->resume();
    }
}

// Sends off everybody, from any thread.
inline void send(const std::shared_ptr<EngineBase>& engine,
                 const std::shared_ptr<Delivery>& delivery) {
    send_elsewhere(engine, delivery);
    if (delivery->here.waiters.empty()) return;
    HandBack task(engine, delivery, delivery->here);
    if (engine->executor()) asio::post(engine->executor(), std::move(task));
}

}  // namespace batching::detail
