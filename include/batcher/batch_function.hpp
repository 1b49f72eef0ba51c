// What a batch function is: the concept, the deduction of its item and result types, and the sentences
// that refuse everything else.
//
//     std::vector<double> add(std::vector<Params> batch);             // Batcher<Params, double>
//     void insert(std::span<const Row> batch);                        // Batcher<Row, void>
//     std::vector<batching::Result<Reply>> ask(const std::vector<Request>& batch);   // errors per item
//     asio::awaitable<std::vector<Reply>> fetch(std::vector<Request> batch);         // asynchronous
//
// It takes the items as std::vector<In> (by value, &, const& or &&), std::span<In> or
// std::span<const In>, and gives one result per item in the same order. It may be move-only, and it is
// called by one thread at a time per slot (Options::max_concurrent_batches). It is never called with
// zero items. What it takes by reference or as a span lives until it is done, for an asynchronous
// function until its coroutine has returned. It is destroyed with the Batcher or when the last running
// batch is done, whichever is later.
#pragma once

#include <batcher/detail/asio.hpp>
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

// ---- the signature of something that is called ----------------------------------------------------

struct NoSignature {
    static constexpr bool found = false;
};
template <class R, class... Args>
struct Signature {
    static constexpr bool found = true;
    using result = R;
    static constexpr std::size_t arity = sizeof...(Args);
    template <class First, class...>
    struct first {
        using type = First;
    };
    using parameter =
        typename std::conditional_t<sizeof...(Args) == 1, first<Args..., void>, first<void>>::type;
};

template <class R, class... Args>
Signature<R, Args...> signature_of(R (*)(Args...));
template <class R, class... Args>
Signature<R, Args...> signature_of(R (*)(Args...) noexcept);
// clang-format off
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...));
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...) const);
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...) noexcept);
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...) const noexcept);
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...) &);
template <class R, class C, class... Args> Signature<R, Args...> member_signature(R (C::*)(Args...) const&);
// clang-format on

template <class F>
struct SignatureOf : NoSignature {};
template <class F>
    requires std::is_function_v<std::remove_pointer_t<F>>
struct SignatureOf<F> : decltype(signature_of(std::declval<std::decay_t<F>>())){};
template <class F>
    requires requires { &F::operator(); }
struct SignatureOf<F> : decltype(member_signature(&F::operator())){};
template <class F>
struct SignatureOf<Replicas<F>> : SignatureOf<F> {};

// An executor or an execution context: it is not a batch function, and owns the threads of one.
template <class T>
concept ExecutionContext =
    std::derived_from<T, asio::execution_context> && requires(T& t) { t.get_executor(); };
template <class T>
concept Executor =
    !std::is_function_v<std::remove_pointer_t<T>> && asio::execution::is_executor_v<T> &&
    std::convertible_to<T, asio::any_io_executor>;

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

template <class F, class In>
concept TakesRvalue = std::invocable<F&, std::vector<In>>;
template <class F, class In>
concept TakesLvalue = std::invocable<F&, std::vector<In>&>;

// Items go by rvalue where that is accepted: a function that takes them by value gets them without a
// copy, and one that only looks leaves the vector, and its memory, for the next batch.
template <class F, class In>
decltype(auto) call_batch_function(F& function, std::vector<In>& items) {
    if constexpr (TakesRvalue<F, In>) {
        return std::invoke(function, std::move(items));
    } else {
        return std::invoke(function, items);
    }
}

template <class F, class In>
struct CallResult {
    using type =
        decltype(call_batch_function(std::declval<F&>(), std::declval<std::vector<In>&>()));
};
template <class F, class In>
struct CallResult<Replicas<F>, In> : CallResult<F, In> {};

template <class F, class In>
inline constexpr bool takes_items_v = TakesRvalue<F, In> || TakesLvalue<F, In>;
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
    static_assert(takes_items_v<F, In>,
                  "this function cannot be called with this Batcher's items: it must take one "
                  "std::vector<In>, std::span<In> or std::span<const In>, with the Batcher's In");
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

// A function that Batcher<In, Out> can wrap: it takes a std::vector<In> or a std::span of them, and returns a
// std::vector<Out>, one result per item.
template <class F, class In, class Out>
concept BatchFunction = detail::is_batch_function<F, In, Out>();

}  // namespace batching
