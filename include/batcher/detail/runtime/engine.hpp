// Engine: what drives the Machine. It owns the lock, the intake, the timer and the executor, tells the
// machine what happens, and carries out what the machine answers.
//
//     caller            push() -> intake                        one compare-and-swap; few go to submit()
//     submit, timer..   event -> machine -> decide -> post run(), set the timer
//     executor          run(): form a batch, load its items, call the batch function
//                       complete(): free the slot, start the next batch, then resume the callers
//
// The lock is held for bookkeeping only: the batch function, the constructors of items and the callers run
// without it. All members may be called from any thread at the same time.
#pragma once

#include <algorithm>
#include <atomic>
#include <batcher/call_options.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/runtime/appraiser.hpp>
#include <batcher/detail/runtime/completion.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/runtime/errors.hpp>
#include <batcher/detail/runtime/intake.hpp>
#include <batcher/detail/runtime/living.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/detail/runtime/timer.hpp>
#include <batcher/detail/runtime/tracing.hpp>
#include <batcher/detail/waking.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batching::detail {

class Engine : public Living, public std::enable_shared_from_this<Engine> {
public:
    using Lock = std::unique_lock<std::mutex>;

    enum class Where : std::uint8_t { on_executor, elsewhere };

    // On `executor`. `context_owner` keeps the context of owned workers alive; else it is null.
    static std::shared_ptr<Engine> make(const asio::any_io_executor& executor,
                                        const Options& options, std::unique_ptr<Runner> runner,
                                        std::unique_ptr<Timer> timer,
                                        std::shared_ptr<void> context_owner,
                                        std::unique_ptr<Appraiser> appraiser = nullptr);
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    ~Engine();

    // The Batcher's executor; empty once its context has gone.
    const asio::any_io_executor& executor() const noexcept { return own_->executor(); }
    const std::shared_ptr<CompletionExecutor>& own_executor() const noexcept { return own_; }

    // Where callers that want `executor` resume; null: the Batcher's own. Those of an io_context are
    // remembered; any other is new, and `kept` for as long as the caller waits. Throws std::bad_alloc.
    CompletionExecutor* find(const CompletionExecutor::PlainExecutor& executor);
    CompletionExecutor* find(const asio::any_io_executor& executor,
                             std::shared_ptr<CompletionExecutor>& kept);

    const Runner& runner() const noexcept { return *runner_; }

    // How much too old the time of a call may be (burst_clock.hpp): a twentieth of batch_timeout, or of latency_target,
    // that the Batcher was made with; but 5 us if that is less, and 50 us at most.
    Time time_tolerance() const noexcept { return time_tolerance_; }

    // ---- callers ----------------------------------------------------------------------------------------

    // Hands a call in; false if submit() has to. The call and this engine may be gone when it returns true.
    bool push(Call& call) noexcept { return plain_intake_.push(call, call, 1); }
    // The same where there are rules, or of one that has terms; without a deadline, and with one.
    bool push_with_terms(Call& call) noexcept {
        return has_rules() ? intake_with_rules_.push(call, call, units_.of(call.weight))
                           : push(call);
    }
    bool push_with_deadline(ItemCall& call) noexcept;

    // Hands `count` calls in, linked by `next` from the newest to the oldest: the oldest of them, as many as are
    // accepted. The others are handed back with an error. All may be gone when this returns.
    void submit(Call& newest, Call& oldest, std::size_t count, Accept accept);
    // The same where there are rules, or of calls that have terms: a chain that ends with null.
    void submit_with_terms(ItemCall& newest, std::size_t count, Accept accept);

    // Whether there are rules for items, and whether they give all calls terms. (A weight is none.)
    bool has_rules() const noexcept { return has_rules_; }
    bool rules_give_terms() const noexcept { return rules_give_terms_; }
    std::size_t max_batch_size() const noexcept { return max_batch_size_; }
    // Gives a call terms: what it asks for. `deadline` is where that may stand.
    void give_terms(ItemCall& call, const CallOptions& options, Deadline* deadline) noexcept;
    // Adds what the rules say of its item. Throws what they throw; then it is to be refused. Precondition: there are rules.
    void appraise(ItemCall& call) { appraiser_->appraise(call, weight_limits_); }
    const Tracing& tracing() const noexcept { return tracing_; }

    // Hands a call that was not accepted back.
    void refuse(Call& call, const std::exception_ptr& error) noexcept;
    // The same, and counts it as rejected.
    void reject(Call& call, const std::exception_ptr& error) noexcept;

    // The owner of a call destroys it: afterwards nobody refers to it.
    void withdraw(Call& call) noexcept;

    // For changes by who has to look at calls first: locked, and up to date; then settle().
    Lock lock() {
        Lock lock(mutex_);
        collect();
        return lock;
    }
    // The same, once `loading` returns no batch that is moving its items.
    template <class Loading>
    Lock lock_loaded(Loading loading) {
        for (;;) {
            Lock lock = this->lock();
            Batch* const batch = loading();
            if (batch == nullptr) return lock;
            lock.unlock();
            wait_while(batch->phase, BatchPhase::loading);
        }
    }
    Machine& machine() noexcept { return machine_; }
    std::mutex& mutex() noexcept { return mutex_; }

    // One event: the lock, the change, and what follows from it.
    template <class Change>
    void change(Change change) noexcept {
        Lock lock = this->lock();
        change();
        settle(std::move(lock));
    }
    // Unlocks, and does what follows from the changes made.
    void settle(Lock lock) noexcept;

    // ---- life -------------------------------------------------------------------------------------------

    void flush() noexcept;
    void close() noexcept;
    void drain(Call& call) noexcept;
    // All that wait fail with operation_aborted.
    void cancel() noexcept;
    // close() and cancel() in one step.
    void shut_down() noexcept;
    Stats stats();
    bool idle() noexcept;
    // Other options, for what comes next. Throws std::invalid_argument, or std::bad_alloc; then nothing has changed.
    void reconfigure(Options options);
    void context_gone(const ContextState& context) noexcept;

    // ---- batches ----------------------------------------------------------------------------------------

    void run(Batch& batch, Where where);
    void complete(Batch& batch, Where where);
    void on_timer(Time at);
    void hand_back(Batch& batch, Group& group);

private:
    Engine(const Options& options, std::unique_ptr<Runner> runner, std::unique_ptr<Timer> timer,
           std::shared_ptr<void> context_owner, std::unique_ptr<Appraiser> appraiser);
    Rules rules_of(const Options& options) const;

    // ---- under the lock ---------------------------------------------------------------------------------

    // The arrivals, in their order, from the intake to the machine; and the batches that are not needed.
    void collect() noexcept;
    Actions pump(Time now) noexcept;
    // Lets go of the timer where nothing will need it: once closed, only deadlines wait for time to pass.
    void rest() noexcept;

    void reconfigure_machine(const Options& options);

    // ---- without it -------------------------------------------------------------------------------------

    void carry_out(Actions& actions);
    void post_starts(Actions& actions);
    bool load(Batch& batch) noexcept;
    void sent() noexcept;
    void report(const Batch& batch, std::size_t failed, Time now) noexcept;
    void send_groups(Batch& batch, const Group* but = nullptr);
    void send_group(Batch& batch, Group& group);
    CompletionExecutor* look_up(const CompletionExecutor::PlainExecutor& executor);
    void release(Batch& batch) noexcept {
        if (batch.users.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle(batch);
    }
    void recycle(Batch& batch) noexcept;
    void abandon(CallList& calls) noexcept;

    const Time time_tolerance_;
    const std::shared_ptr<void> context_owner_;
    const std::unique_ptr<Runner> runner_;
    const std::unique_ptr<Timer> timer_;
    const std::unique_ptr<Appraiser> appraiser_;
    const Tracing tracing_;
    const bool has_rules_;
    const bool observed_;
    std::shared_ptr<CompletionExecutor> own_;

    inline static constinit thread_local unsigned nested_runs = 0;  // of run(), on this thread

    // Where there are rules the first refuses all, so that plain calls need not ask, and those with terms have another.
    Intake plain_intake_;
    Intake intake_with_rules_;
    Intake& intake() noexcept { return has_rules() ? intake_with_rules_ : plain_intake_; }
    std::atomic<bool> with_terms_{false};        // some calls have had terms
    std::atomic<Time> unhurried_{Rules::never};  // as the last Outlook says
    std::mutex mutex_;
    Options options_;  // in force
    WeightLimits weight_limits_;
    std::atomic<std::size_t> max_batch_size_{options_.max_batch_size};  // without the lock
    Machine machine_;
    const Units units_{machine_.rules().units};  // which stay: to be read without the lock
    const bool rules_give_terms_;
    std::atomic<Batch*> returned_{nullptr};  // batches that nobody needs any more, linked by next
    std::atomic<bool> may_rest_{false};      // whether rest() has something to do
    // Completed batches whose calls are not all on their way yet; and whether a drain may wait for those, for who
    // is not under the lock. It stays so, as all is closed then.
    std::atomic<std::size_t> sending_{0};
    std::atomic<bool> draining_{false};
    std::vector<std::shared_ptr<CompletionExecutor>> known_;  // of io_contexts, one of each
};

}  // namespace batching::detail

#ifndef BATCHER_SEPARATE_COMPILATION
#include <batcher/detail/runtime/contexts.hpp>
#include <batcher/detail/runtime/engine_batches.hpp>
#include <batcher/detail/runtime/engine_events.hpp>
#include <batcher/detail/runtime/engine_life.hpp>
#include <batcher/detail/runtime/engine_submit.hpp>
#endif
