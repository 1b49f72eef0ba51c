// TraceContext: who calls, as traces know it: W3C Trace Context, as in the headers `traceparent` and `tracestate`.
//
//     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//                     the trace                        the span         sampled
//     tracestate: vendor=what it wants to know again,another=1
//
// A tracestate goes from a batch's one caller, or the first of several that are alike, to its span, and with a remote
// call. Links have none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace batching {

// A span of a trace, by its numbers, to be copied. One that is not set is not valid, and stands for no span.
//
//     const auto context = batching::TraceContext::from_headers(request.header("traceparent"), request.header("tracestate"));
//     if (context.sampled()) log("the trace is {}", context.to_traceparent());
struct TraceContext {
    std::array<std::uint8_t, 16> trace_id{};  // of the trace; all zeros: none
    std::array<std::uint8_t, 8> span_id{};    // of the span; all zeros: none
    std::uint8_t flags = 0;                   // 1: sampled
    // What vendors have said of it, as in tracestate; null: nothing.
    std::shared_ptr<const std::string> state{};

    // Whether it stands for a span: neither of its numbers is all zeros.
    bool valid() const noexcept {
        return trace_id != decltype(trace_id){} && span_id != decltype(span_id){};
    }
    // Whether it stands for a span that is recorded.
    bool sampled() const noexcept { return (flags & 1U) != 0 && valid(); }

    // Whether they are the same span, sampled or not; whatever is said of it.
    bool operator==(const TraceContext& other) const noexcept {
        return trace_id == other.trace_id && span_id == other.span_id && flags == other.flags;
    }

    // As the header has it, in version 00: 55 characters. Throws std::bad_alloc.
    std::string to_traceparent() const {
        std::string text = "00-";
        for (const std::uint8_t byte : trace_id) append(text, byte);
        text += '-';
        for (const std::uint8_t byte : span_id) append(text, byte);
        text += '-';
        append(text, flags);
        return text;
    }

    // What the header says, of this version or a later one. Not valid if it is none: such a header is to be ignored.
    static TraceContext from_traceparent(std::string_view text) noexcept {
        constexpr std::size_t size = 55;
        std::array<std::uint8_t, 1> version{};
        std::array<std::uint8_t, 1> flags{};
        TraceContext context;
        if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
        if (!read(text, 0, version) || version[0] == 0xff) return {};
        if (text.size() > size && (version[0] == 0 || text[size] != '-')) return {};
        if (!read(text, 3, context.trace_id) || !read(text, 36, context.span_id)) return {};
        if (!read(text, 53, flags)) return {};
        context.flags = flags[0];
        return context.valid() ? context : TraceContext();
    }

    // What both headers say. A tracestate that is none, or longer than the 512 characters that everybody has to take, is
    // ignored, as it is if the other is. Throws std::bad_alloc.
    static TraceContext from_headers(std::string_view traceparent, std::string_view tracestate) {
        TraceContext context = from_traceparent(traceparent);
        if (context.valid() && is_state(tracestate)) {
            context.state = std::make_shared<const std::string>(tracestate);
        }
        return context;
    }

    // As the header has it; "" if there is none that may be sent.
    std::string_view tracestate() const noexcept {
        return state != nullptr && is_state(*state) ? *state : std::string_view();
    }

private:
    // Characters that a header may have; what they mean is for vendors to say.
    static bool is_state(std::string_view text) noexcept {
        constexpr std::size_t most = 512;
        const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
        return !text.empty() && text.size() <= most && std::ranges::all_of(text, printable);
    }
    static constexpr std::string_view digits = "0123456789abcdef";
    static void append(std::string& text, std::uint8_t byte) {
        text += digits[byte >> 4U];
        text += digits[byte & 0xfU];
    }
    // In lower case, as the standard wants it.
    template <std::size_t size>
    static bool read(std::string_view text, std::size_t at,
                     std::array<std::uint8_t, size>& bytes) noexcept {
        for (std::uint8_t& byte : bytes) {
            const std::size_t high = digits.find(text[at]);
            const std::size_t low = digits.find(text[at + 1]);
            if (high == digits.npos || low == digits.npos) return false;
            byte = static_cast<std::uint8_t>(high << 4U | low);
            at += 2;
        }
        return true;
    }
};

}  // namespace batching
