// What `Batcher batcher{...}` cannot be made from, refused with one sentence.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/batcher.hpp>
#include <batcher/detail/runtime/rule_set.hpp>
#include <batcher/options.hpp>
#include <concepts>
#include <type_traits>

namespace batching {

namespace detail {

// If you see an error here, it means that a Batcher was made from what it is not made from. (Constrained here, as clang
// looks here before it looks at the constraints of a guide.)
template <class First, class Second>
struct Refused {};
template <class First, class Second>
    requires(!WhereToRun<First> && !WhereToRun<Second> && !std::convertible_to<Second, Options> &&
             !ItemRule<std::remove_cvref_t<Second>>)
struct Refused<First, Second> {
    using Pointee = std::remove_pointer_t<std::remove_cvref_t<First>>;
    static constexpr bool pointer =
        std::is_pointer_v<std::remove_cvref_t<First>> && WhereToRun<Pointee>;
    static constexpr bool options = std::same_as<std::remove_cvref_t<First>, Options>;
    static_assert(!pointer,
                  "the execution context is given by reference: "
                  "batching::Batcher batcher{*context, function, options}");
    static_assert(
        !options,
        "the options come after the batch function: batching::Batcher batcher{function, options}");
    static_assert(pointer || options,
                  "after the batch function come its options, with their names: "
                  "batching::Batcher batcher{function, {.max_batch_size = 64}}");
    using in = int;
};

template <class Where, class Rule>
struct RuleBeforeOptionsOn {};
template <WhereToRun Where, class Rule>
struct RuleBeforeOptionsOn<Where, Rule> : RuleBeforeOptions<Rule> {};

}  // namespace detail

template <class First, class Second, class... More>
Batcher(First&&, Second&&, More&&...) -> Batcher<typename detail::Refused<First, Second>::in, int>;

template <class F, class Rule, class... More>
Batcher(F&&, Rule, Options = {}, More&&...)
    -> Batcher<typename detail::RuleBeforeOptions<Rule>::in, int>;

template <class Where, class F, class Rule, class... More>
Batcher(Where&&, F&&, Rule, Options = {}, More&&...)
    -> Batcher<typename detail::RuleBeforeOptionsOn<Where, Rule>::in, int>;

}  // namespace batching
