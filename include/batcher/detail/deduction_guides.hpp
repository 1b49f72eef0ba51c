// `Batcher batcher{function}`: In and Out are those of the function.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/batcher.hpp>
#include <batcher/options.hpp>
#include <batcher/rules.hpp>

namespace batching {

// A compiler that refuses what stands for the options shows the line of the guide, with its comment.
template <class F, class... Rules>
    requires(!detail::ExecutionContext<F> && !detail::Executor<F>)
Batcher(F, Options = {},  // is a field misspelt? `batching::Options{...}` in its place says which
        Rules...) -> Batcher<typename detail::Deduced<F>::in, typename detail::Deduced<F>::out>;

template <detail::Executor Executor, class F, class... Rules>
Batcher(Executor, F, Options = {}, Rules...)
    -> Batcher<typename detail::DeducedOn<Executor, F>::in,
               typename detail::DeducedOn<Executor, F>::out>;

template <class F, class Where>
Batcher(F, Where&, Options = {}) -> Batcher<typename detail::WrongOrder<F, Where>::in,
                                            typename detail::WrongOrder<F, Where>::out>;

template <detail::ExecutionContext Context, class F, class... Rules>
Batcher(Context&, F, Options = {}, Rules...)
    -> Batcher<typename detail::DeducedOn<Context, F>::in,
               typename detail::DeducedOn<Context, F>::out>;

}  // namespace batching
