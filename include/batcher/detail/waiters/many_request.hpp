// Requests for many items at once: process_many() and process_each(). Their interface: request.hpp.
#pragma once

#include <batcher/call_options.hpp>
#include <batcher/detail/compiler.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/asks.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <batcher/outlives.hpp>
#include <batcher/result.hpp>
#include <concepts>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

// Many items, and one completion when all are done.
template <class In, class Out, class Clock, Accept accept, class Asks = AsksNothing>
class ManyRequest : public Call {
    static constexpr bool asks = std::same_as<Asks, AsksFor>;

    // Not in the caller's frame: parts may be on their way back when that is destroyed.
    struct Parts final : FanIn<In, Out, Clock> {
        explicit Parts(Call& c) noexcept : caller(c), in_frame(c.ops->in_frame) {}

        void all_ended(bool detached) override {
            if (detached) {
                delete this;
            } else if (!this->abandoned()) {
                caller.ops->resume(caller);
            } else if (!in_frame) {
                caller.ops->abandon(caller);
            }
        }

        Call& caller;
        const bool in_frame;  // its owner may destroy it at any time: nothing to abandon
    };

public:
    static constexpr bool one_item = false;
    static constexpr bool many_items = true;
    static constexpr bool refers = refers_elsewhere<In>;
    using payload_type = typename Asks::template payload<std::vector<In>>;

    ManyRequest(Engine& engine, std::vector<In>&& items)
        requires(!asks)
        : engine_(&engine), items_(std::move(items)) {}
    ManyRequest(Engine& engine, payload_type&& payload)
        requires asks
        : engine_(&engine), items_(std::move(payload.items)) {
        asks_.options = payload.options;
    }

    payload_type payload() noexcept
        requires asks
    {
        return {std::move(items_), asks_.options};
    }
    payload_type&& payload() noexcept
        requires(!asks)
    {
        return std::move(items_);
    }
    std::vector<In> take_back() {
        for (std::size_t i = 0; parts_ != nullptr && i < parts_->size(); ++i) {
            items_.push_back(std::move((*parts_)[i].input));
        }
        return std::move(items_);
    }

    void prepare() {
        parts_ = new Parts(*this);
        parts_->reserve(items_.size());
        for (auto&& item : items_) parts_->add(In(std::move(item)));  // vector<bool> has proxies
        items_.clear();
    }

    BATCHER_NOINLINE void start() {
        CallOptions options;
        if constexpr (asks) options = asks_.options;
        if (parts_->size() != 0) return parts_->submit(*engine_, this->resumes_on, accept, options);
        state(CallState::queued);
        engine_->refuse(*this, nullptr);  // no part resumes it
    }

    bool has_to_wait() const noexcept { return !items_.empty(); }

    void withdraw() noexcept {
        if (parts_ != nullptr) std::exchange(parts_, nullptr)->leave(*engine_);
        if (pending()) engine_->withdraw(*this);
    }

    Batch* loading() const noexcept { return parts_->loading(); }
    void cancel(asio::cancellation_type type, const std::exception_ptr& error) {
        parts_->cancel(*engine_, type, error);
    }

    Engine& engine() const noexcept { return *engine_; }

protected:
    ~ManyRequest() {
        if (parts_ != nullptr) parts_->leave(*engine_);
    }
    FanIn<In, Out, Clock>& parts() noexcept { return *parts_; }

private:
    Engine* engine_;
    std::vector<In> items_;   // until it is started
    Parts* parts_ = nullptr;  // afterwards
    BATCHER_NO_UNIQUE_ADDRESS Asks asks_;
};

// process_many(items): accepted or refused as a whole. If some fail, the error is that of the first of them in the order
// of the items.
template <class In, class Out, class Clock, class Asks = AsksNothing>
class ProcessManyRequest : public ManyRequest<In, Out, Clock, Accept::all_or_none, Asks> {
public:
    using ProcessManyRequest::ManyRequest::ManyRequest;
    using value_type = std::conditional_t<std::is_void_v<Out>, void, std::vector<Out>>;

    value_type take() {
        auto& parts = this->parts();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (parts[i].error) std::rethrow_exception(parts[i].error);
        }
        if constexpr (!std::is_void_v<Out>) {
            std::vector<Out> values;
            values.reserve(parts.size());
            for (std::size_t i = 0; i < parts.size(); ++i) {
                values.push_back(std::move(*parts[i].value));
            }
            return values;
        }
    }

protected:
    ~ProcessManyRequest() = default;
};

// process_each(items): each item has its own fate.
template <class In, class Out, class Clock, class Asks = AsksNothing>
class ProcessEachRequest : public ManyRequest<In, Out, Clock, Accept::as_many_as_fit, Asks> {
public:
    using ProcessEachRequest::ManyRequest::ManyRequest;
    using value_type = std::vector<Result<Out>>;

    value_type take() {
        auto& parts = this->parts();
        value_type results;
        results.reserve(parts.size());
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (parts[i].error) {
                results.emplace_back(parts[i].error);
            } else if constexpr (std::is_void_v<Out>) {
                results.emplace_back();
            } else {
                results.emplace_back(std::move(*parts[i].value));
            }
        }
        return results;
    }

protected:
    ~ProcessEachRequest() = default;
};

}  // namespace batching::detail
