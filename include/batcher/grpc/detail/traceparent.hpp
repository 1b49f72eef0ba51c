// W3C Trace Context as gRPC carries it: in the metadata of a call.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <batcher/trace_context.hpp>
#include <string_view>

namespace batching::grpc::detail {

inline constexpr const char* traceparent = "traceparent";

// Of a call that is about to be sent; if it is not valid, nothing is.
inline void set_trace_context(::grpc::ClientContext& call, const TraceContext& context) {
    if (context.valid()) call.AddMetadata(traceparent, context.to_traceparent());
}

// That a call came with. Not valid if there is none; nor if there are several, as the standard wants it.
inline TraceContext trace_context_of(const ::grpc::ServerContext& call) {
    const auto& metadata = call.client_metadata();
    if (metadata.count(traceparent) != 1) return {};
    const auto& text = metadata.find(traceparent)->second;
    return TraceContext::from_traceparent(std::string_view(text.data(), text.size()));
}

}  // namespace batching::grpc::detail
