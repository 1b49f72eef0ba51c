// ConnectionCounts: what the calls of a handle have met, counted by whatever thread they end on.
#pragma once

#include <array>
#include <atomic>
#include <batcher/error.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace batching::grpc::detail {

// errc begins with 1; place 0 is for what is no Error.
inline constexpr std::size_t error_kinds = static_cast<std::size_t>(errc::too_heavy) + 1;

struct ConnectionCounts {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::uint64_t> repeats{0};
    std::atomic<std::uint64_t> reconnects{0};
    std::array<std::atomic<std::uint64_t>, error_kinds> errors{};

    static void add(std::atomic<std::uint64_t>& count) noexcept {
        count.fetch_add(1, std::memory_order_relaxed);
    }
};

inline std::size_t kind_of(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const Error& e) {
        const auto kind = static_cast<std::size_t>(e.code().value());
        return kind < error_kinds ? kind : 0;
    } catch (...) {
        return 0;
    }
}

// The errors of a batch. Items that fail together have the same one.
class ErrorTally {
public:
    explicit ErrorTally(ConnectionCounts& counts) noexcept : counts_(counts) {}

    void add(const std::exception_ptr& error) noexcept {
        if (error != last_) {
            last_ = error;
            kind_ = kind_of(error);
        }
        ConnectionCounts::add(counts_.errors[kind_]);
    }

private:
    ConnectionCounts& counts_;
    std::exception_ptr last_;
    std::size_t kind_ = 0;
};

}  // namespace batching::grpc::detail
