// Queue: the calls that wait. In one line, or with keys in a line for each.
#pragma once

#include <array>
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/lines.hpp>
#include <batcher/detail/core/place.hpp>
#include <batcher/detail/core/rules.hpp>
#include <cstddef>

namespace batching::detail {

class Queue {
public:
    explicit Queue(const Rules& rules) noexcept : lines_(rules) {}

    std::size_t size() const noexcept { return main_.size() + in_lines_; }
    bool empty() const noexcept { return size() == 0; }
    // Of the calls that have terms.
    std::size_t weight() const noexcept {
        return with_terms_[0].weight + with_terms_[1].weight + with_terms_[2].weight;
    }

    // The one line where there are no keys.
    Line& main() noexcept { return main_; }
    const Line& main() const noexcept { return main_; }
    Lines& lines() noexcept { return lines_; }
    const Lines& lines() const noexcept { return lines_; }

    // Lines are told of changes by whoever makes them: Lines::changed(). `line` is that of the call, as line_of() has it.
    void push(ItemCall& call, Line* line) noexcept {
        (line == nullptr ? main_ : *line).push(call);
        if (line != nullptr) ++in_lines_;
        Class& with_terms = class_of(call);
        ++with_terms.calls;
        with_terms.weight += call.weight;
    }
    void erase(ItemCall& call, Line* line) noexcept {
        (line == nullptr ? main_ : *line).erase(call);
        if (line != nullptr) --in_lines_;
        Class& with_terms = class_of(call);
        --with_terms.calls;
        with_terms.weight -= call.weight;
    }
    void erase(Call& call, Line* line) noexcept {
        call.plain ? main_.erase(call) : erase(terms_of(call), line);
    }
    void move(ItemCall& call, Priority to) noexcept {
        Class& from = class_of(call);
        --from.calls;
        from.weight -= call.weight;
        line_or_main(call).move(call, to);
        ++class_of(call).calls;
        class_of(call).weight += call.weight;
    }
    // `by` waits instead of a call, in its place.
    void replace(ItemCall& call, ItemCall& by) noexcept {
        line_or_main(call).replace(call, by);
        class_of(by).weight += by.weight - call.weight;
    }

    // Calls `visit` with each call, and with those that share its place before; it may erase that call.
    template <class Visit>
    void for_each(Visit visit) {
        const auto visit_place = [&](Call& call) {
            if (Place* const place = place_of(call)) place->sharers.for_each(visit);
            visit(call);
        };
        main_.for_each(visit_place);
        lines_.for_each([&](Line& line) {
            line.refer();  // it goes with its last call
            line.for_each(visit_place);
            line.release();
        });
    }

    // What there is of classes below this one, in calls and in weight.
    struct Class {
        std::size_t calls = 0;
        std::size_t weight = 0;
    };
    Class below(Priority priority) const noexcept {
        Class below;
        for (std::size_t i = 0; i < static_cast<std::size_t>(priority); ++i) {
            below.calls += with_terms_[i].calls;
            below.weight += with_terms_[i].weight;
        }
        if (priority == Priority::high) below.calls += plain_calls();
        return below;
    }

    // The newest call of the lowest class. Precondition: there is one. O(keys).
    Call& newest_of_lowest() noexcept {
        for (const Priority lowest : {Priority::low, Priority::normal, Priority::high}) {
            Call* newest = nullptr;
            const auto look = [&](const Line& line) {
                const Lane& lane = line.lane(lowest);
                if (lane.empty()) return;
                if (newest == nullptr || lane.back().queued_at >= newest->queued_at)
                    newest = &lane.back();
            };
            look(main_);
            lines_.for_each(look);
            if (newest != nullptr) return *newest;
        }
        BATCHER_UNREACHABLE();
    }

private:
    Line& line_or_main(const ItemCall& call) noexcept {
        Line* const line = line_of(call);
        return line == nullptr ? main_ : *line;
    }
    Class& class_of(const Call& call) noexcept {
        return with_terms_[static_cast<std::size_t>(call.lane)];
    }
    std::size_t plain_calls() const noexcept {
        return size() - with_terms_[0].calls - with_terms_[1].calls - with_terms_[2].calls;
    }

    Line main_;
    Lines lines_;
    std::size_t in_lines_ = 0;
    std::array<Class, 3> with_terms_;
};

}  // namespace batching::detail
