// Shape<T>: what T looks like in MessagePack, in words that every language and compiler agrees on:
//
//     bool  int  float  str  bytes  [int]  {str:float}  int?  (int,float,str)  {"a":int,"b":float}
//
// So a handle and a deployment, built apart, can tell whether they speak of the same type. A type without
// a shape cannot be packed.
#pragma once

#include <array>
#include <batcher/detail/msgpack_owns.hpp>
#include <batcher/schema_name.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace batching::detail {

// The shape as it is written down, and the structs that are being written, as they may be recursive.
struct ShapeText {
    std::string text;
    std::vector<const void*> open;
};

template <class T>
struct Shape {
    static constexpr bool known = false;
};

template <class T>
void describe(ShapeText& out) {
    check_owns<T>();
    if constexpr (!schema_name<T>.empty()) {
        out.text += schema_name<T>;
    } else {
        Shape<T>::describe(out);
    }
}

template <class T>
concept Packable = !schema_name<T>.empty() || Shape<T>::known;

struct KnownShape {
    static constexpr bool known = true;
};

template <>
struct Shape<bool> : KnownShape {
    static void describe(ShapeText& out) { out.text += "bool"; }
};
template <std::integral T>
struct Shape<T> : KnownShape {
    static void describe(ShapeText& out) { out.text += "int"; }
};
template <class T>
    requires std::same_as<T, float> || std::same_as<T, double>
struct Shape<T> : KnownShape {
    static void describe(ShapeText& out) { out.text += "float"; }
};
template <>
struct Shape<std::string> : KnownShape {
    static void describe(ShapeText& out) { out.text += "str"; }
};

// ---- sequences -----------------------------------------------------------------------------------------

template <class T>
struct SequenceShape {
    static constexpr bool known = Packable<T>;
    static void describe(ShapeText& out) {
        if constexpr (std::same_as<T, char> || std::same_as<T, unsigned char>) {
            out.text += "bytes";
        } else {
            out.text += '[';
            detail::describe<T>(out);
            out.text += ']';
        }
    }
};
template <class T>
struct Shape<std::vector<T>> : SequenceShape<T> {};
template <class T, std::size_t n>
struct Shape<std::array<T, n>> : SequenceShape<T> {};
template <class T>
struct Shape<std::deque<T>> : SequenceShape<T> {};
template <class T>
struct Shape<std::list<T>> : SequenceShape<T> {};
template <class T, class C>
struct Shape<std::set<T, C>> : SequenceShape<T> {};
template <class T, class H, class E>
struct Shape<std::unordered_set<T, H, E>> : SequenceShape<T> {};

// ---- maps, optional values, tuples ---------------------------------------------------------------------

template <class K, class V>
struct MapShape {
    static constexpr bool known = Packable<K> && Packable<V>;
    static void describe(ShapeText& out) {
        out.text += '{';
        detail::describe<K>(out);
        out.text += ':';
        detail::describe<V>(out);
        out.text += '}';
    }
};
template <class K, class V, class C>
struct Shape<std::map<K, V, C>> : MapShape<K, V> {};
template <class K, class V, class H, class E>
struct Shape<std::unordered_map<K, V, H, E>> : MapShape<K, V> {};

template <class T>
struct OptionalShape {
    static constexpr bool known = Packable<T>;
    static void describe(ShapeText& out) {
        detail::describe<T>(out);
        out.text += '?';
    }
};
template <class T>
struct Shape<std::optional<T>> : OptionalShape<T> {};
template <class T>
struct Shape<std::unique_ptr<T>> : OptionalShape<T> {};
template <class T>
struct Shape<std::shared_ptr<T>> : OptionalShape<T> {};

template <class... Ts>
struct TupleShape {
    static constexpr bool known = (Packable<Ts> && ...);
    static void describe(ShapeText& out) {
        out.text += '(';
        [[maybe_unused]] const char* comma = "";
        ((out.text += std::exchange(comma, ","), detail::describe<Ts>(out)), ...);
        out.text += ')';
    }
};
template <class... Ts>
struct Shape<std::tuple<Ts...>> : TupleShape<Ts...> {};
template <class A, class B>
struct Shape<std::pair<A, B>> : TupleShape<A, B> {};

// ---- structs with MSGPACK_DEFINE -----------------------------------------------------------------------

// Stands where a packer would: a struct that packs itself names the types of its fields.
class ShapePacker {
public:
    explicit ShapePacker(ShapeText& out) noexcept : out_(out) {}

    void pack_array(std::uint32_t fields) { open('(', ')', fields); }
    void pack_map(std::uint32_t entries) { open('{', '}', 2 * entries); }

    template <class T>
    void pack(const T& value) {
        if (close_ == '}' && left_ % 2 == 0) {
            if constexpr (std::convertible_to<const T&, std::string_view>) {
                out_.text.append("\"").append(std::string_view(value)).append("\":");
            }
        } else if constexpr (Packable<T>) {
            describe<T>(out_);
        } else {
            check_owns<T>();
            out_.text += '*';  // packed by an adaptor of the user's that has no schema_name
        }
        if (--left_ == 0) {
            out_.text += close_;
        } else if (close_ == ')' || left_ % 2 == 0) {
            out_.text += ',';
        }
    }

private:
    void open(char mark, char close, std::uint32_t left) {
        out_.text += mark;
        close_ = close;
        left_ = left;
        if (left == 0) out_.text += close;
    }

    ShapeText& out_;
    char close_ = ')';
    std::uint32_t left_ = 0;
};

template <class T>
concept PacksItself = std::is_class_v<T> && std::default_initializable<T> &&
                      requires(const T& value, ShapePacker& packer) { value.msgpack_pack(packer); };

template <PacksItself T>
struct Shape<T> : KnownShape {
    static void describe(ShapeText& out) {
        for (const void* open : out.open) {
            if (open == &identity) {
                out.text += "...";
                return;
            }
        }
        out.open.push_back(&identity);
        ShapePacker packer(out);
        T().msgpack_pack(packer);
        out.open.pop_back();
    }

private:
    inline static const char identity = 0;
};

template <class T>
std::string shape_of() {
    ShapeText out;
    describe<T>(out);
    return std::move(out.text);
}

}  // namespace batching::detail
