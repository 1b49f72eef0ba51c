// FunctionRunner: the Runner of a Batcher that wraps a batch function.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/batch_info.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/batch_info_access.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/detail/runtime/spawned.hpp>
#include <batcher/replicas.hpp>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

template <class F, class In, class Out, class Clock>
class FunctionRunner final : public ItemRunner<In, Out> {
    using Base = ItemRunner<In, Out>;
    static constexpr bool asynchronous = Asynchronous<F, In>;
    static constexpr bool takes_info = takes_info_v<F, In>;

    struct FunctionBatch final : ItemBatch<In, Out> {
        std::vector<CallInfo> infos;  // of its items, if the function wants to know
        Cancellable function;         // if it is asynchronous
    };

public:
    explicit FunctionRunner(F function) : function_(std::move(function)) {}

    void complete(Options& options) const override { complete_options(options, function_); }

    std::unique_ptr<Batch> make_batch() noexcept override {
        return Base::template make_batch_as<FunctionBatch>();
    }

    bool load(Batch& base, typename Base::Failures& failures) noexcept override {
        if constexpr (takes_info) {
            auto& infos = of(base).infos;
            infos.clear();
            if (!Base::make_room(base, infos)) return false;
            return Base::load_each(base, failures, [&](const Call& call) {
                infos.push_back({base.started - call.queued_at, class_of(call)});
            });
        } else {
            return Base::load(base, failures);
        }
    }

    bool invoke(Batch& base, [[maybe_unused]] Done& done) noexcept override {
        auto& batch = of(base);
        [[maybe_unused]] const std::size_t count = batch.items.size();
        try {
            if constexpr (asynchronous) {
                spawn(batch, done);
                return false;
            } else if constexpr (std::is_void_v<typename CallResult<F, In>::type>) {
                call(batch);
            } else {
                batch.hold(count, call(batch));
            }
        } catch (...) {
            // If it was told that it was destroyed, it has said so, with what it knew.
            if (done) base.error = std::current_exception();
        }
        return static_cast<bool>(done);
    }

    void stop(Batch& base) noexcept override {
        if constexpr (asynchronous) of(base).function.cancel(base);
    }

private:
    static FunctionBatch& of(Batch& batch) noexcept { return static_cast<FunctionBatch&>(batch); }

    auto& replica([[maybe_unused]] std::size_t slot) {
        if constexpr (is_replicas<F>) {
            return function_[slot];
        } else {
            return function_;
        }
    }

    static InfoFor<F, In> info_of([[maybe_unused]] const FunctionBatch& batch) noexcept {
        if constexpr (takes_info) {
            return BatchInfoAccess::of<Clock>(batch, batch.infos);
        } else {
            return {};
        }
    }

    decltype(auto) call(FunctionBatch& batch) {
        return call_batch_function(replica(batch.slot), batch.items, info_of(batch));
    }

    void spawn(FunctionBatch& batch, Done& done) {
        const auto& executor = executor_of(batch).executor();
        const auto spawned = std::make_shared<Spawned>(executor);
        // It keeps what cancels the function for as long as that may run.
        auto told = [&batch, spawned,
                     done = std::move(done)](const std::exception_ptr& error) mutable {
            batch.error = error;
            done.on_executor();
        };
        asio::co_spawn(spawned->strand, run(replica(batch.slot), batch, spawned),
                       asio::bind_cancellation_slot(
                           spawned->signal.slot(), asio::bind_executor(executor, std::move(told))));
    }

    template <class Function>
    static asio::awaitable<void> run(Function& function, FunctionBatch& batch,
                                     std::shared_ptr<Spawned> spawned) {
        if (!batch.function.started(batch, spawned)) co_return;
        [[maybe_unused]] const std::size_t count = batch.items.size();
        const auto info = info_of(batch);
        if constexpr (std::same_as<typename CallResult<Function, In>::type,
                                   asio::awaitable<void>>) {
            co_await call_batch_function(function, batch.items, info);
        } else {
            batch.hold(count, co_await call_batch_function(function, batch.items, info));
        }
    }

    F function_;
};

}  // namespace batching::detail
