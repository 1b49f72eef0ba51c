// ItemReader: makes items of the bytes of a request, a part at a time.
//
// Items that cannot be read cost no more than others: from the second on nothing is thrown for one, unless
// by a codec of the user's, they share one sentence, and a request that has more of them than of others is
// given up.
#pragma once

#include <fmt/core.h>

#include <batcher/call_options.hpp>
#include <batcher/codec.hpp>
#include <batcher/error.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/shortened.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// A request as it was read, and the bytes that it refers to.
struct Request {
    Contiguous bytes;
    wire::ProcessRequest fields;
};

template <class In>
class ItemReader {
public:
    // By their place among all.
    using Unreadable = std::vector<std::pair<std::size_t, std::exception_ptr>>;

    explicit ItemReader(Request request)
        : request_(std::move(request)),
          size_(request_.fields.items.size()),
          asked_(std::move(request_.fields.asked)),
          contexts_(std::move(request_.fields.contexts)) {}

    // Calls take(item) for the next items, for about a millisecond; true if those were the last. Throws
    // errc::malformed if it is no use to go on.
    template <class Take>
    bool read_some(Take take) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
        while (next_ != size_) {
            if (std::optional<In> item = read(request_.fields.items[next_])) {
                const std::size_t readable = next_ - unreadable_.size();
                if (asks()) asked_[readable] = asked_[next_];
                if (!contexts_.empty()) contexts_[readable] = contexts_[next_];
                take(*std::move(item));
            } else {
                give_up_if_many();
            }
            if (++next_ % 16 == 0 && std::chrono::steady_clock::now() > end) return next_ == size_;
        }
        return true;
    }

    // The bytes are not needed any more.
    void release() { request_ = Request(); }

    // Whether anything is asked for some item; and what is, for each that could be read, in their order.
    bool asks() const noexcept { return !asked_.empty(); }
    CallOptions asked(std::size_t readable) const noexcept {
        return asks() ? asked_[readable] : CallOptions();
    }
    // The context of the caller of each that could be read, if that was sent.
    TraceContext context(std::size_t readable) const noexcept {
        return contexts_.empty() ? TraceContext() : contexts_[readable];
    }

    std::size_t size() const noexcept { return size_; }
    const Unreadable& unreadable() const noexcept { return unreadable_; }

private:
    using Doubt = batching::detail::Doubt;

    std::optional<In> read(std::string_view bytes) {
        try {
            if constexpr (batching::detail::DecodesQuietly<In>) {
                const Doubt doubt = unreadable_.empty() ? Doubt::none : Doubt::some;
                if (std::optional<In> item = Codec<In>::try_decode(bytes, doubt)) return item;
                if (!error_) error_ = unreadable_error();
                unreadable_.emplace_back(next_, error_);
            } else {
                return Codec<In>::decode(bytes);
            }
        } catch (const std::exception& e) {  // of a codec of the user's
            unreadable_.emplace_back(next_,
                                     std::make_exception_ptr(Error(errc::malformed, e.what())));
        } catch (...) {
            unreadable_.emplace_back(next_, std::current_exception());
        }
        return std::nullopt;
    }

    static std::exception_ptr unreadable_error() {
        return std::make_exception_ptr(Error(
            errc::malformed, fmt::format("the item is no {}", shortened(Codec<In>::schema()))));
    }

    // A client that has a few bad items is told which; one that sends garbage is not worth the work.
    void give_up_if_many() const {
        const std::size_t bad = unreadable_.size();
        if (bad <= 100 || bad * 2 <= next_) return;
        throw Error(errc::malformed, fmt::format("{} of the first {} of {} items cannot be read",
                                                 bad, next_ + 1, size_));
    }

    Request request_;
    const std::size_t size_;
    std::vector<CallOptions> asked_;
    std::vector<TraceContext> contexts_;
    std::size_t next_ = 0;
    Unreadable unreadable_;
    std::exception_ptr error_;  // of all that cannot be read
};

}  // namespace batching::grpc::detail
