// RemoteCall: one Process call, with its deadline, its cancellation and the times it is sent again.
//
// A call is sent again only if that cannot run an item twice, or if the user says that this does no harm:
//
//     never on the wire, or not seen by the server    gRPC itself sends it again
//     not accepted by a deployment that stops         sent again, until the deadline
//     cancelled by its gRPC, before it saw it         the same
//     the connection broke, or a proxy failed it      if idempotent, max_attempts times in all
//
// The third: from when a gRPC server shuts down until its connections know, it cancels the calls that come,
// without a word and unseen by its methods. A deployment of ours never cancels what it has seen: so it is
// known not to have been accepted, if it is such a deployment that answers there. A proxy that is a gRPC
// server may cancel in the same way what it has passed on. So the handle asks Describe first: a deployment's
// answers have a mark, and proxies that do not pass trailing metadata through, as Ray Serve's, give none.
#pragma once

#include <grpcpp/client_context.h>

#include <algorithm>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/tls_mistake.hpp>
#include <batcher/grpc/detail/traceparent.hpp>
#include <batcher/grpc/detail/watch.hpp>
#include <batcher/trace_context.hpp>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace batching::grpc::detail {

class RemoteCall {
public:
    RemoteCall(std::shared_ptr<Remote> remote, std::string request,
               std::chrono::system_clock::time_point deadline, std::size_t replica,
               const TraceContext& trace_context)
        : remote_(std::move(remote)),
          request_(to_buffer(std::move(request))),
          deadline_(deadline),
          replica_(replica),
          trace_context_(trace_context) {}
    RemoteCall(const RemoteCall&) = delete;
    RemoteCall& operator=(const RemoteCall&) = delete;

    // Does not block. done() follows, on a thread of gRPC's.
    void start() { send(process_method, &RemoteCall::on_reply); }

    // Nobody waits for it any more. Any thread, any time.
    void cancel() noexcept {
        std::shared_ptr<::grpc::ClientContext> context;
        {
            const std::lock_guard lock(mutex_);
            cancelled_ = true;
            context = context_;
        }
        // Without the lock, as it may run callbacks right here.
        if (context) context->TryCancel();
    }

    const Remote& remote() const noexcept { return *remote_; }

protected:
    ~RemoteCall() = default;

    // Keeps it alive.
    virtual std::shared_ptr<RemoteCall> shared() = 0;

    // The end of the call: an error, or the reply.
    virtual void done(std::exception_ptr error, const ::grpc::ByteBuffer& reply) = 0;

private:
    using Clock = std::chrono::system_clock;
    using OnStatus = void (RemoteCall::*)(const ::grpc::Status&);

    void send(const char* method, OnStatus then) {
        const auto context = remote_->new_context(deadline_, true);
        set_trace_context(*context, trace_context_);
        bool cancelled = false;
        {
            const std::lock_guard lock(mutex_);
            context_ = context;
            cancelled = cancelled_;
            moves_ = false;
            mistake_.clear();
        }
        if (cancelled) context->TryCancel();
        reply_.Clear();
        // Another time it is another replica's turn.
        const auto connection = remote_->connection(replica_ + attempts_);
        connection_ = connection;
        if (!connection->ready()) {
            connection->not_ready();
            watch(context);
        }
        connection->stub->UnaryCall(context.get(), method, {}, &request_, &reply_,
                                    [self = shared(), then](const ::grpc::Status& status) {
                                        self->stop_watching();
                                        (*self.*then)(status);
                                    });
    }

    using Context = std::shared_ptr<::grpc::ClientContext>;

    void stop_watching() {
        if (const auto watch = std::move(watch_)) watch->stop();
    }

    // Asks why there is no connection, as long as the call waits for one.
    void watch(const Context& context) {
        watch_ = std::make_shared<Watch>(remote_, connection_,
                                         [weak = std::weak_ptr<RemoteCall>(shared()), context,
                                          connection = connection_](const ::grpc::Status& status) {
                                             if (const auto self = weak.lock())
                                                 self->not_yet(status, context, *connection);
                                         });
        watch_->ask();
        watch_->ask_of_key();
    }

    // On a thread of the watch, as those below.
    void not_yet(const ::grpc::Status& status, const Context& context,
                 const Connection& connection) {
        if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return remote_->reached();
        const std::string& reason = status.error_message();
        remote_->not_reached(reason);
        std::string mistake = tls_mistake(reason, remote_->options);
        if (mistake.empty()) mistake = tls_mistake(remote_->tls_probes.found(), remote_->options);
        if (!mistake.empty()) return give_up(context, mistake);
        if (!remote_->uses(connection)) move(context);
    }

    void give_up(const Context& context, const std::string& mistake) {
        {
            const std::lock_guard lock(mutex_);
            if (context != context_) return;  // it has come back
            mistake_ = mistake;
        }
        context->TryCancel();
    }

    void move(const Context& context) {
        {
            const std::lock_guard lock(mutex_);
            if (context != context_) return;  // it has come back
            moves_ = true;
        }
        context->TryCancel();
    }

    // Whether it is to be sent elsewhere, as there are other replicas now, and those that it could be sent to
    // are gone. It has not left: else it would have failed, and would not wait for a connection.
    bool moves(const ::grpc::Status& status) {
        const std::lock_guard lock(mutex_);
        return std::exchange(moves_, false) && !cancelled_ && !connection_->ready() &&
               status.error_code() == ::grpc::StatusCode::CANCELLED;
    }

    // For what it was given up, as no connection can be made; "" if it was not. It has not left then.
    std::string mistake(const ::grpc::Status& status) {
        const std::lock_guard lock(mutex_);
        const bool given_up = !cancelled_ && !connection_->ready() &&
                              status.error_code() == ::grpc::StatusCode::CANCELLED;
        return given_up ? mistake_ : std::string();
    }

    void on_reply(const ::grpc::Status& status) {
        if (moves(status)) return start();
        ++attempts_;
        const std::string mistake = this->mistake(status);
        if (!mistake.empty()) return ended(unreachable_error(*remote_, mistake));
        if (status.ok()) {
            remote_->reached();
            if (connection_->is_back()) ConnectionCounts::add(remote_->counts.reconnects);
            if (has_mark(deployment_mark)) remote_->recognise(batch_size());
            return ended(nullptr);
        }
        if (!connection_->ready()) connection_->not_ready();
        if (has_time()) {
            if (has_mark(not_accepted_mark) || may_repeat(status)) {
                return again(&RemoteCall::start);
            }
            if (is_wordless_cancellation(status)) {
                cancellation_ = status;
                return ask_who();
            }
        }
        const bool waited_in_vain = is_own_deadline(status) && !connection_->ready();
        ended(call_error(*remote_, status, waited_in_vain ? remote_->reason() : ""));
    }

    void ended(std::exception_ptr error) {
        ConnectionCounts::add(remote_->counts.calls);
        let_go_of_context();
        done(std::move(error), reply_);
    }

    // Of gRPC's call, too, before a caller goes on: his next call would meet its end in gRPC's queue for the
    // connection, and gRPC wakes another thread then.
    void let_go_of_context() {
        Context context;
        const std::lock_guard lock(mutex_);
        context.swap(context_);
    }

    // For another attempt; nobody waits for the result of one that is cancelled.
    bool has_time() {
        const std::lock_guard lock(mutex_);
        return !cancelled_ && Clock::now() + delay() < deadline_;
    }

    // Of the call that has just ended.
    bool has_mark(const char* mark) const {
        return context_->GetServerTrailingMetadata().count(mark) != 0;
    }

    // How many items fill a batch there; 1 if that is not said.
    std::size_t batch_size() const {
        const auto& metadata = context_->GetServerTrailingMetadata();
        const auto found = metadata.find(batch_size_mark);
        std::size_t size = 1;
        if (found != metadata.end()) {
            const auto& text = found->second;
            std::from_chars(text.begin(), text.end(), size);
        }
        return std::max<std::size_t>(1, size);
    }

    // Whether it may run twice, and may end better the next time. INTERNAL and UNKNOWN are a proxy's, as of
    // one whose replica dies under the call: a deployment of ours fails items, no calls, with them.
    bool may_repeat(const ::grpc::Status& status) const noexcept {
        if (!remote_->options.idempotent) return false;
        if (attempts_ >= remote_->options.max_attempts) return false;
        switch (status.error_code()) {
            case ::grpc::StatusCode::UNAVAILABLE:
            case ::grpc::StatusCode::CANCELLED:
            case ::grpc::StatusCode::INTERNAL:
            case ::grpc::StatusCode::UNKNOWN:
                return true;
            default:
                return false;
        }
    }

    // 5 ms, and twice as long each time, up to 160.
    std::chrono::milliseconds delay() const noexcept {
        return std::chrono::milliseconds(5 << std::min<std::size_t>(attempts_ - 1, 5));
    }

    void again(void (RemoteCall::*step)()) {
        if (step == &RemoteCall::start) ConnectionCounts::add(remote_->counts.repeats);
        later(delay(), [self = shared(), step] { (*self.*step)(); });
    }

    // Who has cancelled it: a deployment of ours, which has not seen it, or a proxy, which may have?
    void ask_who() { send(describe_method, &RemoteCall::on_who); }
    void on_who(const ::grpc::Status& status) {
        if (has_time()) {
            if (has_mark(deployment_mark)) return again(&RemoteCall::start);
            // Asked on the same connection, or on one that broke.
            if (is_wordless_cancellation(status) ||
                status.error_code() == ::grpc::StatusCode::UNAVAILABLE) {
                return again(&RemoteCall::ask_who);
            }
        }
        ended(call_error(*remote_, cancellation_, ""));
    }

    const std::shared_ptr<Remote> remote_;
    const ::grpc::ByteBuffer request_;
    const Clock::time_point deadline_;
    const std::size_t replica_;
    const TraceContext trace_context_;
    ::grpc::ByteBuffer reply_;
    std::shared_ptr<const Connection> connection_;  // of the call under way, as context_
    std::shared_ptr<Watch> watch_;                  // while it waits for a connection
    std::size_t attempts_ = 0;
    ::grpc::Status cancellation_;  // while it is not known who has cancelled

    std::mutex mutex_;
    Context context_;  // of the call under way
    bool cancelled_ = false;
    bool moves_ = false;
    std::string mistake_;  // for which no connection can be made
};

}  // namespace batching::grpc::detail
