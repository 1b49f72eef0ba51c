// Between strings and gRPC's buffers.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace batching::grpc::detail {

// The names of the service (batcher/v1/deployment.proto), and those of two marks in trailing metadata: of a
// call that was refused as a whole, because the deployment is stopping, so that it can be sent again without
// running anything twice; and of whatever a deployment of ours answers, which also may be pinged.
inline constexpr const char* service_name = "batcher.v1.Deployment";
inline constexpr const char* process_method = "/batcher.v1.Deployment/Process";
inline constexpr const char* describe_method = "/batcher.v1.Deployment/Describe";
inline constexpr const char* stats_method = "/batcher.v1.Deployment/Stats";
inline constexpr const char* not_accepted_mark = "batcher-not-accepted";
inline constexpr const char* deployment_mark = "batcher-deployment";
// How many items fill a batch of the deployment that has answered.
inline constexpr const char* batch_size_mark = "batcher-batch-size";

// The buffer takes the string over, without a copy.
inline ::grpc::ByteBuffer to_buffer(std::string bytes) {
    auto owned = std::make_unique<std::string>(std::move(bytes));
    std::string* const string = owned.get();
    const ::grpc::Slice slice(
        string->data(), string->size(), [](void* s) { delete static_cast<std::string*>(s); },
        owned.release());
    return {&slice, 1};
}

// The bytes of a buffer in one piece: as they are if they are one, else copied together. They stay where they are when
// this is moved: the slice is on the heap, as gRPC keeps what is short, 23 bytes and less, in the slice itself.
class Contiguous {
public:
    Contiguous() = default;
    explicit Contiguous(const ::grpc::ByteBuffer& buffer) {
        if (!buffer.Valid()) return;
        slice_ = std::make_unique<::grpc::Slice>();
        if (!buffer.TrySingleSlice(slice_.get()).ok()) buffer.DumpToSingleSlice(slice_.get());
    }

    std::string_view view() const noexcept {
        if (slice_ == nullptr) return {};
        return {reinterpret_cast<const char*>(slice_->begin()), slice_->size()};
    }

private:
    std::unique_ptr<::grpc::Slice> slice_;
};

inline int limit_of(std::size_t size) noexcept {
    return static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

}  // namespace batching::grpc::detail
