// What an event costs a Machine that has a target, or calls with deadlines: the same, however many calls wait.
#include <batcher/detail/core/machine.hpp>
#include <chrono>
#include <cstddef>
#include <deque>

#include "../sanitized.hpp"
#include "driven_machine.hpp"

namespace target_events_test {

using namespace core_test;

constexpr int waiting = sanitized ? 20'000 : 100'000;
// Of 10 calls that come and 10 that leave: a million events.
constexpr int rounds = sanitized ? 2'000 : 50'000;

struct TermsCall final : batching::detail::ItemCall {
    void resume() {}
    void abandon() noexcept {}

    batching::detail::Deadline until;
};

// A machine, its calls, and how many of each size of batch have run.
class Fixture {
public:
    explicit Fixture(Time timeout) : timeout_(timeout), machine_(rules(), batches_) {}

    void come(int calls) {
        while (calls-- > 0) machine_.arrived_with_terms(next_call());
    }
    // What waits first leaves in a batch, which runs for a while.
    void run_batch() {
        machine_.decide(now_, true);
        Batch* const batch = machine_.take_actions().start.pop();
        REQUIRE(batch != nullptr);
        REQUIRE(machine_.ready(*batch, now_));
        REQUIRE(batch->items == 10);
        batch->phase = BatchPhase::running;
        machine_.loaded(*batch);
        now_ += 1ms;
        machine_.returned(*batch);
        machine_.completed(*batch, 0, now_);
        while (Call* const call = batch->calls.pop_front()) {
            in_turn_ = in_turn_ && &calls_[served_++ % calls_.size()] == call;
        }
        machine_.recycled(*batch);
    }
    batching::Stats stats() const { return stats_of(machine_); }
    bool in_turn() const { return in_turn_; }

private:
    static Rules rules() {
        return {.max_batch_size = 10,
                .batch_timeout = 0ns,
                .max_concurrent_batches = 1,
                .latency_target = 25ms};
    }

    // In turn, as they leave: each is used again when it has left.
    TermsCall& next_call() {
        TermsCall& call = calls_[came_++ % calls_.size()];
        call.ops = &batching::detail::call_ops<TermsCall, false>;
        call.plain = false;
        call.priority = call.lane = batching::Priority::normal;
        call.weight = 0;
        call.in_place = call.traced = false;
        call.group = nullptr;
        call.queued_at = now_;
        call.state(CallState::created);
        call.state(CallState::queued);
        // Each another.
        const Time more(came_ * 7'919 % 1'000'003);
        call.until.at = Rules::after(Rules::after(now_, timeout_), more);
        call.until.call = &call;
        call.deadline = timeout_ == Rules::never ? nullptr : &call.until;
        return call;
    }

    const Time timeout_;
    std::deque<TermsCall> calls_ = std::deque<TermsCall>(waiting + 20);
    std::size_t came_ = 0;
    std::size_t served_ = 0;
    bool in_turn_ = true;
    PlainBatches batches_;
    Machine machine_;
    Time now_{1h};
};

// (What looked through those that wait, at each event, would take an hour.)
TEST_CASE("a million events with 100,000 waiting: none looks through them", "[machine]") {
    const auto hours = GENERATE(0, 24);  // of timeout; 0: none
    Fixture f(hours == 0 ? Rules::never : Time(std::chrono::hours(hours)));
    f.come(waiting);
    for (int i = 0; i < rounds; ++i) {
        f.come(10);
        f.run_batch();
    }
    CHECK(f.in_turn());
    CHECK(f.stats().waiting == waiting);
    CHECK(f.stats().completed == 10 * rounds);
    CHECK(f.stats().target_batch_size != 0);
}

}  // namespace target_events_test
