// Codec<T>: values as bytes.
//
// Built in, and readable from any language:
//
//     protobuf messages                                    as protobuf; named by the message's full name
//     numbers, strings, vectors, maps, optionals, tuples   as MessagePack; named by their shape: [float]
//     structs with MSGPACK_DEFINE or MSGPACK_DEFINE_MAP    the same: (int,float) and {"a":int,"b":float}
//
// Views and pointers are refused, in fields, too: what is decoded outlives the bytes it is decoded from. So
// are types that msgpack-cxx reads past the end for, as std::array<char, n> and arrays like int[n].
//
// For a type of your own, or in another encoding, specialise it:
//
//     template <>
//     struct batching::Codec<Image> {
//         static std::string schema() { return "png"; }
//         static void encode(const Image& image, std::string& out);   // appends
//         static Image decode(std::string_view bytes);                // throws if they are no Image
//     };
//
// Bytes come from anywhere: decode() must check each length before it trusts it. Those built in do, and
// fail with errc::malformed. Thread safety: the functions are called by any number of threads.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/codec/fit.hpp>
#include <batcher/detail/codec/safety.hpp>
#include <batcher/detail/codec/shape.hpp>
#include <batcher/detail/codec/sink.hpp>
#include <batcher/error.hpp>
#include <batcher/schema_name.hpp>
#include <concepts>
#include <cstddef>
#include <limits>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batching {

// How a value becomes bytes and comes back, and what its type is called on the wire. There is one for protobuf
// messages and for what MessagePack can hold; specialise it for a type of your own.
template <class T>
struct Codec {};

// A type that has a codec: it can be an item, or a result, of a remote call.
template <class T>
concept Encodable = requires(const T& value, std::string& out, std::string_view bytes) {
    { Codec<T>::schema() } -> std::convertible_to<std::string>;
    Codec<T>::encode(value, out);
    { Codec<T>::decode(bytes) } -> std::same_as<T>;
};

namespace detail {

// How likely bytes are to be no T. Where they are not, that may cost an exception.
enum class Doubt : bool { none, some };

// Of the codecs built in: nothing, where decode() would throw.
template <class T>
concept DecodesQuietly = requires(std::string_view bytes, Doubt doubt) {
    { Codec<T>::try_decode(bytes, doubt) } -> std::same_as<std::optional<T>>;
};

// google::protobuf::MessageLite, known by what it can do, so that its headers are not needed here.
template <class T>
concept ProtobufMessage =
    std::default_initializable<T> && requires(T& message, const T& value, std::string* out) {
        { value.GetTypeName() } -> std::convertible_to<std::string_view>;  // a std::string once
        { value.AppendPartialToString(out) } -> std::same_as<bool>;
        { value.IsInitialized() } -> std::same_as<bool>;
        { message.ParseFromArray(static_cast<const void*>(nullptr), 0) } -> std::same_as<bool>;
    };

[[noreturn]] inline void throw_malformed(std::string_view bytes, std::string_view what,
                                         std::string_view schema) {
    throw Error(errc::malformed, fmt::format("{} byte{} {} of type {}", bytes.size(),
                                             bytes.size() == 1 ? " is" : "s are", what, schema));
}

}  // namespace detail

// Of a protobuf message: as protobuf, named by the message's full name.
template <detail::ProtobufMessage T>
struct Codec<T> {
    // The message's full name.
    static std::string schema() { return std::string(T().GetTypeName()); }

    // Appends the message; errc::malformed if it lacks a required field or is too large.
    static void encode(const T& value, std::string& out) {
        if (!value.IsInitialized() || !value.AppendPartialToString(&out)) {
            throw Error(errc::malformed,
                        fmt::format("a {} lacks a required field, or is too large", schema()));
        }
    }

    // The value; errc::malformed if the bytes are none.
    static T decode(std::string_view bytes) {
        if (std::optional<T> message = try_decode(bytes, detail::Doubt::none))
            return *std::move(message);
        detail::throw_malformed(bytes, "no message", schema());
    }

    // The same, and nothing where decode() would throw.
    static std::optional<T> try_decode(std::string_view bytes, detail::Doubt) {
        std::optional<T> message(std::in_place);
        if (bytes.size() > std::numeric_limits<int>::max() ||
            !message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            message.reset();
        }
        return message;
    }
};

// Of what MessagePack can hold: as MessagePack, named by its shape.
template <class T>
    requires(!detail::ProtobufMessage<T> && detail::Packable<T>)
struct Codec<T> {
    // The shape: "(int,float)".
    static std::string schema() {
        detail::ShapeText shape;
        detail::describe<T>(shape);
        return shape.text;
    }

    // Appends the value.
    static void encode(const T& value, std::string& out) {
        detail::Sink sink{out};
        msgpack::pack(sink, value);
    }

    // The value; errc::malformed if the bytes are none.
    static T decode(std::string_view bytes) {
        if (!detail::is_one_value(bytes)) {
            detail::throw_malformed(bytes, "not one complete MessagePack value, at most 64 deep,",
                                    schema());
        }
        if (std::optional<T> value = convert(bytes, detail::Doubt::none)) return *std::move(value);
        detail::throw_malformed(bytes, "no MessagePack value", schema());
    }

    // The same, and nothing where decode() would throw.
    static std::optional<T> try_decode(std::string_view bytes, detail::Doubt doubt) {
        return detail::is_one_value(bytes) ? convert(bytes, doubt) : std::nullopt;
    }

private:
    static std::optional<T> convert(std::string_view bytes, detail::Doubt doubt) {
        try {
            msgpack::zone zone;
            const msgpack::object object =
                msgpack::unpack(zone, bytes.data(), bytes.size(), leave_strings);
            if (doubt == detail::Doubt::some && !detail::fits<T>(object)) return std::nullopt;
            if constexpr (msgpack::has_as<T>::value) {
                return object.template as<T>();
            } else {
                std::optional<T> value(std::in_place);
                *value =
                    T{};  // an array that is too short leaves the rest of a std::array as it is
                object.convert(*value);
                return value;
            }
        } catch (const msgpack::type_error&) {
        } catch (const msgpack::unpack_error&) {
        }
        return std::nullopt;
    }

    // Where they are: the value takes its copy of them.
    static bool leave_strings(msgpack::type::object_type, std::size_t, void*) { return true; }
};

// A call may have no results.
template <>
struct Codec<void> {
    // "nothing".
    static std::string schema() { return "nothing"; }
};

namespace detail {

// If you see an error here, a type of a remote call has no codec; the sentence says how to give it one.
template <class T>
consteval void check_codec() {
    static_assert(
        std::is_void_v<T> || Encodable<T> || !check_decodable<T>(),
        "a remote call sends its items and results as bytes, and this type has no codec: make it a "
        "protobuf message, write MSGPACK_DEFINE(...) into it, or specialise batching::Codec");
}

// The types of a call as both sides compare them.
template <class In, class Out>
std::string call_schema() {
    return Codec<In>::schema() + " -> " + Codec<Out>::schema();
}

}  // namespace detail
}  // namespace batching
