// What a batch function is: the concept, the deduction of its item and result types, and the sentences
// that refuse everything else.
//
//     std::vector<double> add(std::vector<Params> batch);             // Batcher<Params, double>
//     void insert(std::span<const Row> batch);                        // Batcher<Row, void>
//     std::vector<batching::Result<Reply>> ask(const std::vector<Request>& batch);   // errors per item
//     asio::awaitable<std::vector<Reply>> fetch(std::vector<Request> batch);         // asynchronous
//     std::vector<double> add(std::vector<Params> batch, const batching::BatchInfo& info);   // batch_info.hpp
//
// It takes the items as std::vector<In> (by value, &, const& or &&), std::span<In> or
// std::span<const In>, and gives one result per item in the same order. It may be move-only, and it is
// called by one thread at a time per slot (Options::max_concurrent_batches). It is never called with
// zero items. What it takes by reference or as a span lives until it is done, for an asynchronous
// function until its coroutine has returned. It is destroyed with the Batcher or when the last running
// batch is done, whichever is later.
//
// An asynchronous function is cancelled (cancellation_type::terminal) as soon as nobody waits for its batch any more;
// if that is before it was called, it does not start. Cancellation never runs beside it, as its coroutine runs in a
// strand of its own on the Batcher's executor.
#pragma once

#include <batcher/batch_info.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/signature.hpp>
#include <batcher/result.hpp>
#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

namespace detail {

template <class F>
class Replicas;
template <class F>
struct SignatureOf<Replicas<F>> : SignatureOf<F> {};

// ---- the result of a batch function ---------------------------------------------------------------

template <class R>
struct ResultTraits {
    static constexpr bool valid = false;
    static constexpr bool asynchronous = false;
    using out = void;
};
template <class Out>
struct ResultTraits<std::vector<Out>> {
    static constexpr bool valid = true;
    static constexpr bool asynchronous = false;
    using out = Out;
};
template <class Out>
struct ResultTraits<std::vector<Result<Out>>> : ResultTraits<std::vector<Out>> {
    using out = Out;
};
template <>
struct ResultTraits<std::vector<Result<void>>> {
    static constexpr bool valid = true;
    static constexpr bool asynchronous = false;
    using out = void;
};
template <>
struct ResultTraits<void> {
    static constexpr bool valid = true;
    static constexpr bool asynchronous = false;
    using out = void;
};
template <class R>
struct ResultTraits<asio::awaitable<R>> : ResultTraits<R> {
    static constexpr bool asynchronous = ResultTraits<R>::valid;
};

// ---- its parameter --------------------------------------------------------------------------------

template <class P>
struct ItemsTraits {
    static constexpr bool valid = false;
    using in = void;
};
template <class In>
struct ItemsTraits<std::vector<In>> {
    static constexpr bool valid = true;
    using in = In;
};
template <class In>
struct ItemsTraits<std::span<In>> {
    static constexpr bool valid = true;
    using in = std::remove_const_t<In>;
};

// An executor or an execution context: it is not a batch function, and owns the threads of one.
template <class T>
concept ExecutionContext =
    std::derived_from<T, asio::execution_context> && requires(T& t) { t.get_executor(); };
template <class T>
concept Executor =
    !std::is_function_v<std::remove_pointer_t<T>> && asio::execution::is_executor_v<T> &&
    std::convertible_to<T, asio::any_io_executor>;
template <class T>
concept WhereToRun = ExecutionContext<std::remove_cvref_t<T>> || Executor<std::remove_cvref_t<T>>;

// ---- deduction, for `Batcher batcher{function}` ----------------------------------------------------

// If you see an error here, it means that what was given to batching::Batcher is not a batch function,
// or one whose types have to be named; the sentence says what to write.
template <class F>
struct Deduced {
    using signature = SignatureOf<F>;
    static constexpr bool generic = !signature::found && std::is_class_v<F>;
    static constexpr bool member = std::is_member_pointer_v<F>;
    static_assert(!member,
                  "a member function has no object to be called on: write a lambda, "
                  "[&model](std::vector<In> items) { return model.run(std::move(items)); }");
    static_assert(
        !generic,
        "the item types of a generic, overloaded or uncallable object cannot be deduced: name "
        "them, as in batching::Batcher<In, Out> batcher{function}");
    static_assert(
        signature::found || generic || member,
        "a batch function is something callable: a function, a lambda or a function object");

    static consteval auto deduce() {
        if constexpr (signature::found) {
            using items = ItemsTraits<std::remove_cvref_t<typename signature::parameter>>;
            using results = ResultTraits<typename signature::result>;
            static_assert(
                items::valid,
                "a batch function takes its items as one std::vector<In> (by value, &, const& "
                "or &&), std::span<In> or std::span<const In>");
            static_assert(
                !items::valid || signature::arity == 1 || signature::takes_info,
                "after its items a batch function takes nothing but const batching::BatchInfo&, if "
                "it wants that: what else it needs, a lambda captures");
            static_assert(
                results::valid,
                "a batch function returns one result per item: std::vector<Out>, "
                "std::vector<batching::Result<Out>> or void, or an asio::awaitable of one of "
                "these");
            return std::type_identity<std::pair<typename items::in*, typename results::out*>>{};
        } else {
            return std::type_identity<std::pair<void*, void*>>{};
        }
    }
    using types = typename decltype(deduce())::type;
    using in = std::remove_pointer_t<typename types::first_type>;
    using out = std::remove_pointer_t<typename types::second_type>;
};

// The same for `Batcher batcher{where, function}`; nothing if `where` is neither executor nor context,
// since clang 14 looks here before it looks at constraints.
template <class Where, class F>
struct DeducedOn {};
template <class Where, class F>
    requires ExecutionContext<Where> || Executor<Where>
struct DeducedOn<Where, F> : Deduced<F> {};

// `Batcher batcher{function, where}` is refused.
template <class F, class Where>
struct WrongOrder {};
template <class F, class Where>
    requires(!ExecutionContext<F> && !Executor<F> && (ExecutionContext<Where> || Executor<Where>))
struct WrongOrder<F, Where> {
    static_assert(sizeof(F) == 0,
                  "the executor, or the execution context, comes first: "
                  "batching::Batcher batcher{context, function, options}");
    using in = int;
    using out = int;
};

// ---- calling it ------------------------------------------------------------------------------------

// What a function is given that takes no BatchInfo: nothing.
struct NoInfo {};
inline constexpr NoInfo no_info{};

template <class F, class In, class... Info>
concept TakesRvalue = std::invocable<F&, std::vector<In>, const Info&...>;
template <class F, class In, class... Info>
concept Takes = TakesRvalue<F, In, Info...> || std::invocable<F&, std::vector<In>&, const Info&...>;

// A function that can be called without is called without, unless it is seen to have the parameter.
template <class F, class In>
inline constexpr bool takes_info_v =
    (SignatureOf<F>::takes_info || !Takes<F, In>) && Takes<F, In, BatchInfo>;
template <class F, class In>
inline constexpr bool takes_info_v<Replicas<F>, In> = takes_info_v<F, In>;

template <class F, class In>
using InfoFor = std::conditional_t<takes_info_v<F, In>, BatchInfo, NoInfo>;

// Items go by rvalue where that is accepted: a function that takes them by value gets them without a
// copy, and one that only looks leaves the vector, and its memory, for the next batch.
template <class F, class In, class... Info>
decltype(auto) call_with(F& function, std::vector<In>& items, const Info&... info) {
    if constexpr (TakesRvalue<F, In, Info...>) {
        return std::invoke(function, std::move(items), info...);
    } else {
        return std::invoke(function, items, info...);
    }
}
template <class F, class In>
decltype(auto) call_batch_function(F& function, std::vector<In>& items,
                                   [[maybe_unused]] const InfoFor<F, In>& info) {
    if constexpr (takes_info_v<F, In>) {
        return call_with(function, items, info);
    } else {
        return call_with(function, items);
    }
}

template <class F, class In>
struct CallResult {
    using type = decltype(call_batch_function(std::declval<F&>(), std::declval<std::vector<In>&>(),
                                              std::declval<const InfoFor<F, In>&>()));
};
template <class F, class In>
struct CallResult<Replicas<F>, In> : CallResult<F, In> {};

template <class F, class In>
inline constexpr bool takes_items_v = Takes<F, In> || Takes<F, In, BatchInfo>;
template <class F, class In>
inline constexpr bool takes_items_v<Replicas<F>, In> = takes_items_v<F, In>;

template <class F, class In, class Out>
consteval bool is_batch_function() {
    if constexpr (takes_items_v<F, In>) {
        using traits = ResultTraits<typename CallResult<F, In>::type>;
        return traits::valid && std::same_as<typename traits::out, Out>;
    } else {
        return false;
    }
}

template <class F, class In>
concept Asynchronous =
    takes_items_v<F, In> && ResultTraits<typename CallResult<F, In>::type>::asynchronous;

// If you see an error here, it means that the function given to a Batcher<In, Out> does not fit its In
// and Out; the sentence says what to change.
template <class F, class In, class Out>
consteval void check_batch_function() {
    static_assert(
        takes_items_v<F, In>,
        "this function cannot be called with this Batcher's items: it must take one "
        "std::vector<In>, std::span<In> or std::span<const In>, with the Batcher's In, and "
        "nothing else, or const batching::BatchInfo& after it");
    if constexpr (takes_items_v<F, In>) {
        using traits = ResultTraits<typename CallResult<F, In>::type>;
        static_assert(
            traits::valid,
            "a batch function returns one result per item: std::vector<Out>, "
            "std::vector<batching::Result<Out>> or void, or an asio::awaitable of one of these");
        static_assert(
            !traits::valid || std::same_as<typename traits::out, Out>,
            "this function's results are not this Batcher's Out: return std::vector<Out> or "
            "std::vector<batching::Result<Out>>, with the Batcher's Out");
    }
}

}  // namespace detail

// A function that Batcher<In, Out> can wrap: it takes a std::vector<In> or a std::span of them, and a const BatchInfo&
// if it wants that, and returns a std::vector<Out>, one result per item.
template <class F, class In, class Out>
concept BatchFunction = detail::is_batch_function<F, In, Out>();

}  // namespace batching
