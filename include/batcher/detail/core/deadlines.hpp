// Deadlines: those that are watched, and which of them comes first.
//
// Most calls of a Batcher have the same timeout, so their deadlines come in their order: one that is no earlier than the
// last of a row joins that row, at its end. The others stand in a heap.
//
//     first, push    O(1)
//     erase          O(1) from the row; O(log n) amortised from the heap
#pragma once

#include <batcher/detail/compiler.hpp>
#include <batcher/detail/core/heap.hpp>
#include <batcher/detail/core/terms.hpp>

namespace batching::detail {

class Deadlines {
public:
    Deadlines() noexcept { row_.next = row_.previous = &row_; }
    Deadlines(const Deadlines&) = delete;
    Deadlines& operator=(const Deadlines&) = delete;

    bool empty() const noexcept { return row_empty() && heap_.empty(); }

    // The earliest. Precondition: there is one.
    Deadline& first() const noexcept {
        if (row_empty()) return heap_.top();
        Deadline& first = deadline(row_.next);
        return !heap_.empty() && heap_.top().at < first.at ? heap_.top() : first;
    }

    // Precondition: it is not watched.
    void push(Deadline& pushed) noexcept {
        HeapLink* const last = row_.previous;
        pushed.in_row = deadline(last).at <= pushed.at;
        if (!pushed.in_row) return push_on_heap(pushed);
        pushed.previous = last;
        pushed.next = &row_;
        last->next = row_.previous = &pushed;
    }

    // Precondition: it is watched.
    void erase(Deadline& erased) noexcept {
        if (!erased.in_row) return erase_from_heap(erased);
        erased.previous->next = erased.next;
        erased.next->previous = erased.previous;
    }

private:
    // Apart, so that the usual way is short wherever it is inlined.
    BATCHER_NOINLINE void push_on_heap(Deadline& pushed) noexcept { heap_.push(pushed); }
    BATCHER_NOINLINE void erase_from_heap(Deadline& erased) noexcept { heap_.erase(erased); }

    struct Earlier {
        bool operator()(const Deadline& a, const Deadline& b) const noexcept { return a.at < b.at; }
    };
    static Deadline& deadline(HeapLink* link) noexcept { return static_cast<Deadline&>(*link); }
    bool row_empty() const noexcept { return row_.next == &row_; }

    Deadline row_{
        {}, (Time::min)(), nullptr, true};  // its end: earlier than all, for who comes first
    Heap<Deadline, Earlier> heap_;
};

}  // namespace batching::detail
