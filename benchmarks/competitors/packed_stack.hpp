// A lock-free stack of nodes for the floors with several threads. The count stands beside the pointer in
// one word, so that exactly one push finds the batch full, and takes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace bench {

// Node has `Node* next`. Counts to 65,535.
template <class Node>
class PackedStack {
public:
    struct Chain {
        Node* newest = nullptr;
        std::size_t size = 0;
    };

    // What the push made: the number of nodes that then waited, or the full batch, taken.
    struct Pushed {
        std::size_t waiting;
        Chain full;
    };

    Pushed push(Node& node, std::size_t full) noexcept {
        std::uint64_t head = head_.load(std::memory_order_acquire);
        for (;;) {
            const std::size_t size = (head >> pointer_bits) + 1;
            node.next = pointer(head);
            const std::uint64_t next = size == full ? 0 : pack(node, size);
            if (head_.compare_exchange_weak(head, next, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                return size == full ? Pushed{0, {&node, size}} : Pushed{size, {}};
            }
        }
    }

    Chain take_all() noexcept {
        const std::uint64_t head = head_.exchange(0, std::memory_order_acquire);
        return {pointer(head), head >> pointer_bits};
    }

    bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == 0; }

private:
    static constexpr unsigned pointer_bits = 48;
    static Node* pointer(std::uint64_t head) noexcept {
        return reinterpret_cast<Node*>(head & ((std::uint64_t{1} << pointer_bits) - 1));
    }
    static std::uint64_t pack(Node& node, std::size_t size) noexcept {
        return reinterpret_cast<std::uintptr_t>(&node) | (std::uint64_t{size} << pointer_bits);
    }

    alignas(64) std::atomic<std::uint64_t> head_{0};
};

}  // namespace bench
