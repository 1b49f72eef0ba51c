// What a request asks for beside its items.
#pragma once

#include <batcher/call_options.hpp>
#include <batcher/detail/core/terms.hpp>

namespace batching::detail {

// Nothing.
struct AsksNothing {
    template <class Items>
    using payload = Items;
};
template <class Items>
struct WithOptions {
    Items items;
    CallOptions options;
};
// CallOptions, which stand in the request then, and so does its deadline.
struct AsksFor {
    template <class Items>
    using payload = WithOptions<Items>;
    CallOptions options;
    Deadline deadline;
};

}  // namespace batching::detail
