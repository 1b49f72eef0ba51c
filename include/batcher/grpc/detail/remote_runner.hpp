// RemoteRunner: the batch function of a handle, one remote call that carries a whole batch.
//
// It runs on no thread of ours: the call is sent by whoever forms the batch, and what comes back is read
// on a thread of gRPC's, which posts the callers to where they resume.
#pragma once

#include <algorithm>
#include <batcher/detail/core/terms.hpp>
#include <batcher/detail/core/traced.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/error.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/remote_batch.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace batching::grpc::detail {

template <class In, class Out>
class RemoteRunner final : public batching::detail::ItemRunner<In, Out> {
    using Base = batching::detail::ItemRunner<In, Out>;
    using Batch = batching::detail::Batch;

    struct CancellableBatch final : SentBatch<In, Out> {
        std::mutex mutex;
        std::weak_ptr<RemoteBatch<In, Out>> sent;  // while it is under way
    };

public:
    explicit RemoteRunner(std::shared_ptr<Remote> remote) : remote_(std::move(remote)) {}

    const Remote& remote() const noexcept { return *remote_; }

    [[noreturn]] void complete(Options&) const override {
        throw std::invalid_argument(
            "a handle cannot be reconfigured: ConnectOptions are given when it is made");
    }

    std::unique_ptr<Batch> make_batch() noexcept override {
        return this->template make_batch_as<CancellableBatch>();
    }

    bool load(Batch& base, typename Base::Failures& failures) noexcept override {
        CancellableBatch& batch = of(base);
        batch.youngest = base.calls.back().queued_at;
        batch.asked.clear();
        batch.contexts.clear();
        if (!base.has_terms) return Base::load(base, failures);
        const bool traced = base.trace != nullptr && !base.trace->has_parent();
        if (!Base::make_room(base, batch.asked)) return false;
        if (traced && !Base::make_room(base, batch.contexts)) return false;
        return Base::load_each(base, failures, [&](const batching::detail::Call& call) {
            batch.youngest = std::max(batch.youngest, call.queued_at);
            batch.asked.push_back(
                {batching::detail::deadline_of(call), batching::detail::class_of(call)});
            if (traced) batch.contexts.push_back(batching::detail::trace_context_of(call));
        });
    }

    // The calls of a batch have the deadline of the youngest. The engine lets the others go at their own.
    batching::detail::Time timeout() const noexcept override {
        return std::chrono::nanoseconds(Timeout(remote_->options.timeout));
    }
    std::exception_ptr too_late() noexcept override {
        try {
            throw Error(errc::deadline_exceeded, late_sentence(*remote_, remote_->reason()));
        } catch (...) {
            return std::current_exception();
        }
    }

    bool never_blocks() const noexcept override { return true; }

    bool invoke(Batch& base, batching::detail::Done& done) noexcept override {
        CancellableBatch& batch = of(base);
        try {
            const auto sent = std::make_shared<RemoteBatch<In, Out>>(remote_, batch);
            if (sent->empty()) return true;
            {
                const std::lock_guard lock(batch.mutex);
                batch.sent = sent;
            }
            const bool unwanted = batch.stop_requested;
            sent->start(std::move(done));
            if (unwanted) sent->cancel();
            return false;
        } catch (...) {
            if (done) base.error = std::current_exception();
            return static_cast<bool>(done);
        }
    }

    void stop(Batch& base) noexcept override {
        CancellableBatch& batch = of(base);
        std::shared_ptr<RemoteBatch<In, Out>> sent;
        {
            const std::lock_guard lock(batch.mutex);
            sent = batch.sent.lock();
        }
        if (sent) sent->cancel();
    }

private:
    static CancellableBatch& of(Batch& batch) noexcept {
        return static_cast<CancellableBatch&>(batch);
    }

    const std::shared_ptr<Remote> remote_;
};

}  // namespace batching::grpc::detail
