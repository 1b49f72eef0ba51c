// Served: a Batcher under the name that a deployment gives it, and the Process calls that it answers.
#pragma once

#include <fmt/format.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <atomic>
#include <batcher/codec.hpp>
#include <batcher/detail/access.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/active_calls.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// Without the types of its items.
class Served {
public:
    Served(std::string name, std::string schema, std::size_t batch_size)
        : name_(std::move(name)),
          schema_(std::move(schema)),
          batch_size_(std::to_string(batch_size)) {}
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;
    virtual ~Served() = default;

    // Reads the items and hands them in; the reactor answers when the last has its result.
    virtual ::grpc::ServerUnaryReactor* process(const wire::ProcessRequest& request,
                                                ::grpc::ByteBuffer& reply, ActiveCalls& active,
                                                const DeployOptions& options) = 0;
    // What waits is not to wait for its batch to fill.
    virtual void flush() = 0;

    const std::string& name() const noexcept { return name_; }
    const std::string& schema() const noexcept { return schema_; }
    // How many items fill a batch, as it is said to clients.
    const std::string& batch_size() const noexcept { return batch_size_; }

private:
    std::string name_;
    std::string schema_;
    std::string batch_size_;
};

// One Process call. It owns itself until gRPC says that it is over.
template <class In, class Out, class Clock>
class ProcessCall final : public ::grpc::ServerUnaryReactor,
                          private ActiveCall,
                          private batching::detail::FanIn<In, Out, Clock> {
    using FanIn = batching::detail::FanIn<In, Out, Clock>;
    using Engine = batching::detail::Engine;

public:
    ProcessCall(std::shared_ptr<Engine> engine, ::grpc::ByteBuffer& reply, ActiveCalls& active,
                std::size_t max_message_size)
        : engine_(std::move(engine)),
          reply_(reply),
          active_(active),
          max_message_size_(max_message_size) {
        active_.add(*this);
    }
    ~ProcessCall() override { active_.remove(*this); }

    // Within the method's handler: until that returns, the call cannot end.
    void start(const wire::ProcessRequest& request) {
        this->reserve(request.items.size());
        for (const std::string_view item : request.items) {
            try {
                this->add(Codec<In>::decode(item));
            } catch (const Error&) {
                unreadable(std::current_exception());
            } catch (const std::exception& e) {  // of a codec of the user's
                unreadable(std::make_exception_ptr(Error(errc::malformed, e.what())));
            } catch (...) {
                unreadable(std::current_exception());
            }
        }
        this->submit(*engine_, &batching::detail::CompletionExecutor::anywhere(),
                     batching::detail::Accept::as_many_as_fit);
        if (state_.exchange(State::submitted) == State::cancelled) this->cancel(*engine_);
        this->detach();
    }

private:
    enum class State { open, submitted, cancelled };

    // The client has gone, or its deadline has passed. At any time, also while start() runs.
    void OnCancel() override { give_up(); }

    void give_up() override {
        if (state_.exchange(State::cancelled) == State::submitted) this->cancel(*engine_);
    }

    void OnDone() override { delete this; }

    // OnDone() and OnCancel() are called where gRPC learns of the end, not on one more thread that it would
    // wake for each call: 30 us of a lone one. It asks this of its own reactors only, as such functions must
    // not block for long, and may come inside Finish(): these wait at most while items are being moved or
    // calls given up, and nothing here touches a call that it has finished.
    bool InternalInlineable() override { return true; }

    // An item that will not run.
    void unreadable(std::exception_ptr error) {
        unreadable_.emplace_back(this->size() + unreadable_.size(), std::move(error));
    }

    void all_ended(bool detached) override {
        if (!detached) return;  // start() is still under way
        try {
            write_reply();
        } catch (...) {  // no memory for it
            return this->Finish(::grpc::Status(::grpc::StatusCode::RESOURCE_EXHAUSTED, ""));
        }
        this->Finish(::grpc::Status::OK);
    }

    void write_reply() {
        std::string results;
        const std::size_t size = this->size() + unreadable_.size();
        results.reserve(16 + size * 16);
        auto unreadable = unreadable_.begin();
        std::size_t part = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t kept = (size - 1 - i) * bare_failure;
            room_ = max_message_size_ - std::min(max_message_size_, kept);
            if (unreadable != unreadable_.end() && unreadable->first == i) {
                write(results, (unreadable++)->second);
            } else {
                write((*this)[part++], results);
            }
        }
        reply_ = to_buffer(std::move(results));
    }

    void write(const typename FanIn::Part& part, std::string& results) {
        if (part.error) {
            write(results, part.error);
        } else if constexpr (std::is_void_v<Out>) {
            write(results);
        } else {
            write(results, *part.value);
        }
    }
    void write(std::string& results) {
        wire::write_value(results, [](std::string&) {});
    }
    void write(std::string& results, const std::exception_ptr& error) {
        const ::grpc::Status status = status_of(error);
        const std::size_t before = results.size();
        wire::write_failure(results, status.error_code(), wire::valid_utf8(status.error_message()));
        if (results.size() <= room_) return;
        results.resize(before);
        wire::write_failure(results, status.error_code(), "");
    }
    template <class Value>
    void write(std::string& results, const Value& value) {
        const std::size_t before = results.size();
        try {
            wire::write_value(results, [&](std::string& out) { Codec<Value>::encode(value, out); });
            if (results.size() <= room_) return;
            throw Error(errc::message_too_large,
                        fmt::format("a result of {} bytes does not fit into a reply of at most {} "
                                    "bytes, of which {} are taken",
                                    results.size() - before, max_message_size_, before));
        } catch (...) {
            results.resize(before);
            write(results, std::current_exception());
        }
    }

    // A failure without a sentence: each result that is still to come has room for that.
    static constexpr std::size_t bare_failure = 8;

    const std::shared_ptr<Engine> engine_;
    std::vector<std::pair<std::size_t, std::exception_ptr>>
        unreadable_;  // by their place among all
    ::grpc::ByteBuffer& reply_;
    ActiveCalls& active_;
    const std::size_t max_message_size_;
    std::size_t room_ = 0;  // for the results up to the one that is written
    std::atomic<State> state_{State::open};
};

template <class In, class Out, class Clock>
class ServedBatcher final : public Served {
public:
    ServedBatcher(std::string name, Batcher<In, Out, Clock>& batcher)
        : Served(std::move(name), batching::detail::call_schema<In, Out>(),
                 batching::detail::Access::engine(batcher)->machine().rules().max_batch_size),
          engine_(batching::detail::Access::engine(batcher)) {}

    ::grpc::ServerUnaryReactor* process(const wire::ProcessRequest& request,
                                        ::grpc::ByteBuffer& reply, ActiveCalls& active,
                                        const DeployOptions& options) override {
        auto call = std::make_unique<ProcessCall<In, Out, Clock>>(engine_, reply, active,
                                                                  options.max_message_size);
        call->start(request);
        return call.release();
    }

    void flush() override { engine_->flush(); }

private:
    const std::shared_ptr<batching::detail::Engine> engine_;
};

}  // namespace batching::grpc::detail
