// This library on one io_context, where calls ask for something, or where rules say something of the items.
#pragma once

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <competitors/batcher.hpp>
#include <competitors/rules.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace bench {

// Calls that ask for what an Ask says of their item.
template <class Ask>
class BatcherAsked {
public:
    BatcherAsked(asio::io_context& context, const Rules& rules)
        : batcher_(context, twice, options_of(rules)) {}
    auto process(int x) { return batcher_.process(x, Ask::of(x)); }

private:
    batching::Batcher<int, int> batcher_;
};

struct SameTimeout {
    static batching::CallOptions of(int) { return {.timeout = std::chrono::seconds(1)}; }
};
// From one second to two, in no order.
struct AnyTimeout {
    static batching::CallOptions of(int x) {
        const unsigned mixed = (static_cast<unsigned>(x) * 2'654'435'769U) >> 12;
        return {.timeout = std::chrono::seconds(1) + std::chrono::microseconds(mixed)};
    }
};
struct HighPriority {
    static batching::CallOptions of(int) { return {.priority = batching::Priority::high}; }
};
struct AnyPriority {
    static batching::CallOptions of(int x) {
        return {.priority = static_cast<batching::Priority>(x % 3)};
    }
};

// Items of which a rule says something.
template <class Rule>
class BatcherWithRule {
public:
    BatcherWithRule(asio::io_context& context, const Rules& rules)
        : batcher_(context, twice, Rule::options(rules), Rule::rule()) {}
    auto process(int x) { return batcher_.process(x); }

private:
    batching::Batcher<int, int> batcher_;
};

// A limit that ends batches where the other one does.
struct WeightOfOne {
    static batching::Options options(const Rules& rules) {
        batching::Options options = options_of(rules);
        options.max_batch_weight = options.max_batch_size;
        return options;
    }
    static auto rule() {
        return batching::weigh([](int) { return std::size_t{1}; });
    }
};
struct KeyOfHundred {
    static batching::Options options(const Rules& rules) { return options_of(rules); }
    static auto rule() {
        return batching::key_by([](int x) { return x % 100; });
    }
};
struct Observed {
    static batching::Options options(const Rules& rules) { return options_of(rules); }
    static auto rule() {
        return batching::observe(
            [seen = std::uint64_t{0}](const batching::BatchReport& report) mutable {
                seen += report.size;
            });
    }
};
struct Deduplicated {
    static batching::Options options(const Rules& rules) { return options_of(rules); }
    static auto rule() { return batching::deduplicate(); }
};

}  // namespace bench
