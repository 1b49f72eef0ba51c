// fits<T>(object): whether msgpack-cxx can convert a value into a T. Its conversions say that by an
// exception, which costs more than ten times what they do otherwise: whoever sends what does not fit
// would have the deployment pay that for each item.
//
// True where it is not known, as for types with an adaptor of the user's: then the conversion says it.
#pragma once

#include <algorithm>
#include <batcher/detail/codec/safety.hpp>
#include <batcher/detail/codec/shape.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <msgpack.hpp>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class T>
bool fits(const msgpack::object& object);

template <class T>
struct Fit {
    static bool check(const msgpack::object&) { return true; }
};

inline bool is_text(const msgpack::object& object) noexcept {
    return object.type == msgpack::type::STR || object.type == msgpack::type::BIN;
}
inline bool is_integer(const msgpack::object& object) noexcept {
    return object.type == msgpack::type::POSITIVE_INTEGER ||
           object.type == msgpack::type::NEGATIVE_INTEGER;
}

template <>
struct Fit<bool> {
    static bool check(const msgpack::object& object) {
        return object.type == msgpack::type::BOOLEAN;
    }
};
template <std::integral T>
    requires(!std::same_as<T, bool>)
struct Fit<T> {
    static bool check(const msgpack::object& object) {
        if (object.type == msgpack::type::POSITIVE_INTEGER) {
            return object.via.u64 <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
        }
        return std::signed_integral<T> && object.type == msgpack::type::NEGATIVE_INTEGER &&
               object.via.i64 >= static_cast<std::int64_t>(std::numeric_limits<T>::min());
    }
};
template <std::floating_point T>
struct Fit<T> {
    static bool check(const msgpack::object& object) {
        return object.type == msgpack::type::FLOAT32 || object.type == msgpack::type::FLOAT64 ||
               is_integer(object);
    }
};
template <>
struct Fit<std::string> {
    static bool check(const msgpack::object& object) { return is_text(object); }
};

// A sequence, of which there are at most `most`.
template <class T>
bool all_fit(const msgpack::object& object,
             std::size_t most = std::numeric_limits<std::size_t>::max()) {
    if (object.type != msgpack::type::ARRAY || object.via.array.size > most) return false;
    const auto* const first = object.via.array.ptr;
    return std::all_of(first, first + object.via.array.size, fits<T>);
}
template <class T>
struct FitSequence {
    static bool check(const msgpack::object& object) { return all_fit<T>(object); }
};
template <Byte T>
struct FitSequence<T> {
    static bool check(const msgpack::object& object) { return is_text(object); }
};
template <class T>
struct Fit<std::vector<T>> : FitSequence<T> {};
template <class T>
struct Fit<std::deque<T>> {
    static bool check(const msgpack::object& object) { return all_fit<T>(object); }
};
template <class T>
struct Fit<std::list<T>> : Fit<std::deque<T>> {};
template <class T, std::size_t n>
struct Fit<std::array<T, n>> {
    static bool check(const msgpack::object& object) { return all_fit<T>(object, n); }
};

template <class Map>
struct FitMap {
    static bool check(const msgpack::object& object) {
        if (object.type != msgpack::type::MAP) return false;
        const auto* const first = object.via.map.ptr;
        return std::all_of(first, first + object.via.map.size, [](const auto& entry) {
            return fits<typename Map::key_type>(entry.key) &&
                   fits<typename Map::mapped_type>(entry.val);
        });
    }
};
template <class K, class V, class C>
struct Fit<std::map<K, V, C>> : FitMap<std::map<K, V, C>> {};
template <class K, class V, class H, class E>
struct Fit<std::unordered_map<K, V, H, E>> : FitMap<std::unordered_map<K, V, H, E>> {};

template <class T>
struct FitOrNil {
    static bool check(const msgpack::object& object) { return object.is_nil() || fits<T>(object); }
};
template <class T>
struct Fit<std::optional<T>> : FitOrNil<T> {};
template <class T>
struct Fit<std::unique_ptr<T>> : FitOrNil<T> {};
template <class T>
struct Fit<std::shared_ptr<T>> : FitOrNil<T> {};

// Stands where a packer would, and compares each field of a struct with its part of an array: parts that
// are missing leave the fields as they are, and what is too many is not looked at.
class FieldsFit : public msgpack::packer<FieldsFit> {
public:
    explicit FieldsFit(const msgpack::object& object)
        : msgpack::packer<FieldsFit>(*this), object_(object) {}

    bool fit() const noexcept { return fit_; }

    FieldsFit& pack_array(std::uint32_t) {
        is_array_ = true;
        fit_ = object_.type == msgpack::type::ARRAY;
        return *this;
    }
    FieldsFit& pack_map(std::uint32_t) {
        fit_ = object_.type == msgpack::type::MAP;  // the conversion finds the rest
        return *this;
    }
    template <class T>
    FieldsFit& pack(const T&) {
        if (is_array_ && fit_ && next_ < object_.via.array.size) {
            fit_ = fits<T>(object_.via.array.ptr[next_++]);
        }
        return *this;
    }
    void write(const char*, std::size_t) {}  // for the packer's other members

private:
    const msgpack::object& object_;
    std::uint32_t next_ = 0;
    bool is_array_ = false;
    bool fit_ = true;
};

// With MSGPACK_DEFINE or MSGPACK_DEFINE_MAP; one whose functions are written by hand has fewer of them.
template <class T>
concept DefinedByMacro =
    PacksItself<T> && requires(const T& value, msgpack::object* object, msgpack::zone& zone) {
        value.msgpack_object(object, zone);
    };
template <DefinedByMacro T>
struct Fit<T> {
    static bool check(const msgpack::object& object) {
        static const T fields{};
        FieldsFit packer(object);
        fields.msgpack_pack(packer);
        return packer.fit();
    }
};

template <class T>
bool fits(const msgpack::object& object) {
    if constexpr (schema_name<T>.empty()) {
        return Fit<T>::check(object);
    } else {
        return true;
    }
}

}  // namespace batching::detail
