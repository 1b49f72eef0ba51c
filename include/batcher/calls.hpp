// Calls: how a Batcher is called, one item at a time or many at once.
//
//     double y = co_await batcher.process(item);                        // in any coroutine
//     double y = co_await batcher.process(item, {.timeout = 50ms});     // and what this call asks for
//     batcher.async_process(item, {.timeout = 50ms}, token);            // any Asio completion token
//     double y = batcher.process(item).get();                           // blocks a plain thread
//
// Nothing is queued until an operation is awaited, started or got; until then it can be dropped. What it can fail
// with: error.hpp. What CallOptions mean, and when they are judged: call_options.hpp. Where a caller resumes, and
// cancellation: operation.hpp. All may be called from any thread at the same time.
#pragma once

#include <batcher/call_options.hpp>
#include <batcher/detail/fields.hpp>
#include <batcher/detail/items.hpp>
#include <batcher/detail/refusals.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/many_request.hpp>
#include <batcher/detail/waiters/request.hpp>
#include <batcher/operation.hpp>
#include <batcher/outlives.hpp>
#include <cassert>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

// The part of a Batcher that is called.
template <class In, class Out, class Clock>
class Calls : Refusals<In, Operation<ProcessRequest<In, Out, Clock>>,
                       Operation<ProcessManyRequest<In, Out, Clock>>> {
    using Refusals = typename Calls::Refusals;
    using Asks = AsksFor;

public:
    using item_type = In;     // what callers give
    using result_type = Out;  // what they get
    // What process() returns.
    using process_type = Operation<ProcessRequest<In, Out, Clock>>;
    // What process_many() returns.
    using process_many_type = Operation<ProcessManyRequest<In, Out, Clock>>;
    // What process_each() returns.
    using process_each_type = Operation<ProcessEachRequest<In, Out, Clock>>;
    // What process() with CallOptions returns.
    using process_asking_type = Operation<ProcessRequest<In, Out, Clock, Asks>>;
    // What process_many() with CallOptions returns.
    using process_many_asking_type = Operation<ProcessManyRequest<In, Out, Clock, Asks>>;
    // What process_each() with CallOptions returns.
    using process_each_asking_type = Operation<ProcessEachRequest<In, Out, Clock, Asks>>;

    using Refusals::async_process;
    using Refusals::process;
    using Refusals::process_many;

    // One item: co_await batcher.process(item) gives its result, as batcher.process(item).get() does on a plain thread.
    // Nothing is queued until the operation is awaited, started or got. A call that is refused leaves the item in the
    // operation: see Operation::item(). Complexity: O(1); no allocation when awaited in a coroutine on an io_context,
    // asio::awaitable included, on however many of them.
    process_type process(const In& item)
        requires(std::copy_constructible<In> && !std::is_aggregate_v<In>)
    {
        return {engine(), In(item)};
    }
    // One item, moved: co_await batcher.process(std::move(item)), or .get() on a plain thread.
    process_type process(In&& item)
        requires(!std::is_aggregate_v<In>)
    {
        return {engine(), std::move(item)};
    }
    // One item that is an aggregate. In co_await it goes without its name, process({"a", 3}): g++ 12 frees
    // process(Item{"a", 3}) twice.
    template <class T = In>
        requires(std::is_aggregate_v<In> && std::same_as<std::remove_cvref_t<T>, In> &&
                 std::constructible_from<In, T>)
    process_type process(T&& item) {
        return {engine(), In(std::forward<T>(item))};
    }
    // One item that is an aggregate, from its fields: co_await batcher.process({"a", 3}).
    process_type process(Fields<In> fields)
        requires(std::is_aggregate_v<In>)
    {
        return {engine(), std::move(fields.item)};
    }

    // One item, with what this call asks for: co_await batcher.process(item, {.timeout = 50ms}).
    process_asking_type process(const In& item, const CallOptions& options)
        requires(std::copy_constructible<In> && !std::is_aggregate_v<In>)
    {
        return {engine(), {In(item), options}};
    }
    // One item, moved, with what this call asks for.
    process_asking_type process(In&& item, const CallOptions& options)
        requires(!std::is_aggregate_v<In>)
    {
        return {engine(), {std::move(item), options}};
    }
    // One item that is an aggregate, with what this call asks for.
    template <class T = In>
        requires(std::is_aggregate_v<In> && std::same_as<std::remove_cvref_t<T>, In> &&
                 std::constructible_from<In, T>)
    process_asking_type process(T&& item, const CallOptions& options) {
        return {engine(), {In(std::forward<T>(item)), options}};
    }
    // One item that is an aggregate, from its fields: co_await batcher.process({"a", 3}, {.timeout = 50ms}).
    process_asking_type process(Fields<In> fields, const CallOptions& options)
        requires(std::is_aggregate_v<In>)
    {
        return {engine(), {std::move(fields.item), options}};
    }

    // One item, for callbacks, futures and any other Asio token: async_process(item, [](std::exception_ptr, Out) {}).
    // If Out is void the callback takes the std::exception_ptr alone. See Operation::signature.
    template <class Token>
    auto async_process(In item, Token&& token) {
        return start(process(std::move(item)), std::forward<Token>(token));
    }
    // One item, for any Asio token, with what this call asks for.
    template <class Token>
    auto async_process(In item, const CallOptions& options, Token&& token) {
        return start(process_asking_type{engine(), {std::move(item), options}},
                     std::forward<Token>(token));
    }
    // One item that refers to something, which outlives the call: see batching::outlives().
    template <std::convertible_to<In> T, class Token>
    auto async_process(Outlives<T> item, Token&& token) {
        return process(std::move(item.item)).start(std::forward<Token>(token));
    }

    // Many items at once, `std::vector<double> ys = co_await batcher.process_many(items)`: queued together, batched
    // with everybody else's, one completion when all are done, with the results in the order of the items. Accepted or
    // refused as a whole; if some of them fail, the error is that of the first such item. An empty vector gives an
    // empty vector. Cancelling it cancels each item; `total` only if none of them runs yet. Complexity: O(n), O(1)
    // allocations.
    template <class Vector = std::vector<In>>
        requires std::same_as<Vector, std::vector<In>>
    process_many_type process_many(Vector items) {
        return {engine(), std::move(items)};
    }
    // Many items at once, in braces: co_await batcher.process_many({1, 2, 3}).
    process_many_type process_many(Items<In> items) {
        return {engine(), std::move(items).vector()};
    }

    // Many items at once, each with what this call asks for: co_await batcher.process_many(items, {.timeout = 50ms}).
    template <class Vector = std::vector<In>>
        requires std::same_as<Vector, std::vector<In>>
    process_many_asking_type process_many(Vector items, const CallOptions& options) {
        return {engine(), {std::move(items), options}};
    }
    // The same in braces: co_await batcher.process_many({1, 2, 3}, {.timeout = 50ms}).
    process_many_asking_type process_many(Items<In> items, const CallOptions& options) {
        return {engine(), {std::move(items).vector(), options}};
    }

    // The same for any completion token: void(std::exception_ptr, std::vector<Out>), without the vector if Out is void.
    template <class Token>
    auto async_process_many(std::vector<In> items, Token&& token) {
        return start(process_many(std::move(items)), std::forward<Token>(token));
    }
    // The same with what this call asks for.
    template <class Token>
    auto async_process_many(std::vector<In> items, const CallOptions& options, Token&& token) {
        return start(process_many(std::move(items), options), std::forward<Token>(token));
    }

    // Many items at once, each with its own fate: co_await batcher.process_each(items) gives a batching::Result for each,
    // in a std::vector in their order, refused ones included. Otherwise as process_many().
    template <class Vector = std::vector<In>>
        requires std::same_as<Vector, std::vector<In>>
    process_each_type process_each(Vector items) {
        return {engine(), std::move(items)};
    }
    // The same in braces: co_await batcher.process_each({1, 2, 3}).
    process_each_type process_each(Items<In> items) {
        return {engine(), std::move(items).vector()};
    }
    // The same for any completion token: void(std::exception_ptr, std::vector<Result<Out>>).
    template <class Token>
    auto async_process_each(std::vector<In> items, Token&& token) {
        return start(process_each(std::move(items)), std::forward<Token>(token));
    }

    // Each with what this call asks for.
    template <class Vector = std::vector<In>>
        requires std::same_as<Vector, std::vector<In>>
    process_each_asking_type process_each(Vector items, const CallOptions& options) {
        return {engine(), {std::move(items), options}};
    }
    // The same in braces: co_await batcher.process_each({1, 2, 3}, {.timeout = 50ms}).
    process_each_asking_type process_each(Items<In> items, const CallOptions& options) {
        return {engine(), {std::move(items).vector(), options}};
    }
    // The same for any completion token.
    template <class Token>
    auto async_process_each(std::vector<In> items, const CallOptions& options, Token&& token) {
        return start(process_each(std::move(items), options), std::forward<Token>(token));
    }

protected:
    Engine& engine() const noexcept {
        assert(engine_ != nullptr && "this batching::Batcher was destroyed or moved from");
        return *engine_;
    }

    std::shared_ptr<Engine> engine_;
};

}  // namespace batching::detail
