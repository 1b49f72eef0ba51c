// Lines: the keys that have calls waiting, each with its own line, and whose turn it is.
//
// A line is ready when a batch of it may leave: it is full, or its oldest call has waited long enough, or it is flushed.
// Free slots go round the lines that are ready, so that each key gets the same share of the items (of their weight, if
// they have one), however much the others offer. Method: self-clocked fair queueing (Golestani, 1994). Each line has a
// position, which each of its batches moves on by what is in it; next is the line that is furthest behind. One that
// becomes ready starts where the service is by then: what it did not ask for before is not made up for. At the same
// position it goes before those that were ready all the time, or one that asks little would wait for two batches of one
// that asks always. O(log keys).
#pragma once

#include <algorithm>
#include <batcher/detail/core/heap.hpp>
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/rules.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace batching::detail {

class Lines {
public:
    explicit Lines(const Rules& rules) noexcept : rules_(rules) {}

    // A call has come to a line. False: nothing that counts here has changed, as it stands behind others.
    bool changes_by(const Line& line, const Call& call) const noexcept {
        const bool next = &line.lane(call.lane).front() == &call;
        return next || line.has_deadlines() || rules_.weighed() ||
               line.size() >= (line.batches_ + 1) * rules_.max_batch_size;
    }

    // Something about a line has changed. `due`: when a batch of it may leave in any case.
    void changed(Line& line, Time due, bool closed) noexcept {
        list(line, !line.empty());
        const std::size_t most = rules_.max_concurrent_batches_per_key;
        const std::size_t free = most - (std::min)(most, line.running);
        const bool leaves = !line.empty() && (due <= now_ || closed || line.flushed());
        const std::size_t batches =
            (std::min)(free, std::max<std::size_t>(rules_.full_batches(line), leaves ? 1 : 0));
        batches_ += batches - line.batches_;
        const bool was_ready = std::exchange(line.batches_, batches) != 0;
        if (batches != 0) {
            stop_waiting(line);
            if (!was_ready) join(line);
        } else {
            if (was_ready) ready_.erase(line);
            free != 0 && !line.empty() ? wait_for(line, due) : stop_waiting(line);
        }
    }

    // Time has passed: the next line that has become due, or null. To be told that it has changed.
    Line* next_due(Time now) noexcept {
        now_ = (std::max)(now_, now);
        return waiting_.empty() || waiting_.top().due_ > now_ ? nullptr : &waiting_.top();
    }
    // When the first line becomes due that is not ready.
    Time due() const noexcept { return waiting_.empty() ? Rules::never : waiting_.top().due_; }

    // How many batches could start now.
    std::size_t batches() const noexcept { return batches_; }

    // The line whose turn it is, or null.
    Line* turn() const noexcept { return ready_.empty() ? nullptr : &ready_.top(); }
    // A batch of so many items, or of so much weight, of the line whose turn it was has been formed. To be told before
    // that the line has changed.
    void served(Line& line, std::size_t cost) noexcept {
        const bool ready = line.batches_ != 0;  // some of its calls may have been let go meanwhile
        if (ready) ready_.erase(line);
        line.turn_ = {line.turn_.position + cost, true, ++turns_};
        service_ = (std::max)(service_, line.turn_.position);
        if (ready) ready_.push(line);
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
    struct FurtherBehind {
        bool operator()(const Line& a, const Line& b) const noexcept { return a.turn_ < b.turn_; }
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

    void join(Line& line) noexcept {
        line.turn_ = {service_, false, ++turns_};
        ready_.push(line);
    }

    void wait_for(Line& line, Time due) noexcept {
        if (line.waits_for_due_ && due == line.due_) return;
        stop_waiting(line);
        line.waits_for_due_ = true;
        line.due_ = due;
        waiting_.push(line);
    }
    void stop_waiting(Line& line) noexcept {
        if (std::exchange(line.waits_for_due_, false)) waiting_.erase(line);
    }

    const Rules& rules_;
    Time now_ = (Time::min)();
    Line* first_ = nullptr;  // of those that have calls, since when they have some
    Line* last_ = nullptr;
    // A line stands in one of these heaps at most.
    Heap<Line, FurtherBehind> ready_;
    Heap<Line, Sooner> waiting_;  // those that are not ready, and may be once they are due
    std::size_t batches_ = 0;     // of those that are ready
    std::uint64_t service_ = 0;   // the position that it has reached
    std::uint64_t turns_ = 0;     // so far
};

}  // namespace batching::detail
