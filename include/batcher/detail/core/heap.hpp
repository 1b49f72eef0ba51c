// Heap: objects of which the one that is served first can be found at once, and any can leave.
//
// A pairing heap: Fredman, Sedgewick, Sleator and Tarjan, "The pairing heap: a new form of self-adjusting
// heap", Algorithmica 1 (1986), with the two passes of that paper. A tree in which each is served no later
// than those below it; to push is to meld a tree of one with it. The links are part of the objects, so
// nothing is allocated and nothing fails.
//
//     top, push    O(1)
//     erase        O(log n) amortised; at worst O(n), in loops, as a tree may be as deep or as wide as it
//                  has objects
#pragma once

namespace batching::detail {

// What an object has to derive from. Not initialised: one that is in no heap pays nothing for it.
struct HeapLink {
    HeapLink* child;     // the first of those below it
    HeapLink* next;      // beside it, below the same
    HeapLink* previous;  // beside it; of the first: the one above
};

// Before{}(a, b): `a` is served before `b`. Among equals no order is promised.
template <class T, class Before>
class Heap {
public:
    Heap() = default;
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    bool empty() const noexcept { return root_ == nullptr; }

    // The one that is served first. Precondition: there is one.
    T& top() const noexcept { return object(*root_); }

    // Precondition: it is in no heap.
    void push(T& pushed) noexcept {
        HeapLink& link = pushed;
        link.child = nullptr;
        root_ = root_ == nullptr ? &link : &meld(*root_, link);
    }

    // Precondition: it is in this one.
    void erase(T& erased) noexcept {
        HeapLink& link = erased;
        HeapLink* const below = meld_row(link.child);
        if (&link == root_) {
            root_ = below;
            return;
        }
        cut(link);
        if (below != nullptr) root_ = &meld(*root_, *below);
    }

private:
    static T& object(HeapLink& link) noexcept { return static_cast<T&>(link); }

    // Makes one tree of two, and returns its root.
    static HeapLink& meld(HeapLink& a, HeapLink& b) noexcept {
        const bool b_first = Before{}(object(b), object(a));
        HeapLink& root = b_first ? b : a;
        HeapLink& below = b_first ? a : b;
        below.previous = &root;
        below.next = root.child;
        if (root.child != nullptr) root.child->previous = &below;
        root.child = &below;
        return root;
    }

    // Makes one tree of those in a row, or none of none: first of each two from the left, then of those, one
    // after the other from the right.
    static HeapLink* meld_row(HeapLink* first) noexcept {
        HeapLink* last_pair = nullptr;  // linked by `next`, to the left
        while (first != nullptr) {
            HeapLink* pair = first;
            first = first->next;
            if (first != nullptr) {
                HeapLink& second = *first;
                first = second.next;
                pair = &meld(*pair, second);
            }
            pair->next = last_pair;
            last_pair = pair;
        }
        HeapLink* root = last_pair;
        if (root == nullptr) return nullptr;
        for (HeapLink* pair = root->next; pair != nullptr;) {
            HeapLink* const left = pair->next;
            root = &meld(*pair, *root);
            pair = left;
        }
        return root;
    }

    // Takes the tree below and with `link` out of the one it stands in. Precondition: it is not all of it.
    static void cut(HeapLink& link) noexcept {
        HeapLink& previous = *link.previous;
        (previous.child == &link ? previous.child : previous.next) = link.next;
        if (link.next != nullptr) link.next->previous = &previous;
    }

    HeapLink* root_ = nullptr;
};

}  // namespace batching::detail
