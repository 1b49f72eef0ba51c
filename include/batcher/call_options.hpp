// CallOptions: what a caller asks for, beside its item.
//
//     co_await batcher.process(item, {.timeout = 50ms, .priority = batching::Priority::high});
#pragma once

#include <batcher/options.hpp>
#include <batcher/priority.hpp>

namespace batching {

// What one call asks for. A call that asks for nothing pays nothing.
struct CallOptions {
    // From the start of the call to its result. When it has passed, the call fails with errc::deadline_exceeded at once:
    // an item that waits never runs, the result of one that runs is dropped. 0 or less: at once.
    //
    // A batch is formed so that it meets the deadlines in it, judged by what batches have lately taken, and by how late
    // timers and workers have lately been: it leaves before batch_timeout if need be, it is made smaller, and items that
    // cannot be met even so fail with errc::deadline_exceeded instead of running too late. A call that the queue ahead
    // of it makes hopeless is refused at once with errc::overloaded, and Error::retry_after() says when it may be worth
    // trying again. Nothing is judged before 8 batches have run.
    Timeout timeout = no_timeout;

    // Higher ones are served first, in arrival order within a class; one batch may hold several. An item that has
    // waited for Options::priority_aging counts as high. When the queue is full, an item of a higher class takes the
    // place of the newest one of the lowest, which fails with errc::overloaded.
    Priority priority = Priority::normal;
};

}  // namespace batching
