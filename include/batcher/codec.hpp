// Codec<T>: how a value becomes bytes and comes back, and what its type is called on the wire.
//
// Built in, and readable from any language:
//
//     protobuf messages                                    as protobuf; named by the message's full name
//     numbers, strings, vectors, maps, optionals, tuples   as MessagePack; named by their shape: [float]
//     structs with MSGPACK_DEFINE or MSGPACK_DEFINE_MAP    the same: (int,float) and {"a":int,"b":float}
//
// Views and pointers are refused, in fields, too: what is decoded outlives the bytes it is decoded from.
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

#include <fmt/format.h>

#include <batcher/detail/msgpack_check.hpp>
#include <batcher/detail/msgpack_fits.hpp>
#include <batcher/detail/msgpack_owns.hpp>
#include <batcher/detail/msgpack_shape.hpp>
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

namespace batching {

template <class T>
struct Codec {};

// A type that has a codec.
template <class T>
concept Encodable = requires(const T& value, std::string& out, std::string_view bytes) {
    { Codec<T>::schema() } -> std::convertible_to<std::string>;
    Codec<T>::encode(value, out);
    { Codec<T>::decode(bytes) } -> std::same_as<T>;
};

namespace detail {

// google::protobuf::MessageLite, known by what it can do, so that its headers are not needed here.
template <class T>
concept ProtobufMessage =
    std::default_initializable<T> && requires(T& message, const T& value, std::string* out) {
        { value.GetTypeName() } -> std::convertible_to<std::string>;
        { value.AppendPartialToString(out) } -> std::same_as<bool>;
        { value.IsInitialized() } -> std::same_as<bool>;
        { message.ParseFromArray(static_cast<const void*>(nullptr), 0) } -> std::same_as<bool>;
    };

template <class T>
concept MsgpackValue = !ProtobufMessage<T> && Packable<T>;

// What msgpack-cxx writes to.
class StringSink {
public:
    explicit StringSink(std::string& out) noexcept : out_(out) {}
    void write(const char* bytes, std::size_t size) { out_.append(bytes, size); }

private:
    std::string& out_;
};

// A thread's memory for what lies between bytes and value, kept for its next item. A value that is decoded
// within another, by a type that calls a codec in its msgpack_unpack(), has one of its own.
class DecodingZone {
public:
    DecodingZone() : outer_(local().used) {
        if (outer_) own_.emplace();
        local().used = true;
    }
    DecodingZone(const DecodingZone&) = delete;
    DecodingZone& operator=(const DecodingZone&) = delete;
    ~DecodingZone() {
        if (outer_) return;
        local().zone.clear();
        local().used = false;
    }
    msgpack::zone& get() noexcept { return own_ ? *own_ : local().zone; }

private:
    struct Local {
        msgpack::zone zone;
        bool used = false;
    };
    static Local& local() {
        thread_local Local local;
        return local;
    }
    const bool outer_;
    std::optional<msgpack::zone> own_;
};

[[noreturn]] inline void throw_malformed(std::string_view bytes, std::string_view what,
                                         std::string_view schema) {
    throw Error(errc::malformed, fmt::format("{} byte{} {} of type {}", bytes.size(),
                                             bytes.size() == 1 ? " is" : "s are", what, schema));
}

}  // namespace detail

template <detail::ProtobufMessage T>
struct Codec<T> {
    static std::string schema() { return T().GetTypeName(); }

    static void encode(const T& value, std::string& out) {
        if (!value.IsInitialized() || !value.AppendPartialToString(&out)) {
            throw Error(errc::malformed,
                        fmt::format("a {} lacks a required field, or is too large", schema()));
        }
    }

    static T decode(std::string_view bytes) {
        T message;
        if (bytes.size() > std::numeric_limits<int>::max() ||
            !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            detail::throw_malformed(bytes, "no message", schema());
        }
        return message;
    }
};

template <detail::MsgpackValue T>
struct Codec<T> {
    static std::string schema() { return detail::shape_of<T>(); }

    static void encode(const T& value, std::string& out) {
        detail::StringSink sink(out);
        msgpack::pack(sink, value);
    }

    static T decode(std::string_view bytes) {
        if (!detail::check_msgpack(bytes)) {
            detail::throw_malformed(bytes, "not one complete MessagePack value, at most 64 deep,",
                                    schema());
        }
        try {
            detail::DecodingZone zone;
            const msgpack::object object = unpack(zone.get(), bytes);
            if (detail::fits<T>(object)) return to_value(object);
        } catch (const msgpack::type_error&) {
        } catch (const msgpack::unpack_error&) {
        }
        detail::throw_malformed(bytes, "no MessagePack value", schema());
    }

private:
    // An array that is too short leaves the rest of a std::array as it was, so that has to be something.
    static T to_value(const msgpack::object& object) {
        if constexpr (msgpack::has_as<T>::value) {
            return object.template as<T>();
        } else {
            T value{};
            object.convert(value);
            return value;
        }
    }

    // Strings stay where they are: the value takes its copy of them.
    static msgpack::object unpack(msgpack::zone& zone, std::string_view bytes) {
        std::size_t offset = 0;
        bool referenced = false;
        return msgpack::unpack(zone, bytes.data(), bytes.size(), offset, referenced,
                               [](msgpack::type::object_type, std::size_t, void*) { return true; });
    }
};

namespace detail {

// If you see an error here, it means that a type of a remote call has no codec; the sentence says how to
// give it one.
template <class T>
consteval void check_codec() {
    if constexpr (!std::is_void_v<T> && !Encodable<T>) check_owns<T>();
    static_assert(
        std::is_void_v<T> || Encodable<T> || !owns<T>,
        "a remote call sends its items and results as bytes, and this type has no codec: make it a "
        "protobuf message, write MSGPACK_DEFINE(...) into it, or specialise batching::Codec");
}

// The types of a call as both sides compare them.
template <class T>
std::string schema_of() {
    if constexpr (std::is_void_v<T>) {
        return "nothing";
    } else {
        return Codec<T>::schema();
    }
}
template <class In, class Out>
std::string call_schema() {
    return schema_of<In>() + " -> " + schema_of<Out>();
}

}  // namespace detail
}  // namespace batching
