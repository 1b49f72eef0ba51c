// Budget: how many bytes all calls together may hold. Share: what one of them has taken, until it goes.
#pragma once

#include <atomic>
#include <cstddef>

namespace batching::grpc::detail {

class Budget {
public:
    explicit Budget(std::size_t limit) noexcept : limit_(limit), left_(limit) {}

    std::size_t limit() const noexcept { return limit_; }

    // False, and nothing is taken, if there are not so many left.
    bool take(std::size_t bytes) noexcept {
        std::size_t left = left_.load(std::memory_order_relaxed);
        do {
            if (left < bytes) return false;
        } while (!left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed));
        return true;
    }
    void give_back(std::size_t bytes) noexcept {
        left_.fetch_add(bytes, std::memory_order_relaxed);
    }

private:
    const std::size_t limit_;
    std::atomic<std::size_t> left_;
};

class Share {
public:
    explicit Share(Budget& budget) noexcept : budget_(budget) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { budget_.give_back(bytes_); }

    bool grow(std::size_t bytes) noexcept {
        if (!budget_.take(bytes)) return false;
        bytes_ += bytes;
        return true;
    }
    // So many from now on.
    bool become(std::size_t bytes) noexcept {
        if (bytes > bytes_) return grow(bytes - bytes_);
        budget_.give_back(bytes_ - bytes);
        bytes_ = bytes;
        return true;
    }

private:
    Budget& budget_;
    std::size_t bytes_ = 0;
};

}  // namespace batching::grpc::detail
