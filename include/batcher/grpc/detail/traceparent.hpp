// W3C Trace Context as gRPC carries it: in the metadata of a call.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <batcher/trace_context.hpp>
#include <string>
#include <string_view>

namespace batching::grpc::detail {

inline constexpr const char* traceparent = "traceparent";
inline constexpr const char* tracestate = "tracestate";

// Of a call that is about to be sent; if it is not valid, nothing is.
inline void set_trace_context(::grpc::ClientContext& call, const TraceContext& context) {
    if (!context.valid()) return;
    call.AddMetadata(traceparent, context.to_traceparent());
    const std::string_view state = context.tracestate();
    if (!state.empty()) call.AddMetadata(tracestate, std::string(state));
}

// That a call came with. Not valid if there is none; nor if there are several, as the standard wants it, as far as gRPC
// tells: 1.83 shows only the last.
inline TraceContext trace_context_of(const ::grpc::ServerContext& call) {
    const auto& metadata = call.client_metadata();
    if (metadata.count(traceparent) != 1) return {};
    const auto text_of = [](const ::grpc::string_ref& text) {
        return std::string_view(text.data(), text.size());
    };
    const std::string_view parent = text_of(metadata.find(traceparent)->second);
    try {
        // Several are one, in their order.
        std::string state;
        const auto [first, last] = metadata.equal_range(tracestate);
        for (auto one = first; one != last; ++one) {
            state += state.empty() ? "" : ",";
            state += text_of(one->second);
        }
        return TraceContext::from_headers(parent, state);
    } catch (...) {  // no memory: it goes without
        return TraceContext::from_traceparent(parent);
    }
}

}  // namespace batching::grpc::detail
