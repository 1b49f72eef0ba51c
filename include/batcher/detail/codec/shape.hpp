// Shape<T>: what T looks like in MessagePack, in words that every language and compiler agrees on:
//
//     bool  int  float  str  bytes  [int]  {str:float}  int?  (int,float,str)  {"a":int,"b":float}
//
// So a handle and a deployment, built apart, can tell whether they speak of the same type. A type without
// a shape cannot be packed.
#pragma once

#include <batcher/detail/codec/safety.hpp>
#include <batcher/schema_name.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>  // and with it the containers that it packs
#include <set>
#include <string>
#include <string_view>

namespace batching::detail {

// The shape as it is written down, and the structs that are being written, as they may be recursive.
struct ShapeText {
    std::string text;
    std::set<const void*> open;
};

// How T is called, if its shape is one word.
template <class T>
inline constexpr std::string_view word =
    !schema_name<T>.empty()                             ? schema_name<T>
    : std::same_as<T, bool>                             ? "bool"
    : std::integral<T>                                  ? "int"
    : std::same_as<T, float> || std::same_as<T, double> ? "float"
    : std::same_as<T, std::string>                      ? "str"
                                                        : "";

template <class T>
struct Shape {};

template <class T>
concept Packable =
    Safe<T> && (!word<T>.empty() || requires(ShapeText& out) { Shape<T>::describe(out); });

template <class T>
void describe(ShapeText& out) {
    if constexpr (check_decodable<T>() && !word<T>.empty()) {
        out.text += word<T>;
    } else {
        Shape<T>::describe(out);
    }
}

// What is made of others.
inline constexpr char no_mark = '\0';
template <char open, char separator, char close, class... Ts>
struct Composite {
    static void describe(ShapeText& out)
        requires(Packable<Ts> && ...)
    {
        if (open != no_mark) out.text += open;
        ((detail::describe<Ts>(out), out.text += separator), ...);
        if constexpr (sizeof...(Ts) > 0) out.text.pop_back();
        out.text += close;
    }
};

template <class T>
struct Sequence : Composite<'[', ',', ']', T> {};
template <Byte T>
struct Sequence<T> {
    static void describe(ShapeText& out) { out.text += "bytes"; }
};
template <class T>
struct Shape<std::vector<T>> : Sequence<T> {};
template <class T, std::size_t n>
struct Shape<std::array<T, n>> : Sequence<T> {};
template <class T>
struct Shape<std::deque<T>> : Sequence<T> {};
template <class T>
struct Shape<std::list<T>> : Sequence<T> {};
template <class T, class C>
struct Shape<std::set<T, C>> : Sequence<T> {};
template <class T, class H, class E>
struct Shape<std::unordered_set<T, H, E>> : Sequence<T> {};

template <class K, class V, class C>
struct Shape<std::map<K, V, C>> : Composite<'{', ':', '}', K, V> {};
template <class K, class V, class H, class E>
struct Shape<std::unordered_map<K, V, H, E>> : Composite<'{', ':', '}', K, V> {};
template <class... Ts>
struct Shape<std::tuple<Ts...>> : Composite<'(', ',', ')', Ts...> {};
template <class A, class B>
struct Shape<std::pair<A, B>> : Composite<'(', ',', ')', A, B> {};

template <class T>
struct Shape<std::optional<T>> : Composite<no_mark, no_mark, '?', T> {};
template <class T>
struct Shape<std::unique_ptr<T>> : Shape<std::optional<T>> {};
template <class T>
struct Shape<std::shared_ptr<T>> : Shape<std::optional<T>> {};

// Writes down what a struct with MSGPACK_DEFINE packs, instead of packing it.
class ShapePacker : public msgpack::packer<ShapePacker> {
public:
    explicit ShapePacker(ShapeText& out) : msgpack::packer<ShapePacker>(*this), out_(out) {}

    ShapePacker& pack_array(std::uint32_t) { return open('(', ')'); }
    ShapePacker& pack_map(std::uint32_t) { return open('{', '}'); }

    template <class T>
    ShapePacker& pack(const T& value) {
        is_key_ = close_ == '}' && !is_key_;
        if (is_key_) {
            if constexpr (std::convertible_to<const T&, std::string_view>) {
                out_.text.append("\"").append(std::string_view(value)).append("\":");
            }
            return *this;
        }
        if constexpr (Packable<T>) {
            describe<T>(out_);
        } else if constexpr (check_decodable<T>()) {
            out_.text += '*';  // packed by an adaptor of the user's that has no schema_name
        }
        out_.text += ',';
        return *this;
    }

    void write(const char*, std::size_t) { out_.text += '*'; }  // for the packer's other members

    void close() {
        if (out_.text.ends_with(',')) out_.text.pop_back();
        out_.text += close_;
    }

private:
    ShapePacker& open(char mark, char close) {
        out_.text += mark;
        close_ = close;
        return *this;
    }

    ShapeText& out_;
    char close_ = ',';
    bool is_key_ = false;
};

template <PacksItself T>
struct Shape<T> {
    static void describe(ShapeText& out) {
        if (!out.open.insert(&word<T>).second) {
            out.text += "...";
            return;
        }
        ShapePacker packer(out);
        T().msgpack_pack(packer);
        packer.close();
        out.open.erase(&word<T>);
    }
};

}  // namespace batching::detail
