// Result<Out>: a value, or the exception that one item failed with.
//
// For batch functions in which items fail one by one: return std::vector<batching::Result<Out>>.
//
//     std::vector<batching::Result<double>> roots(const std::vector<double>& batch) {
//         std::vector<batching::Result<double>> results;
//         for (double x : batch) {
//             if (x >= 0) results.emplace_back(std::sqrt(x));
//             else results.emplace_back(std::make_exception_ptr(std::domain_error("negative")));
//         }
//         return results;
//     }
//
// The exception is thrown in the caller of that item alone. Thread safety: as a plain value.
#pragma once

#include <concepts>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

namespace batching {

template <class Out>
class Result {
public:
    Result(Out value) : state_(std::in_place_index<0>, std::move(value)) {}

    // Precondition: `error` is not null; throws std::invalid_argument otherwise.
    Result(std::exception_ptr error) : state_(std::in_place_index<1>, std::move(error)) {
        if (std::get<1>(state_) == nullptr) {
            throw std::invalid_argument(
                "a batching::Result needs a value or an exception, not null");
        }
    }

    // If you see an error here, it means that a Result was made from something else.
    template <class Wrong>
        requires(!std::convertible_to<Wrong, Out> &&
                 !std::convertible_to<Wrong, std::exception_ptr> &&
                 !std::same_as<std::remove_cvref_t<Wrong>, Result>)
    Result(Wrong&&) {
        static_assert(sizeof(Wrong) == 0,
                      "a batching::Result is made from a value, or from a std::exception_ptr: "
                      "write std::make_exception_ptr(error)");
    }

    bool has_value() const noexcept { return state_.index() == 0; }

    // The value; throws the exception if that is what it holds.
    Out& value() & { return rethrow_error(), std::get<0>(state_); }
    const Out& value() const& { return rethrow_error(), std::get<0>(state_); }
    Out&& value() && { return rethrow_error(), std::get<0>(std::move(state_)); }

    // The exception, or null.
    std::exception_ptr error() const noexcept {
        const auto* error = std::get_if<1>(&state_);
        return error != nullptr ? *error : nullptr;
    }

private:
    void rethrow_error() const {
        if (const auto* error = std::get_if<1>(&state_)) std::rethrow_exception(*error);
    }

    std::variant<Out, std::exception_ptr> state_;
};

// For batch functions whose items have no value but may fail: done, or an exception.
template <>
class Result<void> {
public:
    Result() = default;
    Result(std::exception_ptr error) : error_(std::move(error)) {
        if (error_ == nullptr) {
            throw std::invalid_argument(
                "a batching::Result needs a value or an exception, not null");
        }
    }

    bool has_value() const noexcept { return error_ == nullptr; }
    void value() const {
        if (error_) std::rethrow_exception(error_);
    }
    std::exception_ptr error() const noexcept { return error_; }

private:
    std::exception_ptr error_;
};

}  // namespace batching
