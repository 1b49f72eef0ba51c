// Of Engine: how it begins, its options and figures, and how it ends.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/detail/runtime/engine.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>

namespace batching::detail {

BATCHER_DECL std::shared_ptr<Engine> Engine::make(const asio::any_io_executor& executor,
                                                  const Options& options,
                                                  std::unique_ptr<Runner> runner,
                                                  std::unique_ptr<Timer> timer,
                                                  std::shared_ptr<void> context_owner,
                                                  std::unique_ptr<Appraiser> appraiser) {
    std::shared_ptr<Engine> engine(new Engine(options, std::move(runner), std::move(timer),
                                              std::move(context_owner), std::move(appraiser)));
    engine->own_ = std::make_shared<CompletionExecutor>(executor, engine);
    engine->settle(Lock(engine->mutex_));
    return engine;
}

BATCHER_DECL Engine::Engine(const Options& options, std::unique_ptr<Runner> runner,
                            std::unique_ptr<Timer> timer, std::shared_ptr<void> context_owner,
                            std::unique_ptr<Appraiser> appraiser)
    : time_tolerance_(
          std::clamp<Time>(std::min<Time>(options.batch_timeout, options.latency_target) / 20,
                           std::chrono::microseconds(5), std::chrono::microseconds(50))),
      context_owner_(std::move(context_owner)),
      runner_(std::move(runner)),
      timer_(std::move(timer)),
      appraiser_(std::move(appraiser)),
      tracing_(appraiser_ == nullptr ? nullptr : appraiser_->tracer()),
      has_rules_(appraiser_ != nullptr && appraiser_->appraises()),
      observed_(tracing_ || (appraiser_ != nullptr && appraiser_->observes())),
      options_(options),
      weight_limits_{options.max_batch_weight, options.max_queue_weight},
      machine_(rules_of(options), *runner_),
      rules_give_terms_(tracing_ || machine_.rules().keyed || machine_.rules().shared) {
    if (has_rules()) plain_intake_.watch(1);
}

BATCHER_DECL Engine::~Engine() { ++ContextService::generation(); }

BATCHER_DECL void Engine::flush() noexcept {
    change([&] { machine_.flush(); });
}

BATCHER_DECL void Engine::close() noexcept {
    change([&] { machine_.close(); });
}

BATCHER_DECL void Engine::drain(Call& call) noexcept {
    draining_ = true;
    change([&] { machine_.drain(call); });
}

BATCHER_DECL void Engine::cancel() noexcept {
    const std::exception_ptr error = operation_aborted();
    change([&] { machine_.cancel(error); });
}

BATCHER_DECL void Engine::shut_down() noexcept {
    const std::exception_ptr error = operation_aborted();
    change([&] {
        machine_.close();
        collect();  // what has come before that was seen by the callers
        machine_.cancel(error);
    });
}

BATCHER_DECL Stats Engine::stats() {
    Stats stats;
    change([&] {
        machine_.stats(stats);
        stats.options = options_;
        stats.remote = runner_->never_blocks();
    });
    return stats;
}

// ---- other options ----------------------------------------------------------------------------------------

BATCHER_DECL Rules Engine::rules_of(const Options& options) const {
    Rules rules{options.max_batch_size, options.batch_timeout, options.max_concurrent_batches,
                options.max_queue_size, runner_->timeout(),    options.priority_aging,
                options.latency_target};
    if (rules.latency_target != Rules::never) rules.batch_timeout = Time(0);
    if (appraiser_ != nullptr) appraiser_->add_to(rules, options);
    return rules;
}

BATCHER_DECL void Engine::reconfigure(Options options) {
    runner_->complete(options);
    std::exception_ptr error;
    change([&] {
        try {
            reconfigure_machine(options);
        } catch (...) {
            error = std::current_exception();
        }
    });
    if (error) std::rethrow_exception(error);
}

BATCHER_DECL void Engine::reconfigure_machine(const Options& options) {
    const Rules& before = machine_.rules();
    check_limits(options, before.weighs, before.keyed);
    if (context_owner_ != nullptr &&
        options.max_concurrent_batches != before.max_concurrent_batches) {
        throw std::invalid_argument(
            fmt::format("max_concurrent_batches cannot change from {} to {}: this Batcher has so "
                        "many workers of its own",
                        before.max_concurrent_batches, options.max_concurrent_batches));
    }
    machine_.reconfigure(rules_of(options));
    options_ = options;
    weight_limits_.of_batch.store(options.max_batch_weight, std::memory_order_relaxed);
    weight_limits_.of_queue.store(options.max_queue_weight, std::memory_order_relaxed);
    max_batch_size_.store(options.max_batch_size, std::memory_order_relaxed);
}

}  // namespace batching::detail
