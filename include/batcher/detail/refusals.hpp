// Refusals: the mistakes in calling a Batcher, each refused with one sentence.
//
// They are overloads that take what no other does. If you see an error here, its sentence says what to write.
#pragma once

#include <batcher/call_options.hpp>
#include <batcher/detail/fields.hpp>
#include <batcher/detail/items.hpp>
#include <concepts>
#include <type_traits>
#include <vector>

namespace batching::detail {

// Braces with what no item is made from.
template <class In>
struct NoFields {
    template <class... T>
        requires(!MadeFrom<In, T...>)
    NoFields(T&&...) {}
};

// What stands behind the items of a call is what it asks for.
template <class... More>
inline constexpr bool AskedFor = false;
template <class Second>
inline constexpr bool AskedFor<Second> = std::convertible_to<Second, CallOptions>;

// In a list of parameters that would be the same as one of the Batcher's: older compilers would hide it behind that.
struct Nobodys {};

template <class In, class Process, class ProcessMany>
class Refusals {
public:
    template <class NoItem>
        requires(!std::convertible_to<NoItem, In>)
    Process process(NoItem&&, Nobodys = {}) {
        constexpr bool is_item = std::same_as<std::remove_cvref_t<NoItem>, In>;
        static_assert(is_item,
                      "process() takes one item of this Batcher: its argument is not, and does not "
                      "convert to, the Batcher's In");
        static_assert(!is_item, "this item cannot be copied: write process(std::move(item))");
    }
#if !defined(__clang_major__) || __clang_major__ >= 15  // older ones give it fields with names, too
    template <class Same = In>
    Process process(NoFields<Same>) {
        static_assert(sizeof(Same) == 0,
                      "process({...}) makes one item of this Batcher: its In cannot be made from "
                      "what stands in the braces");
    }
#endif
    template <class First, class Second, class... More>
        requires(sizeof...(More) != 0 || !std::convertible_to<Second, CallOptions>)
    Process process(First&&, Second&&, More&&...) {
        static_assert(sizeof(First) == 0,
                      "process() takes one item: the fields of an item go in braces, "
                      "process({a, b}), and several items to process_many({a, b})");
    }
    Process process(const In&) const {
        static_assert(sizeof(In) == 0,
                      "process() queues an item: it cannot be called on a const Batcher");
    }

    template <class Item>
    void async_process(Item&&) {
        static_assert(sizeof(Item) == 0,
                      "async_process() takes an item and a completion token: a callback, "
                      "asio::use_future or the like");
    }
    template <class NoItem, class Token>
        requires(!std::convertible_to<NoItem, In>)
    void async_process(NoItem&&, Token&&) {
        static_assert(sizeof(Token) == 0,
                      "async_process() takes one item of this Batcher and a completion token: its "
                      "first argument is not, and does not convert to, the Batcher's In");
    }
    template <class Token>
    void async_process(const In&, Token&&) const {
        static_assert(sizeof(Token) == 0,
                      "async_process() queues an item: it cannot be called on a const Batcher");
    }

    template <class First, class... More>
        requires(!AskedFor<More...> &&
                 (sizeof...(More) != 0 || (!std::convertible_to<First, std::vector<In>> &&
                                           !std::convertible_to<First, Items<In>>)))
    ProcessMany process_many(First&&, More&&...) {
        static_assert(sizeof(First) == 0,
                      "process_many() takes one std::vector of this Batcher's items, or some of "
                      "them in braces: process_many({a, b})");
    }
    ProcessMany process_many(const std::vector<In>&) const {
        static_assert(sizeof(In) == 0,
                      "process_many() queues items: it cannot be called on a const Batcher");
    }
};

}  // namespace batching::detail
