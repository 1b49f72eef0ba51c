// SignatureOf<F>: what a function takes and returns, as far as that can be seen: not if it is generic or overloaded.
#pragma once

#include <batcher/batch_info.hpp>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace batching::detail {

struct NoSignature {
    static constexpr bool found = false;
    static constexpr bool takes_info = false;
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
    using parameter = typename first<Args..., void>::type;
    // A BatchInfo, after one other.
    static constexpr bool takes_info =
        std::same_as<void(Args...), void(parameter, const BatchInfo&)>;
};
template <class R>
struct Signature<R> {
    static constexpr bool found = true;
    using result = R;
    static constexpr std::size_t arity = 0;
    using parameter = void;
    static constexpr bool takes_info = false;
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

}  // namespace batching::detail
