// IncomingCall: one call of a client's, from the wait for it to its end.
//
//     await() -> arrived() -> read() -> has_read() -> reply() or refuse() -> gone
//                        \-> refuse()
//
// It is told of each step by the completion queue, and deletes itself when the last has been told. The
// method, the metadata and what has been promised to the others are known before any of the message is
// read: whoever is refused then makes the deployment hold no more than a stream's window of it.
#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <batcher/grpc/detail/budget.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/idle_calls.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace batching::grpc::detail {

// What a tag of the completion queue is.
class Event {
public:
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    virtual void happened(bool ok) = 0;

protected:
    ~Event() = default;
};

// What answers a call that was read. It goes with the call.
class Answer {
public:
    Answer() = default;
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
    virtual ~Answer() = default;

    // Does a part of the work; true if that was the last. Then it may be gone.
    virtual bool step() = 0;
    // The client has gone, or its deadline has passed. Any thread, also while step() runs.
    virtual void client_gone() = 0;
    // What it has written in advance of the reply is on its way.
    virtual void written() {}
};

class IncomingCall;

class CallReceiver {
public:
    CallReceiver(const CallReceiver&) = delete;
    CallReceiver& operator=(const CallReceiver&) = delete;

    // A call is there; to be read or refused. Another has to be awaited in its place.
    virtual void arrived(IncomingCall& call) = 0;
    // To be replied to or refused.
    virtual void has_read(IncomingCall& call) = 0;
    // A call, or one that was awaited, is no more.
    virtual void call_gone() noexcept = 0;

    Budget budget;
    IdleCalls idle;

protected:
    CallReceiver(std::size_t memory, IdleCalls::Clock::duration patience)
        : budget(memory), idle(patience) {}
    ~CallReceiver() = default;
};

class IncomingCall final : private IdleCall {
public:
    // What gRPC and this keep for a call, its message apart: 15 KiB with gRPC 1.51, 23 with 1.83.
    static constexpr std::size_t size_of_call = 24 * 1024;

    // Throws std::bad_alloc.
    static void await(CallReceiver& receiver, ::grpc::AsyncGenericService& service,
                      ::grpc::ServerCompletionQueue& queue) {
        auto* const call = new IncomingCall(receiver);  // NOLINT(cppcoreguidelines-owning-memory)
        call->context_.AsyncNotifyWhenDone(&call->ended_);
        service.RequestCall(&call->context_, &call->stream_, &queue, &queue, &call->arrived_);
    }
    IncomingCall(const IncomingCall&) = delete;
    IncomingCall& operator=(const IncomingCall&) = delete;

    ::grpc::GenericServerContext& context() noexcept { return context_; }
    const ::grpc::ByteBuffer& request() const noexcept { return request_; }

    // False if there is not so much memory. Precondition: it does not wait for its client.
    bool take_memory(std::size_t bytes) {
        return find_memory([&] { return memory_.grow(bytes); });
    }

    void read() {
        receiver_.idle.add(*this);
        stream_.Read(&request_, &read_);
    }

    // One of these, once. It may be gone when they return.
    void reply(std::string bytes) {
        // The items have gone.
        const auto size = size_of_call + bytes.size();
        receiver_.idle.remove(*this);  // if messages came before
        if (!find_memory([&] { return memory_.become(size); })) {
            return refuse(no_memory_for_reply());
        }
        receiver_.idle.add(*this);
        stream_.WriteAndFinish(to_buffer(std::move(bytes)), {}, ::grpc::Status::OK, &finished_);
    }
    static ::grpc::Status no_memory_for_reply() {  // not RESOURCE_EXHAUSTED: it has run
        return {::grpc::StatusCode::INTERNAL, "the deployment has no memory for the reply"};
    }
    void refuse(const ::grpc::Status& status) { stream_.Finish(status, &finished_); }

    // A message before the reply, by its answer; one at a time. Until the reply it waits for its client.
    void write(std::string bytes) {
        receiver_.idle.add(*this);
        left_.fetch_add(1, std::memory_order_relaxed);
        stream_.Write(to_buffer(std::move(bytes)), &written_);
    }

    // Once.
    Answer& answer_by(std::unique_ptr<Answer> answer) {
        request_.Clear();
        answer_owner_ = std::move(answer);
        answer_.store(answer_owner_.get());
        if (client_gone_.load()) answer_owner_->client_gone();
        return *answer_owner_;
    }
    Answer* answer() const noexcept { return answer_owner_.get(); }
    bool client_gone() const noexcept { return client_gone_.load(); }

private:
    explicit IncomingCall(CallReceiver& receiver)
        : receiver_(receiver), memory_(receiver.budget), stream_(&context_) {}
    ~IncomingCall() = default;

    template <void (IncomingCall::*then)(bool)>
    struct Step final : Event {
        explicit Step(IncomingCall& c) : call(c) {}
        void happened(bool ok) override { (call.*then)(ok); }
        IncomingCall& call;
    };

    void on_arrived(bool ok) {
        if (ok) return receiver_.arrived(*this);
        go();  // the server is being shut down: nothing more will be told
    }
    void on_read(bool ok) {
        if (!receiver_.idle.remove(*this)) return refuse(::grpc::Status::CANCELLED);
        if (ok) return receiver_.has_read(*this);
        refuse({::grpc::StatusCode::INVALID_ARGUMENT, "the call has no message"});
    }
    void on_written(bool) {
        answer()->written();
        told();
    }
    void on_finished(bool) {
        receiver_.idle.remove(*this);
        told();
    }
    void on_ended(bool) {
        if (context_.IsCancelled()) {
            client_gone_.store(true);
            if (Answer* const answer = answer_.load()) answer->client_gone();
        }
        told();
    }

    template <class Take>
    bool find_memory(Take take) {
        while (!take()) {
            if (!receiver_.idle.give_up_longest()) return false;
        }
        return true;
    }
    void give_up() override {
        memory_.become(0);
        context_.TryCancel();
    }

    void told() {
        if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) go();
    }
    void go() {
        CallReceiver& receiver = receiver_;
        delete this;
        receiver.call_gone();
    }

    CallReceiver& receiver_;
    Share memory_;
    ::grpc::GenericServerContext context_;
    ::grpc::GenericServerAsyncReaderWriter stream_;
    ::grpc::ByteBuffer request_;
    std::unique_ptr<Answer> answer_owner_;
    std::atomic<Answer*> answer_{nullptr};
    std::atomic<bool> client_gone_{false};
    std::atomic<int> left_{
        2};  // to be told of: that it is finished, that it has ended, what is written
    Step<&IncomingCall::on_arrived> arrived_{*this};
    Step<&IncomingCall::on_read> read_{*this};
    Step<&IncomingCall::on_written> written_{*this};
    Step<&IncomingCall::on_finished> finished_{*this};
    Step<&IncomingCall::on_ended> ended_{*this};
};

}  // namespace batching::grpc::detail
