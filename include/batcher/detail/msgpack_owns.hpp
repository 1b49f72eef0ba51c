// owns<T>: whether T has what it holds, as opposed to a string_view, a pointer and the like, which refer to
// it. What is decoded outlives the bytes that it is decoded from, so it must.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <msgpack.hpp>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class T>
inline constexpr bool refers = std::is_pointer_v<T>;
template <class C, class Traits>
inline constexpr bool refers<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t n>
inline constexpr bool refers<std::span<T, n>> = true;
template <class T>
inline constexpr bool refers<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool refers<msgpack::type::array_ref<T>> = true;
template <>
inline constexpr bool refers<msgpack::type::raw_ref> = true;
template <>
inline constexpr bool refers<msgpack::type::v4raw_ref> = true;
template <>
inline constexpr bool refers<msgpack::type::ext_ref> = true;
template <>
inline constexpr bool refers<msgpack::object> = true;

// What a standard container, an optional or a smart pointer holds; void for other types.
template <class T>
struct Held {
    using type = void;
};
template <class T>
    requires requires { typename T::value_type; } && (!std::same_as<typename T::value_type, T>)
struct Held<T> {
    using type = std::remove_cv_t<typename T::value_type>;
};
template <class T>
    requires(
        requires { typename T::element_type; } && !requires { typename T::value_type; })
struct Held<T> {
    using type = std::remove_cv_t<typename T::element_type>;
};
template <class T, std::size_t n>
struct Held<T[n]> {
    using type = T;
};

template <class T>
struct Owns {
    static consteval bool value() {
        using Part = typename Held<T>::type;
        if constexpr (refers<T>) {
            return false;
        } else if constexpr (std::is_void_v<Part>) {
            return true;
        } else {
            return Owns<Part>::value();
        }
    }
};
template <class... Ts>
struct Owns<std::tuple<Ts...>> {
    static consteval bool value() { return (Owns<std::remove_cv_t<Ts>>::value() && ...); }
};
template <class A, class B>
struct Owns<std::pair<A, B>> : Owns<std::tuple<A, B>> {};

template <class T>
inline constexpr bool owns = Owns<T>::value();

// If you see an error here, it means that an item or a result, or a field of one, refers to what it does
// not have, as a std::string_view does.
template <class T>
consteval void check_owns() {
    static_assert(
        owns<T>,
        "what is decoded outlives the bytes it is decoded from, and this type would refer to "
        "them: use one that has what it holds, as std::string does");
}

}  // namespace batching::detail
