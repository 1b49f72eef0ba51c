// Result<Out>: how items fail one by one.
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
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace batching {

// A value, or the exception that one item failed with: what a batch function returns a std::vector of, if its items
// fail one by one.
//
//     std::vector<batching::Result<double>> roots(const std::vector<double>& batch);
template <class Out>
class Result {
public:
    // A value.
    Result(Out value) : value_(std::move(value)) {}

    // An exception. Precondition: `error` is not null; throws std::invalid_argument otherwise.
    Result(std::exception_ptr error) : error_(std::move(error)) {
        if (error_ == nullptr) {
            throw std::invalid_argument(
                "a batching::Result needs a value or an exception, not null");
        }
    }

    // If you see an error here, it means that a Result was made from something else.
    template <class Wrong>
        requires(!std::same_as<std::remove_cvref_t<Wrong>, Result> &&
                 !std::convertible_to<Wrong, Out> &&
                 !std::convertible_to<Wrong, std::exception_ptr>)
    explicit(!std::derived_from<std::remove_cvref_t<Wrong>, std::exception>) Result(Wrong&&) {
        static_assert(sizeof(Wrong) == 0,
                      "a batching::Result is made from a value, or from a std::exception_ptr: "
                      "write std::make_exception_ptr(error)");
    }

    // False: it holds an exception.
    bool has_value() const noexcept { return value_.has_value(); }

    // NOLINTBEGIN(bugprone-unchecked-optional-access): without an error there is a value

    // The value; throws the exception if that is what it holds.
    Out& value() & { return rethrow_error(), *value_; }
    // The same of a Result that is const.
    const Out& value() const& { return rethrow_error(), *value_; }
    // The same, to be moved out of a Result that is on its way out.
    Out&& value() && { return rethrow_error(), *std::move(value_); }

    // NOLINTEND(bugprone-unchecked-optional-access)

    // The exception, or null.
    std::exception_ptr error() const noexcept { return error_; }

private:
    void rethrow_error() const {
        if (error_) std::rethrow_exception(error_);
    }

    // One of them is set. (g++ 12 -O2 takes the strings of a variant for uninitialised, and warns where it is copied.)
    std::optional<Out> value_;
    std::exception_ptr error_;
};

// Of batch functions whose items have no value but may fail: done, or an exception.
template <>
class Result<void> {
public:
    // Done.
    Result() = default;
    // An exception. Precondition: `error` is not null; throws std::invalid_argument otherwise.
    Result(std::exception_ptr error) : error_(std::move(error)) {
        if (error_ == nullptr) {
            throw std::invalid_argument(
                "a batching::Result needs a value or an exception, not null");
        }
    }

    // False: it holds an exception.
    bool has_value() const noexcept { return error_ == nullptr; }
    // Nothing; throws the exception if that is what it holds.
    void value() const {
        if (error_) std::rethrow_exception(error_);
    }
    // The exception, or null.
    std::exception_ptr error() const noexcept { return error_; }

private:
    std::exception_ptr error_;
};

}  // namespace batching
