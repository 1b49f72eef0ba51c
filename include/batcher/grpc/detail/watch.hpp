// Watch: why there is no connection, while a call waits for one.
//
// Such a call does not learn it. One that does not wait does, as soon as an attempt to connect has failed: so
// while a call waits, others ask, one after the other, until there is a connection.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>

#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/tls_mistake.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace batching::grpc::detail {

// Calls `then` after `delay`, on a thread of gRPC's.
template <class Then>
void later(std::chrono::milliseconds delay, Then then) {
    const auto alarm = std::make_shared<::grpc::Alarm>();
    // An alarm keeps its function, which lets go of both here.
    alarm->Set(from_now(delay), [kept = alarm, then = std::move(then)](bool) mutable {
        auto step = std::move(then);
        kept.reset();
        step();
    });
}

class Watch : public std::enable_shared_from_this<Watch> {
public:
    // Called with each answer; none is asked for any more after one that is not UNAVAILABLE.
    using OnAnswer = std::function<void(const ::grpc::Status&)>;

    Watch(std::shared_ptr<Remote> remote, std::shared_ptr<const Connection> connection,
          OnAnswer on_answer)
        : remote_(std::move(remote)),
          connection_(std::move(connection)),
          on_answer_(std::move(on_answer)),
          nothing_(to_buffer(std::string())) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() = default;

    void ask() {
        // It is answered at once, or when the attempt to connect that is under way has ended.
        const auto context = remote_->new_context(from_now(remote_->options.timeout), false);
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
            context_ = context;
        }
        connection_->stub->UnaryCall(context.get(), describe_method, {}, &nothing_, &reply_,
                                     [self = shared_from_this(), context](
                                         const ::grpc::Status& status) { self->answered(status); });
    }

    // With gRPC 1.83 who asks through a channel to all addresses is not told that the key does not fit its certificate,
    // and waits as long as the call. So somebody asks elsewhere, until there has been a connection.
    void ask_of_key() {
        const auto& tls = remote_->options.tls;
        if (!tls || tls->private_key.empty() || remote_->recognised()) return;
        const auto context = remote_->new_context(from_now(std::chrono::seconds(10)), false);
        const auto nowhere = remote_->to_nowhere();
        const auto reply = std::make_shared<::grpc::ByteBuffer>();
        nowhere->stub->UnaryCall(
            context.get(), describe_method, {}, &nothing_, reply.get(),
            [self = shared_from_this(), context, nowhere, reply](const ::grpc::Status& status) {
                if (key_is_unusable(status.error_message())) self->on_answer_(status);
            });
    }

    // The call waits no more.
    void stop() noexcept {
        std::shared_ptr<::grpc::ClientContext> context;
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
            context = context_;
        }
        if (context) context->TryCancel();
    }

private:
    void answered(const ::grpc::Status& status) {
        if (status.error_code() == ::grpc::StatusCode::CANCELLED) return;
        on_answer_(status);
        if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return;
        later(std::chrono::milliseconds(200), [self = shared_from_this()] { self->ask(); });
    }

    const std::shared_ptr<Remote> remote_;
    const std::shared_ptr<const Connection> connection_;
    const OnAnswer on_answer_;
    const ::grpc::ByteBuffer nothing_;
    ::grpc::ByteBuffer reply_;

    std::mutex mutex_;
    std::shared_ptr<::grpc::ClientContext> context_;  // of the call under way
    bool stopped_ = false;
};

}  // namespace batching::grpc::detail
