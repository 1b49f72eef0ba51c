// Protobuf's bytes: the fields of a message, one after the other, without generated code.
//
// What is read comes from anywhere: a length is compared with the bytes that are there before anything is
// made of it. What is read refers to the bytes it was read from.
#pragma once

#include <fmt/core.h>

#include <batcher/error.hpp>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace batching::grpc::detail::wire {

// ---- reading -------------------------------------------------------------------------------------------

[[noreturn]] inline void fail(std::string_view message, std::string_view why) {
    throw Error(errc::malformed, fmt::format("the bytes are not a {}: {}", message, why));
}

// One field of a message: its number, and what it holds.
struct Field {
    std::uint32_t number = 0;
    std::uint64_t value = 0;  // of a varint
    std::uint64_t bits = 0;   // of a double
    std::string_view bytes;   // of a string, of bytes, of a message
    bool delimited = false;   // it holds bytes
};

class Reader {
public:
    Reader(std::string_view message, std::string_view bytes) noexcept
        : message_(message), rest_(bytes) {}

    bool at_end() const noexcept { return rest_.empty(); }

    // False at the end.
    bool next(Field& field) {
        if (at_end()) return false;
        const std::uint64_t key = varint();
        if (key >> 3U == 0 || key >> 3U > max_field) fail(message_, "a field has no number");
        field.number = static_cast<std::uint32_t>(key >> 3U);
        field.delimited = false;
        field.value = 0;
        field.bits = 0;
        switch (key & 7U) {
            case 0:
                field.value = varint();
                return true;
            case 1:
                field.bits = eight_bytes();
                return true;
            case 2:
                field.bytes = take(varint());
                field.delimited = true;
                return true;
            case 5:
                take(4);
                return true;
            default:
                fail(message_, fmt::format("a field is of kind {}", key & 7U));
        }
    }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<std::uint8_t>(rest_.front());
            rest_.remove_prefix(1);
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) return value;
        }
        fail(message_, "a number does not end");
    }

private:
    static constexpr std::uint64_t max_field = (1U << 29U) - 1;

    std::string_view take(std::uint64_t size) {
        if (size > rest_.size()) {
            fail(message_, fmt::format("a field of {} bytes is declared and {} bytes are left",
                                       size, rest_.size()));
        }
        const auto taken = rest_.substr(0, static_cast<std::size_t>(size));
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::uint64_t eight_bytes() {
        std::uint64_t bits = 0;
        unsigned shift = 0;
        for (const char byte : take(8)) {
            bits |= std::uint64_t{static_cast<std::uint8_t>(byte)} << shift;
            shift += 8;
        }
        return bits;
    }

    std::string_view message_;
    std::string_view rest_;
};

// Calls `take` with each of the numbers in a repeated field, which are packed or stand alone.
template <class Take>
void read_numbers(std::string_view message, const Field& field, Take take) {
    if (!field.delimited) return take(field.value);
    for (Reader packed(message, field.bytes); !packed.at_end();) take(packed.varint());
}

// ---- writing -------------------------------------------------------------------------------------------

inline void write_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out.push_back(static_cast<char>(value | 0x80U));
    out.push_back(static_cast<char>(value));
}

enum class Kind : unsigned char { varint = 0, eight_bytes = 1, delimited = 2 };

inline void write_key(std::string& out, unsigned number, Kind kind) {
    write_varint(out, number << 3U | static_cast<unsigned>(kind));
}

inline void write_number(std::string& out, unsigned number, std::uint64_t value) {
    write_key(out, number, Kind::varint);
    write_varint(out, value);
}

inline void write_double(std::string& out, unsigned number, double value) {
    write_key(out, number, Kind::eight_bytes);
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (unsigned shift = 0; shift < 64; shift += 8)
        out.push_back(static_cast<char>(bits >> shift));
}

inline void write_bytes(std::string& out, unsigned number, std::string_view bytes) {
    write_key(out, number, Kind::delimited);
    write_varint(out, bytes.size());
    out.append(bytes);
}

// A field that `write(out)` appends. Its length is known afterwards: there is room for that of a small
// one, a larger one is moved up.
template <class Write>
void write_field(std::string& out, unsigned number, Write write) {
    write_key(out, number, Kind::delimited);
    out.push_back(0);
    const std::size_t start = out.size();
    write(out);
    std::uint64_t size = out.size() - start;
    if (size < 0x80) {
        out[start - 1] = static_cast<char>(size);
        return;
    }
    std::string length;
    write_varint(length, size);
    out.replace(start - 1, 1, length);
}

// Packed, as protobuf's third version writes them.
inline void write_numbers(std::string& out, unsigned number,
                          std::span<const std::uint64_t> values) {
    write_field(out, number, [&](std::string& packed) {
        for (const std::uint64_t value : values) write_varint(packed, value);
    });
}

// The text with a '?' for each byte that is not UTF-8: protobuf refuses a whole message for one of those.
inline std::string valid_utf8(std::string_view text) {
    const auto byte = [&](std::size_t at) {
        return at < text.size() ? static_cast<std::uint8_t>(text[at]) : std::uint8_t{0};
    };
    const auto length = [&](std::size_t at) -> std::size_t {  // of a character; 0: it is none
        const unsigned first = byte(at);
        if (first < 0x80) return 1;
        const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        if (size == 0 || first > 0xf4) return 0;
        for (std::size_t i = 1; i < size; ++i) {
            if ((byte(at + i) & 0xc0U) != 0x80) return 0;
        }
        const unsigned second =
            byte(at + 1);  // neither too long a form, nor a surrogate, nor too large
        const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                           (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
        return wrong ? 0 : size;
    };
    std::string valid(text);
    for (std::size_t at = 0; at < valid.size();) {
        const std::size_t size = length(at);
        if (size == 0) valid[at] = '?';
        at += size == 0 ? 1 : size;
    }
    return valid;
}

}  // namespace batching::grpc::detail::wire
