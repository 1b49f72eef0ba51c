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

    std::size_t size() const noexcept { return main_.size() + in_lines().calls; }
    bool empty() const noexcept { return main_.empty() && in_lines().calls == 0; }
    std::size_t weight() const noexcept { return main_.weight() + in_lines().weight; }

    // The one line where there are no keys.
    Line& main() noexcept { return main_; }
    const Line& main() const noexcept { return main_; }
    Lines& lines() noexcept { return lines_; }
    const Lines& lines() const noexcept { return lines_; }

    // Lines are told of changes by whoever makes them: Lines::changed(). `line` is that of the call, as line_of() has it.
    void push(ItemCall& call, Line* line) noexcept {
        if (line == nullptr) return main_.push(call);
        line->push(call);
        in_lines_of(call) += {1, call.weight};
    }
    void erase(Call& call, Line* line) noexcept {
        if (line == nullptr) return main_.erase(call);
        line->erase(call);
        in_lines_of(call) -= {1, call.weight};
    }
    void move(ItemCall& call, Priority to, Line* line) noexcept {
        if (line == nullptr) return main_.move(call, to);
        in_lines_of(call) -= {1, call.weight};
        line->move(call, to);
        in_lines_of(call) += {1, call.weight};
    }
    // `by` waits instead of a call, in its place.
    void replace(ItemCall& call, ItemCall& by, Line* line) noexcept {
        if (line == nullptr) return main_.replace(call, by);
        line->replace(call, by);
        in_lines_of(by).weight += by.weight - call.weight;
    }
    // Moves calls of a row of a line to the end of `to`, as Lane::take_while() does.
    template <class Takes>
    BATCHER_INLINE Taken take(Line& line, const Line::Row& row, CallList& to, Takes takes) {
        const Taken taken = line.take(row, to, takes);
        if (line.in_table()) {
            in_lines_[static_cast<std::size_t>(row.priority)] -= {taken.calls, taken.weight};
        }
        return taken;
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

    // What waits of classes below this one.
    Amount below(Priority priority) const noexcept {
        Amount below;
        for (const Priority lower : {Priority::low, Priority::normal}) {
            if (lower >= priority) break;
            const Lane& lane = main_.lane(lower);
            below += {lane.size(), lane.weight()};
            below += in_lines_[static_cast<std::size_t>(lower)];
        }
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
    Amount& in_lines_of(const Call& call) noexcept {
        return in_lines_[static_cast<std::size_t>(call.lane)];
    }
    Amount in_lines() const noexcept {
        Amount all = in_lines_[0];
        all += in_lines_[1];
        all += in_lines_[2];
        return all;
    }

    Line main_;
    Lines lines_;
    std::array<Amount, 3> in_lines_;  // of keys, by class: all have terms
};

}  // namespace batching::detail
