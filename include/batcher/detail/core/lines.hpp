// Lines: the keys that have calls waiting, each with its own line, and whose turn it is.
//
// A line is ready when a batch of it may leave: it is full, or its oldest call has waited long enough, or it is flushed.
// Free slots go round the lines that are ready. In its turn each gets credit for one batch of the largest size, and
// may leave with as many as it has credit for; what is left over is kept while it stays ready. So each key gets the
// same share of the items (of their weight, if they have one), however much the others offer. Method: deficit round
// robin (Shreedhar, Varghese, 1995). All O(1), but for O(log keys) where a line is not ready.
#pragma once

#include <algorithm>
#include <batcher/detail/core/heap.hpp>
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/rules.hpp>
#include <cstddef>
#include <utility>

namespace batching::detail {

class Lines {
public:
    explicit Lines(const Rules& rules) noexcept : rules_(rules) {}

    // Something about a line has changed. `due`: when a batch of it may leave in any case.
    void changed(Line& line, Time due, bool closed) noexcept {
        list(line, !line.empty());
        const std::size_t most = rules_.max_concurrent_batches_per_key;
        const std::size_t free = most - std::min(most, line.running);
        const bool leaves = !line.empty() && (due <= now_ || closed || line.flushed());
        const std::size_t batches =
            std::min(free, std::max<std::size_t>(rules_.full_batches(line), leaves ? 1 : 0));
        batches_ += batches - line.batches_;
        if ((batches == 0) != (line.batches_ == 0))
            batches == 0 ? leave_ring(line) : join_ring(line);
        line.batches_ = batches;
        wait_for(line, !line.empty() && batches == 0 && free != 0, due);
    }

    // Time has passed: the next line that has become due, or null. To be told that it has changed.
    Line* next_due(Time now) noexcept {
        now_ = std::max(now_, now);
        return waiting_.empty() || waiting_.top().due_ > now_ ? nullptr : &waiting_.top();
    }
    // When the first line becomes due that is not ready.
    Time due() const noexcept { return waiting_.empty() ? Rules::never : waiting_.top().due_; }

    // How many batches could start now.
    std::size_t batches() const noexcept { return batches_; }

    // The line whose turn it is, or null.
    Line* turn() noexcept {
        if (ring_ == nullptr) return nullptr;
        if (!std::exchange(ring_->its_turn_, true)) ring_->credit_ += rules_.most_in_turn();
        return ring_;
    }
    // A batch of so many items, or of so much weight, of the line whose turn it was has been formed. To be told before
    // that the line has changed.
    void served(Line& line, std::size_t cost) noexcept {
        line.credit_ -= std::min(line.credit_, cost);
        const std::size_t next = rules_.weighed() ? line.weight() : line.size();
        if (std::min(next, rules_.most_in_turn()) <= line.credit_) return;
        line.its_turn_ = false;
        if (ring_ == &line) ring_ = line.next_ready_;
    }

    // Calls `visit` with each line that has calls; it may change that line.
    template <class Visit>
    void for_each(Visit visit) {
        for (Line* line = first_; line != nullptr;) {
            Line* const next = line->next_;
            visit(*line);
            line = next;
        }
    }

private:
    struct Sooner {
        bool operator()(const Line& a, const Line& b) const noexcept { return a.due_ < b.due_; }
    };

    void list(Line& line, bool listed) noexcept {
        if (std::exchange(line.listed_, listed) == listed) return;
        if (listed) {
            line.previous_ = last_;
            line.next_ = nullptr;
        }
        (line.previous_ == nullptr ? first_ : line.previous_->next_) = listed ? &line : line.next_;
        (line.next_ == nullptr ? last_ : line.next_->previous_) = listed ? &line : line.previous_;
    }

    // Before the one whose turn it is: it comes last.
    void join_ring(Line& line) noexcept {
        line.credit_ = 0;
        line.its_turn_ = false;
        if (ring_ == nullptr) {
            ring_ = line.next_ready_ = line.previous_ready_ = &line;
            return;
        }
        line.next_ready_ = ring_;
        line.previous_ready_ = ring_->previous_ready_;
        line.previous_ready_->next_ready_ = ring_->previous_ready_ = &line;
    }
    void leave_ring(Line& line) noexcept {
        line.previous_ready_->next_ready_ = line.next_ready_;
        line.next_ready_->previous_ready_ = line.previous_ready_;
        if (ring_ == &line) ring_ = line.next_ready_ == &line ? nullptr : line.next_ready_;
    }

    void wait_for(Line& line, bool waits, Time due) noexcept {
        if (line.waits_for_due_ && (!waits || due != line.due_)) waiting_.erase(line);
        const bool waited = std::exchange(line.waits_for_due_, waits);
        if (!waits || (waited && due == line.due_)) return;
        line.due_ = due;
        waiting_.push(line);
    }

    const Rules& rules_;
    Time now_ = Time::min();
    Line* first_ = nullptr;  // of those that have calls, since when they have some
    Line* last_ = nullptr;
    Line* ring_ = nullptr;        // whose turn it is, of those that are ready
    std::size_t batches_ = 0;     // of those
    Heap<Line, Sooner> waiting_;  // those that are not ready, and may be once they are due
};

}  // namespace batching::detail
