// InternTable: what equal keys have in common, found by the key.
//
// An entry lives as long as anybody refers to it, so a key that is not in use takes no memory. The table has a lock of
// its own: keys are hashed without it, and compared under it; never under the engine's.
#pragma once

#include <array>
#include <batcher/detail/core/interned.hpp>
#include <batcher/detail/runtime/spare_memory.hpp>
#include <concepts>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>

namespace batching::detail {

template <class T>
concept Hashable = requires(const T& value) {
    { std::hash<T>{}(value) } -> std::convertible_to<std::size_t>;
} && std::equality_comparable<T>;

template <class Key, class Entry>
class InternTable final : public KeyTable {
public:
    InternTable() = default;
    InternTable(const InternTable&) = delete;
    InternTable& operator=(const InternTable&) = delete;

    // The entry of a key, referred to once more; made from `arguments` if there is none. O(1). Throws what comparing
    // throws, and std::bad_alloc.
    template <class... Arguments>
    Entry& intern(Key key, std::size_t hash, Arguments... arguments) {
        const std::lock_guard lock(mutex_);
        auto found = nodes_.find(Lookup{key, hash});
        if (found == nodes_.end()) {
            found = nodes_.emplace(*this, std::move(key), hash, arguments...).first;
        }
        Entry& entry = entry_of(*found);
        entry.refer();
        return entry;
    }

    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return nodes_.size();
    }

private:
    struct Node final : Entry {
        template <class... Arguments>
        Node(KeyTable& table, Key k, std::size_t h, Arguments... arguments)
            : Entry(&table, arguments...), key(std::move(k)), hash(h) {}
        std::optional<Key> key;  // none: it is about to be freed
        const std::size_t hash;
    };
    struct Lookup {
        const Key& key;
        std::size_t hash;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(const Node& node) const noexcept { return node.hash; }
        std::size_t operator()(const Lookup& lookup) const noexcept { return lookup.hash; }
    };
    struct Same {
        using is_transparent = void;
        bool operator()(const Node& a, const Node& b) const noexcept { return &a == &b; }
        bool operator()(const Lookup& lookup, const Node& node) const {
            return lookup.hash == node.hash && lookup.key == *node.key;
        }
        bool operator()(const Node& node, const Lookup& lookup) const {
            return (*this)(lookup, node);
        }
    };
    using Nodes = std::unordered_set<Node, Hash, Same, spare_memory::Allocator<Node>>;

    // What a set holds is constant, as it must not change its place there; that of a node is told by its key.
    static Entry& entry_of(const Node& node) noexcept { return const_cast<Node&>(node); }

    // Keys are destroyed without the lock, as that is the user's code; that of its line may go with an entry.
    void release_last(std::span<Interned* const> entries) noexcept override {
        std::array<typename Nodes::node_type, most_at_once> last;
        std::size_t count = 0;
        {
            const std::lock_guard lock(mutex_);
            for (Interned* const entry : entries) {
                if (!entry->released_last()) continue;
                const auto& node = static_cast<Node&>(static_cast<Entry&>(*entry));
                last[count++] = nodes_.extract(nodes_.find(node));
            }
        }
        for (std::size_t i = 0; i < count; ++i) {
            last[i].value().key.reset();
            last[i].value().let_go();
        }
        const std::lock_guard lock(mutex_);  // their memory is kept
        for (std::size_t i = 0; i < count; ++i) last[i] = {};
    }

    mutable std::mutex mutex_;
    spare_memory::Blocks spare_;
    Nodes nodes_{spare_memory::Allocator<Node>(spare_)};
};

}  // namespace batching::detail
