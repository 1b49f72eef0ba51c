// fits<T>: whether a MessagePack value can be handed to msgpack-cxx as a T without harm.
//
// Where a T has a fixed number of parts, some of its conversions (in 4.1.3) believe that the value has as
// many, and read what is not there: std::array of char or unsigned char from a str that is shorter;
// std::array and std::tuple of types that it makes by an adaptor::as; T[n] from an empty array. So what is
// shorter there is no such value. Everything else they check themselves.
#pragma once

#include <algorithm>
#include <array>
#include <batcher/detail/msgpack_owns.hpp>
#include <batcher/detail/msgpack_shape.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batching::detail {

// `always`: known without a look at the value.
struct FitsAlways {
    static constexpr bool always = true;
    static bool check(const msgpack::object&) noexcept { return true; }
};

template <class T>
struct Fit : FitsAlways {};

template <class T>
bool fits(const msgpack::object& object) {
    if constexpr (Fit<T>::always) {
        return true;
    } else {
        return Fit<T>::check(object);
    }
}

// ---- what holds many of one type -----------------------------------------------------------------------

template <class T>
bool all_fit(const msgpack::object_array& array) {
    if constexpr (Fit<T>::always) return true;
    return std::all_of(array.ptr, array.ptr + array.size, fits<T>);
}

template <class K, class V>
bool all_fit(const msgpack::object_map& map) {
    return std::all_of(map.ptr, map.ptr + map.size, [](const msgpack::object_kv& entry) {
        return fits<K>(entry.key) && fits<V>(entry.val);
    });
}

template <class T>
concept Byte = std::same_as<T, char> || std::same_as<T, unsigned char>;

template <Byte T, std::size_t n>
struct Fit<std::array<T, n>> {
    static constexpr bool always = false;
    static bool check(const msgpack::object& o) noexcept {
        return o.type != msgpack::type::STR || o.via.str.size == n;
    }
};
template <class T, std::size_t n>
struct Fit<std::array<T, n>> {
    static constexpr bool always = Fit<T>::always && !msgpack::has_as<T>::value;
    static bool check(const msgpack::object& o) {
        if (o.type != msgpack::type::ARRAY) return true;
        if (msgpack::has_as<T>::value && o.via.array.size < n) return false;
        return all_fit<T>(o.via.array);
    }
};
template <class T, std::size_t n>
    requires(!Byte<T>)
struct Fit<T[n]> {
    static constexpr bool always = false;
    static bool check(const msgpack::object& o) {
        if (o.type != msgpack::type::ARRAY) return true;
        return o.via.array.size != 0 && all_fit<T>(o.via.array);
    }
};

// Containers, optional values and smart pointers.
template <class T>
    requires(std::is_class_v<T> && !std::is_void_v<typename Held<T>::type> && !PacksItself<T>)
struct Fit<T> {
    using Part = typename Held<T>::type;
    static constexpr bool always = Fit<Part>::always;
    static bool check(const msgpack::object& o) {
        if constexpr (requires { typename T::mapped_type; }) {
            if (o.type != msgpack::type::MAP) return true;
            return all_fit<typename T::key_type, typename T::mapped_type>(o.via.map);
        } else if constexpr (requires(T& value) { value.begin(); }) {
            return o.type != msgpack::type::ARRAY || all_fit<Part>(o.via.array);
        } else {
            return o.is_nil() || fits<Part>(o);
        }
    }
};

// ---- what holds several types --------------------------------------------------------------------------

template <class... Ts>
struct Fit<std::tuple<Ts...>> {
    static constexpr bool by_as = (msgpack::has_as<Ts>::value || ...);
    static constexpr bool always = (Fit<Ts>::always && ...) && !by_as;
    static bool check(const msgpack::object& o) {
        if (o.type != msgpack::type::ARRAY) return true;
        if (by_as && o.via.array.size != sizeof...(Ts)) return false;
        std::size_t i = 0;
        const auto next = [&] { return i < o.via.array.size ? &o.via.array.ptr[i++] : nullptr; };
        const auto part_fits = [&]<class T>(std::type_identity<T>) {
            const msgpack::object* const part = next();
            return part == nullptr || fits<T>(*part);
        };
        return (part_fits(std::type_identity<Ts>()) && ...);
    }
};
template <class A, class B>
struct Fit<std::pair<A, B>> : Fit<std::tuple<std::remove_cv_t<A>, B>> {};

// Stands where a packer would: a struct that packs itself names the types of its fields. One that writes
// some by other means than pack() is looked at up to there.
class FieldFits : public msgpack::packer<FieldFits> {
public:
    explicit FieldFits(const msgpack::object& value)
        : msgpack::packer<FieldFits>(*this), value_(value) {}

    bool result() const noexcept { return fits_; }

    FieldFits& pack_array(std::uint32_t) { return open(msgpack::type::ARRAY); }
    FieldFits& pack_map(std::uint32_t) { return open(msgpack::type::MAP); }

    template <class T>
    FieldFits& pack(const T& field) {
        const std::size_t index = packed_++;
        if (!known_) return *this;
        if (value_.type == msgpack::type::ARRAY) {
            const auto& array = value_.via.array;
            check<T>(index < array.size ? &array.ptr[index] : nullptr);
        } else if (index % 2 != 0) {
            check<T>(named_);
        } else if constexpr (std::convertible_to<const T&, std::string_view>) {
            named_ = find(field);
        }
        return *this;
    }

    // What the other members of a packer write to.
    void write(const char*, std::size_t) noexcept { known_ = false; }

private:
    FieldFits& open(msgpack::type::object_type type) noexcept {
        known_ = !std::exchange(opened_, true) && value_.type == type;
        return *this;
    }

    template <class T>
    void check(const msgpack::object* found) {
        if (found != nullptr && !fits<T>(*found)) fits_ = false;
    }

    // The first of that name, as msgpack-cxx takes it.
    const msgpack::object* find(std::string_view name) const noexcept {
        const auto& map = value_.via.map;
        for (std::uint32_t i = 0; i < map.size; ++i) {
            const auto& [key, value] = map.ptr[i];
            if (key.type != msgpack::type::STR) continue;
            if (std::string_view(key.via.str.ptr, key.via.str.size) == name) return &value;
        }
        return nullptr;
    }

    const msgpack::object& value_;
    const msgpack::object* named_ =
        nullptr;  // the value of the key that was packed, if there is one
    std::size_t packed_ = 0;
    bool opened_ = false;
    bool known_ = false;
    bool fits_ = true;
};

template <PacksItself T>
struct Fit<T> {
    static constexpr bool always = false;
    static bool check(const msgpack::object& o) {
        // Never destroyed, as values are read after main, too.
        static const T& any = *new const T();
        FieldFits fields(o);
        any.msgpack_pack(fields);
        return fields.result();
    }
};

}  // namespace batching::detail
