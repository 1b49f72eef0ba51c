// Batcher: when batches leave, and what happens to its callers.
//
// The life of an item:
//
//     made ----------> waiting ----------> running ----------> settled ----------> done
//      process(item)    awaited, started    a batch is formed   the function        the caller resumes
//                       or got                                  has returned
//
// When a batch leaves. Items wait in arrival order. A batch is formed when a slot is free and either max_batch_size
// items wait, or the oldest has waited batch_timeout, or flush(), close() or drain() was called; it takes the oldest
// items, up to max_batch_size. It is formed at the last moment: when the executor gets to it, so that it is as large as
// it can be, and the place of an item that is cancelled before that is refilled. While all slots are busy the queue
// just grows. Nothing ever polls. With latency_target a batch is formed as soon as a slot is free, and once eight batches
// have run it takes no more items than its oldest needs to be done in time, but no fewer than the throughput needs; if the
// oldest is late in any case, as many as there are. (The rules and their sources: detail/core/estimate.hpp.)
//
// Threads. All members may be called from any thread at the same time. Without an executor the Batcher owns
// max_concurrent_batches worker threads; with one it starts none, and the function and the timer run there. Submission
// takes no lock but for the item that arms the timer and the one that fills a batch, and never waits for a running
// batch. (Where a caller resumes, and cancellation: operation.hpp.)
//
// Destruction. close() and cancel() in one step: what waits fails with operation_aborted and never runs; batches that
// run finish, and their callers get their results. A Batcher that owns workers waits for those batches, also for one
// that never returns, and for callers that resume on a worker, but not for other callers' executors; one on an executor
// does not block. It may be destroyed anywhere, also inside its own batch function or by a caller it resumed; if that
// is on one of its own workers, it does not wait, and they end when they are done. A batch function must not outlive
// what it refers to, then.
//
// Execution contexts that go first. If it is the Batcher's own, all that waits is destroyed uncalled (a blocked get()
// fails with operation_aborted); the Batcher can then only be destroyed. If it is that of callers, they are destroyed
// uncalled, whether their items wait or run; the others go on. An asynchronous function that is destroyed before its
// end on its own fails its batch with operation_aborted. (An executor that cannot be asked never to block, as
// any_completion_executor, is not watched: its context has to outlive the call.)
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/calls.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/function_runner.hpp>
#include <batcher/detail/runtime/timer.hpp>
#include <batcher/detail/runtime/workers.hpp>
#include <batcher/detail/waiters/drain_request.hpp>
#include <batcher/operation.hpp>
#include <batcher/options.hpp>
#include <batcher/replicas.hpp>
#include <batcher/rules.hpp>
#include <batcher/stats.hpp>
#include <cassert>
#include <chrono>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace batching {

namespace detail {
struct Access;
}

// A function over many items, called one item at a time. Concurrent callers are parked until a batch leaves; each then
// gets its own result, or its own error.
//
//     std::vector<double> add(std::vector<Params> batch);       // far cheaper per item for many
//
//     batching::Batcher batcher{add, {.max_batch_size = 64, .batch_timeout = 2ms}};
//     double y = co_await batcher.process(item);                // in every request's own coroutine
//
// `Clock` meets the standard's Clock requirements; times are waited for through asio::wait_traits<Clock>.
template <class In, class Out, class Clock = std::chrono::steady_clock>
class Batcher : public detail::Calls<In, Out, Clock> {
    static_assert(
        std::is_object_v<In> && std::same_as<In, std::remove_cv_t<In>> &&
            std::move_constructible<In>,
        "the items of a Batcher, its In, are plain movable values: no reference, const or void");
    static_assert(std::is_void_v<Out> ||
                      (std::is_object_v<Out> && std::same_as<Out, std::remove_cv_t<Out>> &&
                       std::move_constructible<Out>),
                  "the results of a Batcher, its Out, are plain movable values, or void");
    static_assert(!std::same_as<Out, std::exception_ptr>,
                  "the results of a Batcher cannot be std::exception_ptr: that is how items fail");

public:
    // What drain() returns: completes with nothing.
    using drain_type = Operation<detail::DrainRequest>;

    // Wraps `function` (batch_function.hpp says what that is) and runs it on worker threads of its own. `rules` say what
    // its items are (rules.hpp). Throws std::invalid_argument for an option out of range, std::system_error if there is
    // no thread.
    template <class F, class... Rules>
        requires(!std::same_as<F, Batcher> && !detail::ExecutionContext<F> && !detail::Executor<F>)
    explicit Batcher(F function, Options options = {}, Rules... rules) {
        detail::check_batch_function<F, In, Out>();
        static_assert(!detail::Asynchronous<F, In>,
                      "an asynchronous batch function needs an executor to run on: "
                      "batching::Batcher batcher{executor, function, options}");
        complete<Rules...>(options, function);
        workers_ = std::make_unique<detail::Workers>(options.max_concurrent_batches);
        open(workers_->context()->get_executor(), std::move(function), options, workers_->context(),
             std::move(rules)...);
    }

    // Wraps `function` and runs it on `executor`, where also the timer runs. The execution context should
    // outlive the Batcher; if it does not, see "Destruction" above.
    template <detail::Executor Executor, class F, class... Rules>
    Batcher(Executor executor, F function, Options options = {}, Rules... rules) {
        detail::check_batch_function<F, In, Out>();
        complete<Rules...>(options, function);
        open(asio::any_io_executor(std::move(executor)), std::move(function), options, nullptr,
             std::move(rules)...);
    }

    // The same on the executor of an execution context, as an io_context or a thread_pool.
    template <detail::ExecutionContext Context, class F, class... Rules>
    Batcher(Context& context, F function, Options options = {}, Rules... rules)
        : Batcher(context.get_executor(), std::move(function), options, std::move(rules)...) {}

    // Refused: the rules come after the options.
    template <class F, detail::ItemRule Rule, class... More>
    Batcher(F&&, Rule, const Options& = {}, More&&...) {
        static_assert(sizeof(detail::RuleBeforeOptions<Rule>) == 0);
    }
    // Refused: the rules come after the options, with an executor, too.
    template <detail::WhereToRun Where, class F, detail::ItemRule Rule, class... More>
    Batcher(Where&&, F&&, Rule, const Options& = {}, More&&...) {
        static_assert(sizeof(detail::RuleBeforeOptions<Rule>) == 0);
    }

    // A moved-from Batcher can only be destroyed or assigned to.
    Batcher(Batcher&&) noexcept = default;
    // What it was before is destroyed, as by its destructor.
    Batcher& operator=(Batcher&& other) noexcept {
        Batcher old(std::move(*this));
        engine_ = std::move(other.engine_);
        workers_ = std::move(other.workers_);
        return *this;
    }

    // close() and cancel() in one step; with owned workers, waits for running batches. See "Destruction" above.
    ~Batcher() {
        if (engine_) engine_->shut_down();
        // Before the workers, which finish what it has still given them; and so that a call of one that has gone is
        // noticed.
        engine_.reset();
    }

    // ---- its life -------------------------------------------------------------------------------------

    // What waits now leaves as soon as slots are free.
    void flush() { engine().flush(); }

    // No more intake; what was accepted still runs, without waiting to fill batches. Does not block.
    void close() { engine().close(); }

    // Every waiting item fails with asio::error::operation_aborted. Running ones are not affected.
    // Complexity: O(n) in the waiting items.
    void cancel() { engine().cancel(); }

    // close(), and completes when nothing waits or runs; the results were handed to their executors
    // before. May be called often. Cancellation: any type ends the wait; the Batcher stays closed.
    drain_type drain() { return {engine(), {}}; }

    // drain() for any completion token: void(std::exception_ptr).
    template <class Token>
    auto async_drain(Token&& token) {
        return detail::start(drain(), std::forward<Token>(token));
    }

    // Other options from now on: for the next batch, and for calls that come. What waits stays, also if it is more than the
    // queue takes by now; batches that run are not affected. Throws std::invalid_argument for an option that is out of
    // range or cannot change, and std::bad_alloc; then nothing has changed. What cannot: max_concurrent_batches of a Batcher
    // that owns its workers (with batching::replicas() it is theirs, whatever is given); anything of a remote handle.
    //
    //     batcher.reconfigure({.max_batch_size = 128, .latency_target = 20ms});
    //
    // Fields that are not given have their defaults. From any thread. Takes the Batcher's lock. Complexity: O(slots + keys).
    void reconfigure(const Options& options) { engine().reconfigure(options); }

    // A snapshot of its figures, 60 KB on the heap. Takes the Batcher's lock for a few microseconds. Throws std::bad_alloc.
    Stats stats() const { return engine().stats(); }

    // The executor that the batch function runs on.
    asio::any_io_executor get_executor() const noexcept { return engine().executor(); }

private:
    friend struct detail::Access;

    using detail::Calls<In, Out, Clock>::engine;
    using detail::Calls<In, Out, Clock>::engine_;

    template <class... Rules, class F>
    static void complete(Options& options, const F& function) {
        detail::complete_options(options, function);
        (detail::check_rule<Rules, Out>(), ...);
        detail::check_limits(options, (detail::is_weigh<Rules> || ...),
                             (detail::is_key_by<Rules> || ...));
    }

    template <class F, class... Rules>
    void open(const asio::any_io_executor& executor, F&& function, const Options& options,
              std::shared_ptr<void> context_owner, Rules... rules) {
        using Runner = detail::FunctionRunner<std::decay_t<F>, In, Out, Clock>;
        attach(executor, std::make_unique<Runner>(std::forward<F>(function)), options,
               std::move(context_owner), detail::make_rules<In>(std::move(rules)...));
    }

    // For those who bring a runner of their own (detail/access.hpp). Without an executor: one worker.
    Batcher(asio::any_io_executor executor, std::unique_ptr<detail::Runner> runner,
            const Options& options, std::unique_ptr<detail::Appraiser> appraiser) {
        detail::check(options);
        std::shared_ptr<void> context_owner;
        if (!executor) {
            workers_ = std::make_unique<detail::Workers>(1);
            executor = workers_->context()->get_executor();
            context_owner = workers_->context();
        }
        attach(executor, std::move(runner), options, std::move(context_owner),
               std::move(appraiser));
    }

    void attach(const asio::any_io_executor& executor, std::unique_ptr<detail::Runner> runner,
                const Options& options, std::shared_ptr<void> context_owner,
                std::unique_ptr<detail::Appraiser> appraiser) {
        engine_ = detail::Engine::make(executor, options, std::move(runner),
                                       std::make_unique<detail::LazyTimer<Clock>>(executor),
                                       std::move(context_owner), std::move(appraiser));
    }

    std::unique_ptr<detail::Workers> workers_;
};

}  // namespace batching

#include <batcher/detail/deduction_guides.hpp>
#include <batcher/detail/refused_construction.hpp>
