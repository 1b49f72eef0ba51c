// The messages of batcher/v1/deployment.proto as bytes, without generated code.
//
// What is read comes from anywhere: a length is compared with the bytes that are there before anything is
// made of it, and items are counted as they are found. What is read refers to the bytes it was read from.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/call_options.hpp>
#include <batcher/error.hpp>
#include <batcher/grpc/detail/protobuf.hpp>
#include <batcher/priority.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail::wire {

// ---- reading -------------------------------------------------------------------------------------------

// A time is sent in nanoseconds, and 0 stands for none: one that is over is sent as 1. What is longer than the library
// can tell is as good as none.
inline std::uint64_t sent_time(std::chrono::nanoseconds time) noexcept {
    return static_cast<std::uint64_t>(std::max<std::chrono::nanoseconds::rep>(1, time.count()));
}
inline std::optional<std::chrono::nanoseconds> time_of(std::uint64_t sent) noexcept {
    constexpr auto most = std::numeric_limits<std::chrono::nanoseconds::rep>::max();
    if (sent == 0 || sent >= static_cast<std::uint64_t>(most)) return std::nullopt;
    return std::chrono::nanoseconds(sent);
}

// A context is sent as its 25 bytes, without its state, and none as 0. Any others are ignored, as traces are to fail no call.
inline constexpr std::size_t context_bytes = 25;
inline void append(std::string& out, const TraceContext& context) {
    if (!context.valid()) return;
    const auto byte = [](std::uint8_t value) { return static_cast<char>(value); };
    std::ranges::transform(context.trace_id, std::back_inserter(out), byte);
    std::ranges::transform(context.span_id, std::back_inserter(out), byte);
    out += byte(context.flags);
}
inline TraceContext context_of(std::string_view sent) noexcept {
    TraceContext context;
    if (sent.size() != context_bytes) return {};
    std::memcpy(context.trace_id.data(), sent.data(), context.trace_id.size());
    std::memcpy(context.span_id.data(), sent.data() + context.trace_id.size(),
                context.span_id.size());
    context.flags = static_cast<std::uint8_t>(sent.back());
    return context.valid() ? context : TraceContext();
}

// As enum Priority of the .proto has them.
inline constexpr Priority priorities[]{Priority::normal, Priority::low, Priority::high};

struct ProcessRequest {
    std::string_view deployment;
    std::string_view schema;
    std::vector<std::string_view> items;
    std::vector<CallOptions> asked;      // for each of the items, or empty: nothing
    std::vector<TraceContext> contexts;  // of their callers; the same
};

class RequestReader {
public:
    RequestReader(std::string_view bytes, std::size_t max_items)
        : reader_(message, bytes), max_items_(max_items) {}

    ProcessRequest read() {
        std::size_t others = 0;  // a few, unless somebody wants to keep us busy
        for (Field field; reader_.next(field);) {
            if (!is_of_one_item(field) && ++others > 1000) {
                fail(message, "it has too many fields");
            }
            take(field);
        }
        if (!timeouts_.empty() || !priorities_.empty()) take_asked();
        check_number("trace_contexts", request_.contexts.size());
        return std::move(request_);
    }

private:
    static constexpr std::string_view message = "batcher.v1.ProcessRequest";

    static bool is_of_one_item(const Field& field) noexcept {
        const bool asks = field.number == 4 || field.number == 5;
        return field.number == 3 || field.number == 6 || (asks && !field.delimited);
    }

    void take(const Field& field) {
        if (field.number == 4) return add_numbers(field, timeouts_);
        if (field.number == 5) return add_numbers(field, priorities_);
        if (!field.delimited) return;
        if (field.number == 1) request_.deployment = field.bytes;
        if (field.number == 2) request_.schema = field.bytes;
        if (field.number == 3) add(request_.items, field.bytes);
        if (field.number == 6) add(request_.contexts, context_of(field.bytes));
    }

    using Numbers = std::vector<std::uint64_t>;

    void add_numbers(const Field& field, Numbers& numbers) const {
        read_numbers(message, field, [&](std::uint64_t number) { add(numbers, number); });
    }
    template <class T>
    void add(std::vector<T>& all, T one) const {
        if (all.size() == max_items_) {
            fail(message,
                 fmt::format("it has more than {} items, the most in one call", max_items_));
        }
        all.push_back(std::move(one));
    }

    void take_asked() {
        check_number("timeouts", timeouts_.size());
        check_number("priorities", priorities_.size());
        request_.asked.resize(request_.items.size());
        for (std::size_t i = 0; i < request_.asked.size(); ++i) {
            CallOptions& asked = request_.asked[i];
            if (!timeouts_.empty()) asked.timeout = time_of(timeouts_[i]).value_or(no_timeout);
            if (!priorities_.empty()) asked.priority = priority_of(priorities_[i]);
        }
    }
    void check_number(std::string_view what, std::size_t number) const {
        if (number == 0 || number == request_.items.size()) return;
        fail(message,
             fmt::format("it has {} {} for {} items", number, what, request_.items.size()));
    }
    static Priority priority_of(std::uint64_t sent) {
        if (sent < std::size(priorities)) return priorities[sent];
        fail(message, fmt::format("a priority is {}, and there are 0, 1 and 2", sent));
    }

    Reader reader_;
    const std::size_t max_items_;
    ProcessRequest request_;
    Numbers timeouts_;
    Numbers priorities_;
};

inline ProcessRequest read_request(std::string_view bytes, std::size_t max_items) {
    return RequestReader(bytes, max_items).read();
}

struct Result {
    bool has_value = false;
    std::string_view value;
    int code = 0;  // of a failure
    std::string_view message;
    std::optional<std::chrono::nanoseconds> retry_after;
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
            if (part.number == 3 && !part.delimited) result.retry_after = time_of(part.value);
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

inline void write_header(std::string& out, std::string_view deployment, std::string_view schema) {
    write_bytes(out, 1, deployment);
    if (!schema.empty()) write_bytes(out, 2, schema);
}

// An item of a ProcessRequest, which `encode(out)` appends.
template <class Encode>
void write_item(std::string& out, Encode encode) {
    write_field(out, 3, encode);
}

// What is asked for all items of a ProcessRequest: nothing is written of what nobody asks for.
inline void write_asked(std::string& out, std::span<const CallOptions> asked) {
    const auto write = [&](unsigned number, auto value_of) {
        std::vector<std::uint64_t> values;
        values.reserve(asked.size());
        for (const CallOptions& one : asked) values.push_back(value_of(one));
        if (std::ranges::count(values, 0U) == std::ssize(values)) return;
        write_numbers(out, number, values);
    };
    write(4, [](const CallOptions& one) -> std::uint64_t {
        return one.timeout == no_timeout ? 0 : sent_time(one.timeout);
    });
    write(5, [](const CallOptions& one) {
        const auto* const found = std::ranges::find(priorities, one.priority);
        return static_cast<std::uint64_t>(found - priorities);
    });
}
// The most bytes that that takes.
constexpr std::size_t most_asked(std::size_t items) noexcept { return 2 * 11 + items * (10 + 1); }

// The context of the caller of each item of a ProcessRequest; nothing if there is none.
inline void write_contexts(std::string& out, std::span<const TraceContext> contexts) {
    if (std::ranges::none_of(contexts, &TraceContext::valid)) return;
    for (const TraceContext& context : contexts) {
        write_field(out, 6, [&](std::string& bytes) { append(bytes, context); });
    }
}
// The most bytes that that takes.
constexpr std::size_t most_contexts(std::size_t items) noexcept {
    return items * (2 + context_bytes);
}

// A result of a ProcessResponse.
template <class Encode>
void write_value(std::string& out, Encode encode) {
    write_field(out, 1, [&](std::string& result) { write_field(result, 1, encode); });
}

inline void write_failure(std::string& out, int code, std::string_view message,
                          std::optional<std::chrono::nanoseconds> retry_after = {}) {
    write_field(out, 1, [&](std::string& result) {
        write_field(result, 2, [&](std::string& failure) {
            write_number(failure, 1, static_cast<std::uint64_t>(code));
            write_bytes(failure, 2, message);
            if (retry_after) write_number(failure, 3, sent_time(*retry_after));
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
