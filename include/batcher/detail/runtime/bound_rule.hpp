// BoundRule: a rule of a Batcher (rules.hpp), bound to its items.
#pragma once

#include <atomic>
#include <batcher/batch_report.hpp>
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/place.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <batcher/detail/runtime/appraiser.hpp>
#include <batcher/detail/runtime/intern_table.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/options.hpp>
#include <batcher/trace.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class F>
struct Weigh {
    F function;
};
template <class F>
struct KeyBy {
    F function;
};
template <class F>
struct DeduplicateBy {
    F function;
    bool join_running;
};
template <class F>
struct Observe {
    F function;
};
struct Itself {
    template <class In>
    In operator()(const In& item) const {
        return item;
    }
};

template <class R>
inline constexpr bool is_rule = false;
template <class F>
inline constexpr bool is_rule<Weigh<F>> = true;
template <class F>
inline constexpr bool is_rule<KeyBy<F>> = true;
template <class F>
inline constexpr bool is_rule<DeduplicateBy<F>> = true;
template <class F>
inline constexpr bool is_rule<Observe<F>> = true;
template <>
inline constexpr bool is_rule<Trace> = true;
template <class R>
concept ItemRule = is_rule<R>;

// Rules that say nothing of items.
template <class R>
inline constexpr bool watches = false;
template <class F>
inline constexpr bool watches<Observe<F>> = true;
template <>
inline constexpr bool watches<Trace> = true;

template <class R>
inline constexpr bool is_weigh = false;
template <class F>
inline constexpr bool is_weigh<Weigh<F>> = true;
template <class R>
inline constexpr bool is_key_by = false;
template <class F>
inline constexpr bool is_key_by<KeyBy<F>> = true;
template <class R>
inline constexpr bool shares_results = false;
template <class F>
inline constexpr bool shares_results<DeduplicateBy<F>> = true;

// If you see an error here, it means that a rule was given before the options, or in their place.
template <class R>
struct RuleBeforeOptions {};
template <ItemRule R>
struct RuleBeforeOptions<R> {
    static_assert(sizeof(R) == 0,
                  "the rules come after the options, which are {} if there is nothing to set: "
                  "batching::Batcher batcher{function, {}, batching::deduplicate()}");
    using in = int;
};

template <class R, class Out>
constexpr void check_rule() {
    static_assert(!shares_results<R> || std::is_void_v<Out> || std::copy_constructible<Out>,
                  "deduplicate() gives each caller a copy of the result: this Batcher's Out cannot "
                  "be copied");
}

// In the order in which rules are asked: what throws most easily first, and keys before what is equal within one.
template <class In, class NoRule>
class BoundRule {
    static_assert(sizeof(NoRule) == 0,
                  "after the options come rules, and nothing else: batching::weigh(f), "
                  "batching::key_by(f), batching::deduplicate(), batching::deduplicate_by(f), "
                  "batching::observe(f) or batching::trace(tracer)");

public:
    static constexpr int order = -1;
    explicit BoundRule(NoRule) {}
    void add_to(Rules&, const Options&) const noexcept {}
};

template <class In, class F>
class BoundRule<In, Weigh<F>> {
    static_assert(std::is_invocable_r_v<std::size_t, F&, const In&>,
                  "weigh(f) calls f with a const In& of this Batcher, and f returns the weight, a "
                  "std::size_t");
    static_assert(!std::is_floating_point_v<std::invoke_result_t<F&, const In&>>,
                  "the weight that the f of weigh(f) returns is a whole number: a std::size_t");

public:
    static constexpr int order = 0;
    explicit BoundRule(Weigh<F> rule) : rule_(std::move(rule)) {}

    void add_to(Rules& rules, const Options& options) const noexcept {
        rules.weigh(options.max_batch_weight, options.max_queue_weight);
    }
    void appraise(ItemCall& call, const In& item, const WeightLimits& limits) {
        call.weight = static_cast<std::size_t>(std::invoke(rule_.function, item));
        require_at_most(limits.of_batch, "max_batch_weight", call.weight);
        require_at_most(limits.of_queue, "max_queue_weight", call.weight);
    }

private:
    static void require_at_most(const std::atomic<std::size_t>& most, const char* field,
                                std::size_t weight) {
        const std::size_t limit = most.load(std::memory_order_relaxed);
        if (weight > limit) [[unlikely]]
            throw_too_heavy(weight, field, limit);
    }
    [[noreturn]] BATCHER_NOINLINE static void throw_too_heavy(std::size_t weight, const char* field,
                                                              std::size_t limit) {
        std::rethrow_exception(item_too_heavy(weight, field, limit));
    }

    Weigh<F> rule_;
};

template <class In, class F>
class BoundRule<In, KeyBy<F>> {
    static_assert(std::invocable<F&, const In&>,
                  "key_by(f) calls f with a const In& of this Batcher");
    using Key = std::remove_cvref_t<std::invoke_result_t<F&, const In&>>;
    static_assert(Hashable<Key>,
                  "what the f of key_by(f) returns is a key: it needs == and a std::hash");

public:
    static constexpr int order = 1;
    explicit BoundRule(KeyBy<F> rule) : rule_(std::move(rule)) {}

    void add_to(Rules& rules, const Options& options) const noexcept {
        rules.keyed = true;
        rules.max_concurrent_batches_per_key = options.max_concurrent_batches_per_key;
    }
    void appraise(ItemCall& call, const In& item, const WeightLimits&) {
        Key key = std::invoke(rule_.function, item);
        const std::size_t hash = std::hash<Key>{}(key);
        call.group = &lines_->intern(std::move(key), hash);
    }

private:
    KeyBy<F> rule_;
    std::unique_ptr<InternTable<Key, Line>> lines_ = std::make_unique<InternTable<Key, Line>>();
};

template <class In, class F>
class BoundRule<In, DeduplicateBy<F>> {
    static_assert(std::invocable<F&, const In&>,
                  "deduplicate_by(f) calls f with a const In& of this Batcher");
    using Value = std::remove_cvref_t<std::invoke_result_t<F&, const In&>>;
    static constexpr bool comparable = Hashable<Value> && std::copy_constructible<Value>;
    static constexpr bool whole_items = std::same_as<F, Itself>;
    static_assert(comparable || !whole_items,
                  "deduplicate() compares the items: this Batcher's In needs ==, a std::hash and a "
                  "copy constructor, or write batching::deduplicate_by(f) with an f that returns "
                  "what has them");
    static_assert(comparable || whole_items,
                  "deduplicate_by(f) compares what f returns: it needs ==, a std::hash and a copy "
                  "constructor");

    struct Key {
        Value value;
        const Line* line;
        bool operator==(const Key&) const = default;
    };

public:
    static constexpr int order = 2;
    explicit BoundRule(DeduplicateBy<F> rule) : rule_(std::move(rule)) {}

    void add_to(Rules& rules, const Options&) const noexcept {
        rules.shared = true;
        rules.join_running = rule_.join_running;
    }
    void appraise(ItemCall& call, const In& item, const WeightLimits&) {
        auto* const line = static_cast<Line*>(call.group);
        Key key{std::invoke(rule_.function, item), line};
        const std::size_t hash = std::hash<Value>{}(key.value) ^ std::hash<Line*>{}(line);
        call.group = &places_->intern(std::move(key), hash, line);
        call.in_place = true;
        if (line != nullptr) line->release();  // its place refers to it
    }

private:
    DeduplicateBy<F> rule_;
    std::unique_ptr<InternTable<Key, Place>> places_ = std::make_unique<InternTable<Key, Place>>();
};

// Asked of no item: it is told of batches.
template <class In, class F>
class BoundRule<In, Observe<F>> {
    static_assert(std::invocable<F&, const BatchReport&>,
                  "observe(f) calls f with a const batching::BatchReport&");

public:
    static constexpr int order = 3;
    explicit BoundRule(Observe<F> rule) : rule_(std::move(rule)) {}

    void add_to(Rules&, const Options&) const noexcept {}
    void observe(const BatchReport& report) noexcept {
        try {
            std::invoke(rule_.function, report);
        } catch (...) {  // it is nobody's: the batch has its results
            return;
        }
    }

private:
    Observe<F> rule_;
};

// It asks nothing of an item: the engine does what it is for (tracing.hpp).
template <class In>
class BoundRule<In, Trace> {
public:
    static constexpr int order = 4;
    explicit BoundRule(Trace rule) noexcept : rule_(std::move(rule)) {}
    void add_to(Rules&, const Options&) const noexcept {}
    const std::shared_ptr<Tracer>& tracer() const noexcept { return rule_.tracer; }

private:
    Trace rule_;
};

}  // namespace batching::detail
