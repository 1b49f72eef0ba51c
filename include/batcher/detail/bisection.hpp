// Bisection: which parts of a batch a function is called with next, until each item has its result, or is alone with
// the exception it causes. Breadth first, so that both halves of all items are seen before smaller parts.
#pragma once

#include <algorithm>
#include <batcher/detail/batch_info_access.hpp>
#include <batcher/detail/result_count.hpp>
#include <batcher/result.hpp>
#include <concepts>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

// `lends_items`: the function leaves them as they are.
template <class In, class Out, bool lends_items>
class Bisection {
    static_assert(lends_items || std::copy_constructible<In>,
                  "isolate_failures() calls a function again with the same items, and these cannot "
                  "be copied: let it "
                  "take them as const std::vector<In>& or as std::span<const In>");

    struct Part {
        std::size_t begin;
        std::size_t end;
        std::size_t size() const noexcept { return end - begin; }
    };

public:
    explicit Bisection(std::vector<In> items)
        : items_(std::move(items)), results_(items_.size()), parts_{{0, items_.size()}} {}

    // Each item has its result or its exception.
    bool done() const noexcept { return parts_.empty(); }

    // What to call the function with. Precondition: !done().
    std::vector<In>& load() {
        const auto begin = items_.begin() + static_cast<std::ptrdiff_t>(part().begin);
        const auto end = items_.begin() + static_cast<std::ptrdiff_t>(part().end);
        ++calls_;
        if constexpr (lends_items) {
            loaded_.assign(std::move_iterator(begin), std::move_iterator(end));
        } else {
            loaded_.assign(begin, end);
        }
        return loaded_;
    }

    // What is known of those, from what is known of all.
    template <class Info>
    Info part_of(const Info& batch) const noexcept {
        return BatchInfoAccess::part(batch, part().begin, part().end);
    }

    // It returned these results. If they are too few or too many, all items fail.
    template <class Many>
    void returned(Many many) {
        if (many.size() != part().size()) {
            return fail_all(
                std::make_exception_ptr(result_count_mismatch(many.size(), part().size())));
        }
        for (std::size_t i = 0; i != many.size(); ++i) {
            results_[part().begin + i].emplace(std::move(many[i]));
        }
        parts_.pop_front();
    }
    // The same without results.
    void returned() {
        for (std::size_t i = part().begin; i != part().end; ++i) results_[i].emplace();
        parts_.pop_front();
    }

    void threw(std::exception_ptr error) {
        const Part part = this->part();
        parts_.pop_front();
        if (calls_ == 1) first_error_ = error;
        ++throws_;
        if (part.size() == 1) {
            results_[part.begin].emplace(std::move(error));
        } else {
            const std::size_t middle = part.begin + part.size() / 2;
            parts_.push_back({part.begin, middle});
            parts_.push_back({middle, part.end});
        }
        if constexpr (lends_items) {
            std::move(loaded_.begin(), loaded_.end(),
                      items_.begin() + static_cast<std::ptrdiff_t>(part.begin));
        }
        if (throws_ == 3 && calls_ == 3) fail_all(first_error_);  // all items, and both halves
    }

    // Precondition: done().
    std::vector<Result<Out>> results() && {
        std::vector<Result<Out>> results;
        results.reserve(results_.size());
        for (auto& result : results_) results.push_back(*std::move(result));
        return results;
    }

private:
    const Part& part() const noexcept { return parts_.front(); }

    void fail_all(const std::exception_ptr& error) {
        for (auto& result : results_) result.emplace(error);
        parts_.clear();
    }

    std::vector<In> items_;
    std::vector<std::optional<Result<Out>>> results_;
    std::deque<Part> parts_;  // to be tried, in this order
    std::vector<In> loaded_;  // the items of the first of them
    std::size_t calls_ = 0;
    std::size_t throws_ = 0;
    std::exception_ptr first_error_;
};

}  // namespace batching::detail
