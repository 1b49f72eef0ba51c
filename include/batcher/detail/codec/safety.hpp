// What makes it safe to decode with msgpack-cxx, which trusts the lengths that a value declares: eight
// hostile bytes make it reserve half a gigabyte, and some of its conversions read past the end.
//
//     is_one_value(bytes)     before anything is allocated: whether they are one complete MessagePack value
//     check_decodable<T>()    as it is compiled: refuses types that are unsafe, and those that hold one
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <ranges>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batching::detail {

// Compares each length with what there can be, and makes nothing.
class LengthChecker : public msgpack::null_visitor {
public:
    explicit LengthChecker(std::size_t bytes) noexcept : values_left_(bytes) {}

    bool start_array(std::uint32_t items) noexcept { return enter(items); }
    bool start_map(std::uint32_t entries) noexcept { return enter(2 * std::uint64_t{entries}); }
    bool end_array() noexcept { return --depth_ >= 0; }
    bool end_map() noexcept { return --depth_ >= 0; }

private:
    // Each value takes at least a byte, so all arrays and maps together have no more values than bytes.
    bool enter(std::uint64_t values) noexcept {
        if (values > values_left_ || depth_ == max_depth) return false;
        values_left_ -= values;
        ++depth_;
        return true;
    }

    static constexpr int max_depth = 64;
    std::uint64_t values_left_;
    int depth_ = 0;
};

inline bool is_one_value(std::string_view bytes) {
    LengthChecker checker(bytes.size());
    std::size_t end = 0;
    return msgpack::parse(bytes.data(), bytes.size(), end, checker) && end == bytes.size();
}

// Refers to what it does not have, as std::string_view and std::span do, which are borrowed ranges.
template <class T>
concept View = std::is_pointer_v<T> || std::ranges::enable_borrowed_range<T> ||
               std::same_as<T, msgpack::object> || std::same_as<T, msgpack::type::raw_ref> ||
               std::same_as<T, msgpack::type::v4raw_ref> || std::same_as<T, msgpack::type::ext_ref>;

template <class T>
concept Byte = std::same_as<T, char> || std::same_as<T, unsigned char>;

// Has a fixed number of parts, which msgpack-cxx (4.1.3) reads without a look at how many there are: so it
// does with arrays of bytes, with T[n], and with what holds values that are made by an adaptor::as.
template <class T>
inline constexpr bool over_reads = false;
template <class T, std::size_t n>
inline constexpr bool over_reads<T[n]> = !Byte<T>;
template <class T, std::size_t n>
inline constexpr bool over_reads<std::array<T, n>> = Byte<T> || msgpack::has_as<T>::value;
template <class... Ts>
inline constexpr bool over_reads<std::tuple<Ts...>> = (msgpack::has_as<Ts>::value || ...);
template <class... Ts>
inline constexpr bool over_reads<msgpack::type::tuple<Ts...>> = true;

template <class T>
consteval bool check_decodable();

template <class... Ts>
struct Types {
    static consteval bool check() { return (check_decodable<Ts>() && ...); }
};

// What a container, an optional or a smart pointer holds.
template <class T>
struct Parts : Types<> {};
template <class T>
    requires requires { typename T::value_type; } && (!std::same_as<typename T::value_type, T>)
struct Parts<T> : Types<typename T::value_type> {};
template <class T>
    requires(
        requires { typename T::element_type; } && !requires { typename T::value_type; })
struct Parts<T> : Types<std::remove_cv_t<typename T::element_type>> {};
template <class... Ts>
struct Parts<std::tuple<Ts...>> : Types<Ts...> {};
template <class A, class B>
struct Parts<std::pair<A, B>> : Types<std::remove_cv_t<A>, B> {};

// A struct with MSGPACK_DEFINE names the types of its fields to whatever stands where a packer would.
struct AnyPacker;
class ShapePacker;  // of shape.hpp
template <class T>
concept PacksItself = std::is_class_v<T> && std::default_initializable<T> &&
                      requires(const T& value, AnyPacker& packer) { value.msgpack_pack(packer); };

template <class T>
concept Safe = !View<T> && !over_reads<T>;

// If you see an error here, an item or a result, or a part of one, cannot be decoded.
template <class T>
consteval bool check_decodable() {
    static_assert(
        !View<T>,
        "what is decoded outlives the bytes it is decoded from, and this type would refer to "
        "them: use one that has what it holds, as std::string does");
    static_assert(
        !over_reads<T>,
        "msgpack-cxx would read past the end of a value that has fewer parts than this type: use "
        "a std::vector, for T[n] a std::array, for a tuple a struct with MSGPACK_DEFINE");
    if constexpr (PacksItself<T>) {
        // Not called: compiling it is enough to check each field.
        [[maybe_unused]] const auto fields = [](const T& value, ShapePacker& packer) {
            value.msgpack_pack(packer);
        };
    }
    return Safe<T> && Parts<T>::check();
}

}  // namespace batching::detail
