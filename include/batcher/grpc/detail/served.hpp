// Served: a Batcher under the name that a deployment gives it, and the Process calls that it answers.
#pragma once

#include <fmt/core.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <atomic>
#include <batcher/call_options.hpp>
#include <batcher/codec.hpp>
#include <batcher/detail/access.hpp>
#include <batcher/detail/core/traced.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/active_calls.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/incoming_call.hpp>
#include <batcher/grpc/detail/item_reader.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/traceparent.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <batcher/stats.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
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
    Served(std::string name, std::string schema)
        : name_(std::move(name)), schema_(std::move(schema)) {}
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;
    virtual ~Served() = default;

    // What reads the items, hands them in, and replies when the last has its result.
    virtual std::unique_ptr<Answer> answer(IncomingCall& call, Request request, ActiveCalls& active,
                                           const DeployOptions& options) = 0;
    // What waits is not to wait for its batch to fill.
    virtual void flush() = 0;
    virtual Stats stats() const = 0;
    // How many items fill a batch now.
    virtual std::size_t batch_size() const noexcept = 0;

    const std::string& name() const noexcept { return name_; }
    const std::string& schema() const noexcept { return schema_; }
    // Bytes that an item of a call takes besides those of its value.
    virtual std::size_t item_size() const noexcept = 0;

private:
    std::string name_;
    std::string schema_;
};

// One Process call.
template <class In, class Out, class Clock>
class ProcessCall final : public Answer,
                          private ActiveCall,
                          private batching::detail::FanIn<In, Out, Clock> {
    using FanIn = batching::detail::FanIn<In, Out, Clock>;
    using Engine = batching::detail::Engine;

public:
    ProcessCall(std::shared_ptr<Engine> engine, IncomingCall& call, Request request,
                ActiveCalls& active, std::size_t max_message_size)
        : engine_(std::move(engine)),
          call_(call),
          reader_(std::move(request)),
          active_(active),
          max_message_size_(max_message_size) {
        this->reserve(reader_.size());
        active_.add(*this);
    }
    ~ProcessCall() override { active_.remove(*this); }

    bool step() override {
        if (call_.client_gone()) throw Error(errc::unavailable, "the client has gone");
        if (!reader_.read_some([this](In item) { this->add(std::move(item)); })) return false;
        reader_.release();
        hand_in();
        if (state_.exchange(State::submitted) == State::cancelled) this->cancel(*engine_);
        this->detach();
        return true;
    }

    void client_gone() override { give_up(); }

    using Part = typename FanIn::Part;

private:
    enum class State { open, submitted, cancelled };
    using Steady = std::chrono::steady_clock;

    void hand_in() {
        auto* const anywhere = &batching::detail::CompletionExecutor::anywhere();
        constexpr auto accept = batching::detail::Accept::as_many_as_fit;
        if (!reader_.asks() && !engine_->tracing()) {
            return this->submit(*engine_, anywhere, accept);
        }
        const auto read_for = Steady::now() - arrived_;
        const auto asked_of = [&](std::size_t part) {
            CallOptions asked = reader_.asked(part);
            if (asked.timeout != no_timeout) {
                asked.timeout = std::chrono::nanoseconds(asked.timeout) - read_for;
            }
            return asked;
        };
        const TraceContext of_call = trace_context_of(call_.context());
        this->submit_with_terms(*engine_, anywhere, accept, asked_of, [&](std::size_t part) {
            const TraceContext own = reader_.context(part);
            return own.valid() ? own : of_call;
        });
    }

    void give_up() override {
        if (state_.exchange(State::cancelled) == State::submitted) this->cancel(*engine_);
    }

    void all_ended(bool detached) override {
        if (!detached) return;  // step() is still under way
        if (call_.client_gone()) return call_.refuse(::grpc::Status::CANCELLED);
        std::string results;
        try {
            write_results(results);
        } catch (...) {
            return call_.refuse(IncomingCall::no_memory_for_reply());
        }
        call_.reply(std::move(results));
    }

    void write_results(std::string& results) {
        const std::size_t size = reader_.size();
        results.reserve(16 + size * 16);
        auto unreadable = reader_.unreadable().begin();
        std::size_t part = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t kept = (size - 1 - i) * bare_failure;
            room_ = max_message_size_ - std::min(max_message_size_, kept);
            if (unreadable != reader_.unreadable().end() && unreadable->first == i) {
                write(results, (unreadable++)->second);
            } else {
                write((*this)[part++], results);
            }
        }
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
        if (error != last_error_) {  // many items have one error
            failure_ = failure_of(error);
            last_error_ = error;
        }
        const std::size_t before = results.size();
        wire::write_failure(results, failure_.code, failure_.message, failure_.retry_after);
        if (results.size() <= room_) return;
        results.resize(before);
        wire::write_failure(results, failure_.code, "");
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
    IncomingCall& call_;
    ItemReader<In> reader_;
    ActiveCalls& active_;
    const Steady::time_point arrived_ = Steady::now();
    const std::size_t max_message_size_;
    std::size_t room_ = 0;           // for the results up to the one that is written
    std::exception_ptr last_error_;  // that was written, as:
    Failure failure_;
    std::atomic<State> state_{State::open};
};

template <class In, class Out, class Clock>
class ServedBatcher final : public Served {
public:
    ServedBatcher(std::string name, Batcher<In, Out, Clock>& batcher)
        : Served(std::move(name), batching::detail::call_schema<In, Out>()),
          engine_(batching::detail::Access::engine(batcher)) {}

    std::unique_ptr<Answer> answer(IncomingCall& call, Request request, ActiveCalls& active,
                                   const DeployOptions& options) override {
        return std::make_unique<Call>(engine_, call, std::move(request), active,
                                      options.max_message_size);
    }

    void flush() override { engine_->flush(); }
    Stats stats() const override { return engine_->stats(); }
    std::size_t batch_size() const noexcept override { return engine_->max_batch_size(); }
    std::size_t item_size() const noexcept override {
        return sizeof(typename Call::Part) + sizeof(CallOptions) + sizeof(TraceContext) +
               sizeof(batching::detail::Traced) + sizeof(batching::detail::Deadline) + 64;
    }

private:
    using Call = ProcessCall<In, Out, Clock>;

    const std::shared_ptr<batching::detail::Engine> engine_;
};

}  // namespace batching::grpc::detail
