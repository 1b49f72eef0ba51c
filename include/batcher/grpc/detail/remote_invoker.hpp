// RemoteInvoker: the batch function of a handle, one remote call that carries a whole batch.
//
// It runs on no thread of ours: the call is sent by whoever forms the batch, and what comes back is read
// on a thread of gRPC's, which posts the callers to where they resume.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <batcher/codec.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/engine.hpp>
#include <batcher/detail/invoker.hpp>
#include <batcher/grpc/detail/remote_call.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <batcher/result.hpp>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// A batch under way: usually one call; several, at the same time, if its bytes do not fit into one message.
template <class In, class Out, class Done>
class RemoteBatch : public std::enable_shared_from_this<RemoteBatch<In, Out, Done>> {
public:
    RemoteBatch(std::shared_ptr<Remote> remote, const std::vector<In>& items, Done done)
        : remote_(std::move(remote)), results_(items.size()), done_(std::move(done)) {
        write(items);
        left_ = calls_.size();
    }

    // True if there is nothing to send: no item could be written. Then finish() is to be called.
    bool empty() const noexcept { return calls_.empty(); }

    // The batch may be done before it returns, and is kept alive by its calls.
    void start() {
        const auto self = this->shared_from_this();
        for (Call& call : calls_) call.start();
    }

    void cancel() noexcept {
        for (Call& call : calls_) call.cancel();
    }

    void finish() {
        std::vector<Result> results;
        results.reserve(results_.size());
        for (auto& result : results_) results.push_back(*std::move(result));
        results_.clear();
        const std::size_t count = results.size();
        done_.from_any_thread(Outcome(count, std::move(results)));
    }

private:
    using Result = batching::Result<Out>;
    using Outcome = batching::detail::Outcome<Out>;

    // The items from `first` on, as far as they have no result yet: `count` of them.
    class Call final : public RemoteCall {
    public:
        Call(RemoteBatch& batch, std::string request, std::size_t first, std::size_t count)
            : RemoteCall(batch.remote_, std::move(request)),
              batch_(batch),
              at_(first),
              left_(count) {}

    private:
        std::shared_ptr<RemoteCall> shared() override { return {batch_.shared_from_this(), this}; }

        void done(std::exception_ptr error, const ::grpc::ByteBuffer& reply) override {
            if (!error) {
                try {
                    read(reply);
                } catch (...) {
                    error = reply_error(remote(), std::current_exception());
                }
            }
            if (error) {
                while (left_ != 0) next().emplace(error);
            }
            batch_.call_done();
        }

        void read(const ::grpc::ByteBuffer& reply) {
            const Contiguous bytes(reply);
            wire::read_response(bytes.view(), left_, [this](const wire::Result& result) {
                next().emplace(batch_.read(result));
            });
        }

        // Where the next result belongs.
        std::optional<Result>& next() noexcept {
            while (batch_.results_[at_]) ++at_;
            --left_;
            return batch_.results_[at_];
        }

        RemoteBatch& batch_;
        std::size_t at_;
        std::size_t left_;
    };

    void write(const std::vector<In>& items) {
        std::string request;
        std::size_t first = 0;
        std::size_t count = 0;
        const std::size_t limit = remote_->options.max_message_size;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (count == 0) begin(request, items.size() - i);
            const std::size_t before = request.size();
            try {
                wire::write_item(request,
                                 [&](std::string& out) { Codec<In>::encode(items[i], out); });
            } catch (...) {
                request.resize(before);
                results_[i].emplace(request_error(*remote_, std::current_exception()));
                continue;
            }
            if (request.size() <= limit) {
                if (count++ == 0) first = i;
                continue;
            }
            const std::size_t size = request.size() - before;
            request.resize(before);
            if (count != 0) {
                add_call(std::exchange(request, {}), first, std::exchange(count, 0));
                --i;  // once more, in a message of its own
            } else {
                results_[i].emplace(too_large(size));
            }
        }
        if (count != 0) add_call(std::move(request), first, count);
    }

    // With room for items as large as those of the call before.
    void begin(std::string& request, std::size_t items) {
        request.clear();
        request.reserve(128 + items * 16);
        wire::write_header(request, remote_->deployment, remote_->schema);
    }

    void add_call(std::string request, std::size_t first, std::size_t count) {
        calls_.emplace_back(*this, std::move(request), first, count);
    }

    std::exception_ptr too_large(std::size_t size) const {
        return make_error(
            errc::message_too_large,
            fmt::format("an item of {} bytes for {} does not fit into a message of at "
                        "most {} bytes",
                        size, remote_->name(), remote_->options.max_message_size));
    }

    Result read(const wire::Result& result) const {
        try {
            if (!result.has_value) return item_error(*remote_, result.code, result.message);
            if constexpr (std::is_void_v<Out>) {
                return Result();
            } else {
                return Codec<Out>::decode(result.value);
            }
        } catch (...) {
            return reply_error(*remote_, std::current_exception());
        }
    }

    void call_done() {
        if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) finish();
    }

    const std::shared_ptr<Remote> remote_;
    std::deque<Call> calls_;  // they do not move
    std::vector<std::optional<Result>> results_;
    std::atomic<std::size_t> left_{0};
    Done done_;
};

template <class In, class Out, class Done>
class RemoteInvoker final : public batching::detail::Invoker<In, Done> {
    using BatchId = batching::detail::BatchId;
    using Batch = RemoteBatch<In, Out, Done>;

public:
    explicit RemoteInvoker(std::shared_ptr<Remote> remote)
        : remote_(std::move(remote)), running_(remote_->options.calls_in_flight) {}

    bool runs_elsewhere() const noexcept override { return true; }

    void invoke(const asio::any_io_executor& executor, std::size_t, std::vector<In>& items,
                Done done) override {
        const BatchId id = done.batch();
        const auto batch = std::make_shared<Batch>(remote_, items, std::move(done));
        if (batch->empty()) {
            asio::post(executor, [batch] { batch->finish(); });
            return;
        }
        const bool wanted = remember(id, batch);
        batch->start();
        if (!wanted) batch->cancel();
    }

    void unwanted(BatchId id) noexcept override {
        std::shared_ptr<Batch> batch;
        {
            const std::lock_guard lock(mutex_);
            Running& running = running_[id.slot];
            if (running.number > id.number) return;
            if (running.number == id.number) batch = running.batch.lock();
            running = {id.number, {}, true};
        }
        if (batch) batch->cancel();
    }

private:
    struct Running {
        std::uint64_t number = 0;
        std::weak_ptr<Batch> batch;
        bool unwanted = false;
    };

    // False if nobody waits for the batch any more.
    bool remember(BatchId id, const std::shared_ptr<Batch>& batch) {
        const std::lock_guard lock(mutex_);
        Running& running = running_[id.slot];
        if (running.number == id.number) return !running.unwanted;
        running = {id.number, batch, false};
        return true;
    }

    const std::shared_ptr<Remote> remote_;
    std::mutex mutex_;
    std::vector<Running> running_;
};

}  // namespace batching::grpc::detail
