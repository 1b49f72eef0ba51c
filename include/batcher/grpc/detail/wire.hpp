// The messages of batcher/v1/deployment.proto as bytes, without generated code.
//
// What is read comes from anywhere: a length is compared with the bytes that are there before anything is
// made of it, and items are counted as they are found. What is read refers to the bytes it was read from.
#pragma once

#include <fmt/format.h>

#include <batcher/error.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace batching::grpc::detail::wire {

// ---- reading -------------------------------------------------------------------------------------------

[[noreturn]] inline void fail(std::string_view message, std::string_view why) {
    throw Error(errc::malformed, fmt::format("the bytes are not a {}: {}", message, why));
}

// One field of a message: its number, and what it holds.
struct Field {
    std::uint32_t number = 0;
    std::uint64_t value = 0;  // of a varint
    std::string_view bytes;   // of a string, of bytes, of a message
    bool delimited = false;   // it holds bytes
};

class Reader {
public:
    Reader(std::string_view message, std::string_view bytes) noexcept
        : message_(message), rest_(bytes) {}

    // False at the end.
    bool next(Field& field) {
        if (rest_.empty()) return false;
        const std::uint64_t key = varint();
        if (key >> 3U == 0 || key >> 3U > max_field) fail(message_, "a field has no number");
        field.number = static_cast<std::uint32_t>(key >> 3U);
        field.delimited = false;
        switch (key & 7U) {
            case 0:
                field.value = varint();
                return true;
            case 1:
                take(8);
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

private:
    static constexpr std::uint64_t max_field = (1U << 29U) - 1;

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

    std::string_view take(std::uint64_t size) {
        if (size > rest_.size()) {
            fail(message_, fmt::format("a field of {} bytes is declared and {} bytes are left",
                                       size, rest_.size()));
        }
        const auto taken = rest_.substr(0, static_cast<std::size_t>(size));
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view message_;
    std::string_view rest_;
};

struct ProcessRequest {
    std::string_view deployment;
    std::string_view schema;
    std::vector<std::string_view> items;
};

inline ProcessRequest read_request(std::string_view bytes, std::size_t max_items) {
    ProcessRequest request;
    Reader reader("batcher.v1.ProcessRequest", bytes);
    std::size_t others =
        0;  // fields that are no items: a few, unless somebody wants to keep us busy
    for (Field field; reader.next(field);) {
        if (field.number != 3 && ++others > 1000) {
            fail("batcher.v1.ProcessRequest", "it has too many fields");
        }
        if (!field.delimited) continue;
        if (field.number == 1) request.deployment = field.bytes;
        if (field.number == 2) request.schema = field.bytes;
        if (field.number == 3) {
            if (request.items.size() == max_items) {
                fail("batcher.v1.ProcessRequest",
                     fmt::format("it has more than {} items, the most in one call", max_items));
            }
            request.items.push_back(field.bytes);
        }
    }
    return request;
}

struct Result {
    bool has_value = false;
    std::string_view value;
    int code = 0;  // of a failure
    std::string_view message;
};

inline Result read_result(std::string_view bytes) {
    Result result;
    bool found = false;
    Reader reader("batcher.v1.Result", bytes);
    for (Field field; reader.next(field);) {
        if (!field.delimited || (field.number != 1 && field.number != 2)) continue;
        found = true;
        result.has_value = field.number == 1;
        if (result.has_value) {
            result.value = field.bytes;
            continue;
        }
        Reader failure("batcher.v1.Failure", field.bytes);
        for (Field part; failure.next(part);) {
            if (part.number == 1 && !part.delimited) result.code = static_cast<int>(part.value);
            if (part.number == 2 && part.delimited) result.message = part.bytes;
        }
    }
    if (!found) fail("batcher.v1.Result", "it has neither a value nor a failure");
    return result;
}

// Calls `take(result)` for each result. Throws if there are more or fewer than `expected`, before any is
// taken.
template <class Take>
void read_response(std::string_view bytes, std::size_t expected, Take take) {
    const auto for_each_result = [bytes](auto visit) {
        Reader reader("batcher.v1.ProcessResponse", bytes);
        for (Field field; reader.next(field);) {
            if (field.number == 1 && field.delimited) visit(field.bytes);
        }
    };
    std::size_t count = 0;
    for_each_result([&](std::string_view) { ++count; });
    if (count != expected) {
        throw Error(errc::result_count_mismatch,
                    fmt::format("answered {} result{} for {} item{}", count, count == 1 ? "" : "s",
                                expected, expected == 1 ? "" : "s"));
    }
    for_each_result([&](std::string_view result) { take(read_result(result)); });
}

// ---- writing -------------------------------------------------------------------------------------------

inline constexpr char delimited(unsigned number) noexcept {
    return static_cast<char>(number << 3U | 2U);
}

inline void write_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out.push_back(static_cast<char>(value | 0x80U));
    out.push_back(static_cast<char>(value));
}

inline void write_number(std::string& out, unsigned number, std::uint64_t value) {
    out.push_back(static_cast<char>(number << 3U));
    write_varint(out, value);
}

inline void write_bytes(std::string& out, unsigned number, std::string_view bytes) {
    out.push_back(delimited(number));
    write_varint(out, bytes.size());
    out.append(bytes);
}

// A field that `write(out)` appends. Its length is known afterwards: there is room for that of a small
// one, a larger one is moved up.
template <class Write>
void write_field(std::string& out, unsigned number, Write write) {
    out.push_back(delimited(number));
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

inline void write_header(std::string& out, std::string_view deployment, std::string_view schema) {
    write_bytes(out, 1, deployment);
    if (!schema.empty()) write_bytes(out, 2, schema);
}

// An item of a ProcessRequest, which `encode(out)` appends.
template <class Encode>
void write_item(std::string& out, Encode encode) {
    write_field(out, 3, encode);
}

// A result of a ProcessResponse.
template <class Encode>
void write_value(std::string& out, Encode encode) {
    write_field(out, 1, [&](std::string& result) { write_field(result, 1, encode); });
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

inline void write_failure(std::string& out, int code, std::string_view message) {
    write_field(out, 1, [&](std::string& result) {
        write_field(result, 2, [&](std::string& failure) {
            write_number(failure, 1, static_cast<std::uint64_t>(code));
            write_bytes(failure, 2, message);
        });
    });
}

struct Description {
    std::string_view deployment;
    std::string_view schema;
    std::uint64_t max_items = 0;
};

inline void write_description(std::string& out, const Description& description) {
    write_field(out, 1, [&](std::string& entry) {
        write_bytes(entry, 1, description.deployment);
        write_bytes(entry, 2, description.schema);
        write_number(entry, 3, description.max_items);
    });
}

}  // namespace batching::grpc::detail::wire
