// RemoteBatch: a batch of a handle under way, and what is sent for it.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <batcher/call_options.hpp>
#include <batcher/codec.hpp>
#include <batcher/detail/core/slots.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/grpc/detail/remote_call.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <batcher/options.hpp>
#include <batcher/priority.hpp>
#include <batcher/result.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// The batch of a handle, as its engine has it.
template <class In, class Out>
struct SentBatch : batching::detail::ItemBatch<In, Out> {
    // What the call of an item asks for.
    struct Asked {
        batching::detail::Time deadline;
        Priority priority;
    };
    batching::detail::Time youngest{};   // when the last of its calls was made
    std::vector<Asked> asked;            // for each item; empty: nothing
    std::vector<TraceContext> contexts;  // of their callers, if those are not all the same
};

// A batch under way: usually one call; several, at the same time, if its bytes do not fit into one message.
template <class In, class Out>
class RemoteBatch : public std::enable_shared_from_this<RemoteBatch<In, Out>> {
    using Batch = SentBatch<In, Out>;
    using Done = batching::detail::Done;

public:
    RemoteBatch(std::shared_ptr<Remote> remote, Batch& batch)
        : remote_(std::move(remote)),
          batch_(batch),
          deadline_(deadline_of(batch.youngest)),
          executor_(batch.engine->own_executor()),
          results_(batch.items.size()) {
        write(batch.items);
        left_ = calls_.size();
    }
    RemoteBatch(const RemoteBatch&) = delete;
    RemoteBatch& operator=(const RemoteBatch&) = delete;
    ~RemoteBatch() {
        if (done_) executor_->finish_work();
    }

    // True if there is nothing to send: no item could be written. Then the results are there.
    bool empty() {
        if (calls_.empty()) set_results();
        return calls_.empty();
    }

    // The batch may be done before it returns, and is kept alive by its calls.
    void start(Done done) {
        const auto self = this->shared_from_this();
        executor_->start_work();
        done_.emplace(std::move(done));
        for (Call& call : calls_) call.start();
    }

    void cancel() noexcept {
        cancelled_.store(true, std::memory_order_relaxed);
        for (Call& call : calls_) call.cancel();
    }

private:
    using Result = batching::Result<Out>;

    // The items from `first` on, as far as they have no result yet: `count` of them.
    class Call final : public RemoteCall {
    public:
        Call(RemoteBatch& batch, std::string request, std::size_t first, std::size_t count)
            : RemoteCall(batch.remote_, std::move(request), batch.deadline_,
                         batching::detail::Slots::place_of(batch.batch_.slot),
                         batch.trace_context()),
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

    static batching::detail::Time now() {
        return std::chrono::steady_clock::now().time_since_epoch();
    }

    // By when the call has to end that was made last.
    std::chrono::system_clock::time_point deadline_of(batching::detail::Time queued_at) const {
        const auto waited = now() - queued_at;
        return from_now(remote_->options.timeout -
                        std::chrono::floor<std::chrono::milliseconds>(waited));
    }

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
            if (request.size() + room_beside(count + 1) <= limit) {
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
        write_asked(request, first, count);
        write_contexts(request, first, count);
        calls_.emplace_back(*this, std::move(request), first, count);
    }

    // That of a batch is that of all its calls.
    TraceContext trace_context() const noexcept {
        return batch_.trace == nullptr ? TraceContext() : batch_.trace->context;
    }

    std::size_t room_beside(std::size_t items) const noexcept {
        return (batch_.asked.empty() ? 0 : wire::most_asked(items)) +
               (batch_.contexts.empty() ? 0 : wire::most_contexts(items));
    }
    // For the items of a message, with what is left of their timeouts by now.
    void write_asked(std::string& request, std::size_t first, std::size_t count) const {
        if (batch_.asked.empty()) return;
        const batching::detail::Time now = this->now();
        std::vector<CallOptions> asked;
        for (std::size_t i = first; asked.size() != count; ++i) {
            if (results_[i]) continue;  // it is not in the message
            const auto& [deadline, priority] = batch_.asked[i];
            const bool ends = deadline != batching::detail::Time::max();
            asked.push_back({ends ? deadline - now : no_timeout, priority});
        }
        wire::write_asked(request, asked);
    }
    void write_contexts(std::string& request, std::size_t first, std::size_t count) const {
        if (batch_.contexts.empty()) return;
        std::vector<TraceContext> contexts;
        for (std::size_t i = first; contexts.size() != count; ++i) {
            if (!results_[i]) contexts.push_back(batch_.contexts[i]);
        }
        wire::write_contexts(request, contexts);
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
            if (!result.has_value) return item_error(*remote_, result);
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
        if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        set_results();
        done_->elsewhere();
        done_.reset();
        executor_->finish_work();
    }

    void set_results() {
        batch_.results.reserve(results_.size());
        for (auto& result : results_) batch_.results.push_back(*std::move(result));
        if (cancelled_.load(std::memory_order_relaxed)) return;  // nobody waits for them
        ErrorTally failed(remote_->counts);
        for (const Result& result : batch_.results) {
            if (!result.has_value()) failed.add(result.error());
        }
    }

    const std::shared_ptr<Remote> remote_;
    Batch& batch_;  // lives until it is done
    const std::chrono::system_clock::time_point deadline_;
    const std::shared_ptr<batching::detail::CompletionExecutor> executor_;  // a call is work there
    std::deque<Call> calls_;                                                // they do not move
    std::vector<std::optional<Result>> results_;
    std::atomic<std::size_t> left_{0};
    std::optional<Done> done_;
    std::atomic<bool> cancelled_{false};
};

}  // namespace batching::grpc::detail
