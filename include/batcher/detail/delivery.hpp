// Delivery: waiters whose results are decided, on their way back; HandBack: the task that resumes them.
//
// The callers of a batch that share an executor are resumed by one posted task. Those who want the
// executor that the batch function ran on are resumed where it returned, without another post; if it ran
// elsewhere, by a task as well.
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

// How far the batch that a delivery is for has come. Deliveries without a batch are settled when made.
enum class Phase : std::uint8_t {
    formed,   // its items are chosen, and waiting: it can be put back until it runs
    loading,  // the values of its items are being moved out, without a lock: nobody may leave it
    running,  // the batch function is called
    settled  // the results or errors of those in it are decided and on their way to their executors
};

class Delivery {
public:
    struct Group {
        Home home;  // a copy, as the waiter that brought it may go
        WaiterList<Waiter> waiters;
    };

    explicit Delivery(Phase p) noexcept : phase(p) {}
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;

    // Under the engine's lock if the waiter was ever handed in.
    void add(Waiter& waiter) {
        carry(waiter);
        ++size;
        list_for(waiter.home).push_back(waiter);
    }

    // Waiters that are marked by carry() already; `mixed`: not all of them have the same home. Neighbours
    // that go home together move together.
    template <class T>
    void add_carried(WaiterList<T>& waiters, bool mixed) {
        while (!waiters.empty()) {
            T& first = waiters.front();
            T* last = &waiters.back();
            if (mixed) last = last_of_neighbours(waiters, first);
            list_for(first.home).splice(first, *last);
        }
    }
    void carry(Waiter& waiter) noexcept {
        waiter.life(Life::carried);
        waiter.carrier = this;
    }

    // Calls `visit` with each list of waiters.
    template <class Visit>
    void for_each_list(Visit visit) {
        visit(direct);
        visit(here.waiters);
        for (auto& group : elsewhere) visit(group.waiters);
    }

    // Its results are decided: from now on `engine` has those that go elsewhere to send.
    void settle(EngineBase& engine) noexcept {
        phase = Phase::settled;
        elsewhere.remove_if([](const Group& group) { return group.waiters.empty(); });
        for (std::size_t n = elsewhere.size(); n > 0; --n) engine.sending();
    }

    Phase phase;
    std::size_t size = 0;       // waiters in it
    WaiterList<Waiter> direct;  // to be resumed on any thread
    Group here;                 // on the Batcher's own executor (not named in the group)
    std::list<Group> elsewhere;

protected:
    ~Delivery() = default;

private:
    template <class T>
    static T* last_of_neighbours(const WaiterList<T>& waiters, T& first) noexcept {
        T* last = &first;
        T* next = waiters.after(first);
        for (; next != nullptr && next->home == first.home; next = waiters.after(*next))
            last = next;
        return last;
    }

    WaiterList<Waiter>& list_for(const Home* home) {
        if (home == nullptr) return here.waiters;
        if (home == &anywhere) return direct;
        // The latest groups first. After 16 it is cheaper to post once more than to go on comparing.
        std::size_t compared = 0;
        for (auto group = elsewhere.rbegin(); group != elsewhere.rend() && compared < 16; ++group) {
            if (same_home(&group->home, home)) return group->waiters;
            ++compared;
        }
        elsewhere.emplace_back().home = *home;
        return elsewhere.back().waiters;
    }
};

// Waiters that need nothing but to be resumed.
struct PlainDelivery final : Delivery {
    PlainDelivery() noexcept : Delivery(Phase::settled) {}
};

// Waiters that find their results in the outcome of a batch.
template <class Out>
struct BatchDelivery final : Delivery {
    explicit BatchDelivery(Phase p) noexcept : Delivery(p) {}
    explicit BatchDelivery(Outcome<Out> o) : Delivery(Phase::settled), outcome(std::move(o)) {}
    Outcome<Out> outcome;
    std::uint64_t number = 0;  // of the batch, in the order of formation
};

// Those in frames are told under the lock, as their owners may destroy them at any time; the others own
// handlers, whose destructors are user code.
inline void abandon_all(EngineBase& engine, WaiterList<Waiter>& waiters) noexcept {
    for (std::unique_lock lock(engine.mutex()); Waiter* waiter = waiters.pop_front();) {
        waiter->life(Life::done);
        const Kind& kind = *waiter->kind;
        if (kind.in_frame) {
            kind.abandon(*waiter);
        } else {
            lock.unlock();
            kind.abandon(*waiter);
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
        auto& waiters = group_->waiters;
        const Burst burst(waiters);
        try {
            while (Waiter* waiter = waiters.pop_front()) waiter->hand_back();
        } catch (...) {
            if (!waiters.empty()) {
                const bool here = group_ == &delivery->here;
                asio::post(here ? engine->executor() : waiters.front().home->executor,
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
        // Exchanged, as its context may be gone after sent(), while the delivery lives on for others.
        asio::post(std::exchange(group.home.executor, asio::any_io_executor()),
                   HandBack(engine, delivery, group));
        engine->sent();
    }
    while (Waiter* waiter = delivery->direct.pop_front()) waiter->hand_back();
}

// Sends off those who are resumed `here`, from a thread that is not the executor's.
inline void send_here(const std::shared_ptr<EngineBase>& engine,
                      const std::shared_ptr<Delivery>& delivery) {
    HandBack task(engine, delivery, delivery->here);
    if (engine->executor()) asio::post(engine->executor(), std::move(task));
}

// Sends off everybody, from any thread.
inline void send(const std::shared_ptr<EngineBase>& engine,
                 const std::shared_ptr<Delivery>& delivery) {
    send_elsewhere(engine, delivery);
    if (!delivery->here.waiters.empty()) send_here(engine, delivery);
}

}  // namespace batching::detail
