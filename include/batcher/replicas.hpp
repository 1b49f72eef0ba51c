// replicas(n, make): a batch function made of several.
//
// Replica i is a batch function of any kind and runs one batch at a time. Their number stands instead of
// Options::max_concurrent_batches; without an executor the Batcher so owns n worker threads. A batch goes to a
// replica that is free, most lately used first. A replica is not tied to a thread.
//
// make is called n times, in order, inside replicas(); what it throws comes out of replicas(). An n that is
// not 1 to 65,536 throws std::invalid_argument.
#pragma once

#include <batcher/options.hpp>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

namespace detail {

// What a batch function demands of the options of its Batcher; throws std::invalid_argument. Most demand nothing.
template <class F>
void check_function(const F&, const Options&) {}

template <class F>
class Replicas {
public:
    template <class Make>
    Replicas(std::size_t n, Make& make) {
        require_between("the number of replicas", n, max_slots);
        replicas_.reserve(n);
        for (std::size_t i = 0; i < n; ++i) replicas_.push_back(make(i));
    }

    std::size_t size() const noexcept { return replicas_.size(); }
    F& operator[](std::size_t i) noexcept { return replicas_[i]; }

    friend void check_function(const Replicas& replicas, const Options& options) {
        for (const F& replica : replicas.replicas_) check_function(replica, options);
    }

private:
    std::vector<F> replicas_;
};

template <class F>
inline constexpr bool is_replicas = false;
template <class F>
inline constexpr bool is_replicas<Replicas<F>> = true;

// Checks the options of a Batcher of this function. It has as many slots as there are replicas.
template <class F>
void complete_options(Options& options, const F& function) {
    if constexpr (is_replicas<F>) options.max_concurrent_batches = function.size();
    check(options);
    check_function(function, options);
}

}  // namespace detail

// n copies of a batch function, each with its own model or device: replica i is what make(i) returns. As many
// batches run at once as there are replicas.
//
//     batching::Batcher batcher{batching::replicas(2, [](std::size_t i) { return Model(device(i)); })};
template <std::invocable<std::size_t> Make>
auto replicas(std::size_t n, Make make) {
    return detail::Replicas<std::decay_t<std::invoke_result_t<Make&, std::size_t>>>(n, make);
}

// If you see an error here, it means that replicas() was not given a function that makes them.
template <class Make>
    requires(!std::invocable<Make&, std::size_t>)
auto replicas(std::size_t, Make) {
    static_assert(sizeof(Make) == 0,
                  "replicas(n, make) calls make(i) for the batch function of replica i: write "
                  "[](std::size_t i) { return Model(i); }");
    return detail::Replicas<Make>();
}

}  // namespace batching
