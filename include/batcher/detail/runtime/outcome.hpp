// Outcome: what one call of the batch function gave, for all of its items.
#pragma once

#include <fmt/format.h>

#include <batcher/error.hpp>
#include <batcher/result.hpp>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace batching::detail {

template <class Out>
class Outcome {
    struct Done {};  // of a void function: done, no values
    using Values = std::conditional_t<std::is_void_v<Out>, Done, std::vector<Out>>;

public:
    Outcome() = default;
    explicit Outcome(std::exception_ptr error) : state_(std::move(error)) {}

    // From what the batch function returned for `items` items.
    Outcome(std::size_t items, std::vector<Result<Out>> results) {
        hold(items, std::move(results));
    }
    Outcome(std::size_t items, Values values)
        requires(!std::is_void_v<Out>)
    {
        hold(items, std::move(values));
    }

    // Every item gets a value; every one gets the same error; or each what is in its Result.
    bool has_values() const noexcept { return std::holds_alternative<Values>(state_); }
    bool has_error() const noexcept { return std::holds_alternative<std::exception_ptr>(state_); }
    bool has_value(std::size_t index) const noexcept {
        const auto* results = std::get_if<Results>(&state_);
        return results != nullptr ? (*results)[index].has_value() : has_values();
    }

    // The value of item `index`, to be taken once; throws its exception if it has one.
    Out take(std::size_t index) {
        if constexpr (!std::is_void_v<Out>) {
            if (auto* values = std::get_if<Values>(&state_)) return std::move((*values)[index]);
        }
        if (auto* error = std::get_if<std::exception_ptr>(&state_)) std::rethrow_exception(*error);
        if constexpr (std::is_void_v<Out>) {
            if (auto* results = std::get_if<Results>(&state_)) (*results)[index].value();
        } else {
            return std::move(std::get<Results>(state_)[index]).value();
        }
    }

private:
    using Results = std::vector<Result<Out>>;

    template <class Many>
    void hold(std::size_t items, Many many) {
        if (many.size() == items) {
            state_ = std::move(many);
        } else {
            state_ = std::make_exception_ptr(Error(
                errc::result_count_mismatch,
                fmt::format("the batch function returned {} result{} for {} item{}", many.size(),
                            many.size() == 1 ? "" : "s", items, items == 1 ? "" : "s")));
        }
    }

    std::variant<Done, std::exception_ptr, Results,
                 std::conditional_t<std::is_void_v<Out>, std::monostate, std::vector<Out>>>
        state_;
};

// Runs `call`, a call of the batch function for `items` items; what it throws is the outcome, too.
template <class Out, class Call>
Outcome<Out> outcome_of(std::size_t items, Call&& call) noexcept {
    try {
        if constexpr (std::is_void_v<decltype(call())>) {
            call();
            return Outcome<Out>();
        } else {
            return Outcome<Out>(items, call());
        }
    } catch (...) {
        return Outcome<Out>(std::current_exception());
    }
}

}  // namespace batching::detail
