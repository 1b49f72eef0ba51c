// RuleSet: the rules of a Batcher (rules.hpp) together.
#pragma once

#include <batcher/detail/runtime/appraiser.hpp>
#include <batcher/detail/runtime/bound_rule.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/options.hpp>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class In, class... R>
class RuleSet final : public Appraiser {
    static constexpr std::size_t of_order(int order) {
        return static_cast<std::size_t>(((BoundRule<In, R>::order == order) + ... + 0));
    }
    static_assert(of_order(0) <= 1 && of_order(1) <= 1 && of_order(2) <= 1 && of_order(4) <= 1,
                  "a Batcher has at most one rule of a kind: one weigh(), one key_by(), one "
                  "deduplicate() or deduplicate_by(), one trace()");

public:
    explicit RuleSet(R... rules) : rules_(BoundRule<In, R>(std::move(rules))...) {}

    bool appraises() const noexcept override { return of_order(3) != sizeof...(R); }
    bool observes() const noexcept override { return of_order(3) != 0; }

    void add_to(Rules& rules, const Options& options) const noexcept override {
        std::apply([&](const auto&... bound) { (bound.add_to(rules, options), ...); }, rules_);
    }

    void appraise(ItemCall& call, const WeightLimits& limits) override {
        const In& item = static_cast<Item<In>&>(call).input;
        const auto appraise = [&](auto& rule) { rule.appraise(call, item, limits); };
        each_of<0>(appraise);
        each_of<1>(appraise);
        try {
            each_of<2>(appraise);
        } catch (...) {
            if (call.group != nullptr) std::exchange(call.group, nullptr)->release();
            throw;
        }
    }

    void observe(const BatchReport& report) noexcept override {
        each_of<3>([&](auto& rule) { rule.observe(report); });
    }

    std::shared_ptr<Tracer> tracer() const noexcept override {
        if constexpr (of_order(4) == 1) {
            return std::get<BoundRule<In, Trace>>(rules_).tracer();
        } else {
            return nullptr;
        }
    }

private:
    template <int order, class Visit>
    void each_of(Visit visit) {
        std::apply(
            [&](auto&... bound) {
                const auto one = [&](auto& rule) {
                    if constexpr (std::remove_reference_t<decltype(rule)>::order == order) {
                        visit(rule);
                    }
                };
                (one(bound), ...);
            },
            rules_);
    }

    std::tuple<BoundRule<In, R>...> rules_;
};

// Null: there are none.
template <class In, class... R>
std::unique_ptr<Appraiser> make_rules(R... rules) {
    if constexpr (sizeof...(R) == 0) {
        return nullptr;
    } else {
        return std::make_unique<RuleSet<In, R...>>(std::move(rules)...);
    }
}

}  // namespace batching::detail
