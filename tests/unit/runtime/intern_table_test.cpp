// InternTable: what equal keys have in common; and the memory that it keeps.
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/place.hpp>
#include <batcher/detail/runtime/intern_table.hpp>
#include <batcher/detail/runtime/spare_memory.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "../catch.hpp"

namespace intern_table_test {

using batching::detail::Interned;
using batching::detail::InternTable;
using batching::detail::KeyTable;
using batching::detail::Line;
using batching::detail::Place;
using batching::detail::Releases;
namespace spare_memory = batching::detail::spare_memory;

struct Entry : Interned {
    explicit Entry(KeyTable* table) : Interned(table) {}
};
using Table = InternTable<int, Entry>;

TEST_CASE("equal keys have one entry for as long as anybody refers to it", "[intern_table]") {
    Table table;
    Entry& one = table.intern(1, 1);
    CHECK(&table.intern(1, 1) == &one);
    Entry& two = table.intern(2, 1);  // the same hash
    CHECK(&two != &one);
    CHECK(table.size() == 2);
    one.release();
    CHECK(&table.intern(1, 1) == &one);
    one.release();
    one.release();
    CHECK(table.size() == 1);
    two.release();
    CHECK(table.size() == 0);
}

TEST_CASE("references may be given back together, to different tables", "[intern_table]") {
    Table first;
    Table second;
    {
        Releases releases;
        for (int key = 0; key < 100; ++key) {
            releases.add(first.intern(key, std::hash<int>{}(key)));
            releases.add(first.intern(key, std::hash<int>{}(key)));
            if (key % 10 == 0) releases.add(second.intern(key, 0));
        }
        Entry& kept = first.intern(7, std::hash<int>{}(7));
        releases.add(kept);
        kept.refer();  // before that was given back
    }
    CHECK(first.size() == 1);
    CHECK(second.size() == 0);
    first.intern(7, std::hash<int>{}(7)).release();
    CHECK(first.size() == 1);
}

// Its key uses the table when it is destroyed.
struct Curious {
    std::shared_ptr<std::function<void()>> when_destroyed;
    bool operator==(const Curious&) const { return true; }
    Curious(std::shared_ptr<std::function<void()>> f) : when_destroyed(std::move(f)) {}
    Curious(Curious&&) = default;
    Curious& operator=(Curious&&) = delete;
    ~Curious() {
        if (when_destroyed != nullptr) (*when_destroyed)();
    }
};

TEST_CASE("a key may use its table when it is destroyed", "[intern_table]") {
    InternTable<Curious, Entry> table;
    std::vector<std::size_t> sizes;
    Entry& entry = table.intern(
        Curious(std::make_shared<std::function<void()>>([&] { sizes.push_back(table.size()); })),
        0);
    sizes.clear();
    entry.release();
    CHECK(sizes == std::vector<std::size_t>{0});
}

TEST_CASE("the key of a line may use the table of its places when it is destroyed",
          "[intern_table]") {
    InternTable<Curious, Line> lines;
    InternTable<int, Place> places;
    std::vector<std::size_t> sizes;
    Line& line = lines.intern(
        Curious(std::make_shared<std::function<void()>>([&] { sizes.push_back(places.size()); })),
        0);
    Place& place = places.intern(1, 1, &line);
    line.release();  // the place refers to it
    sizes.clear();
    place.release();
    CHECK(sizes == std::vector<std::size_t>{0});
    CHECK(lines.size() == 0);
}

TEST_CASE("of nodes that are freed a few are kept for the next ones", "[intern_table]") {
    spare_memory::Blocks blocks;
    using Set = std::unordered_set<std::string, std::hash<std::string>, std::equal_to<>,
                                   spare_memory::Allocator<std::string>>;
    {
        Set set{spare_memory::Allocator<std::string>(blocks)};
        const std::string* const first = &*set.insert("first").first;
        set.erase("first");
        CHECK(&*set.insert("second").first == first);
        for (int i = 0; i < 1000; ++i) set.insert(std::to_string(i));
    }
    std::vector<void*> taken;
    while (void* const block = blocks.take()) taken.push_back(block);
    for (void* const block : taken) {
        blocks.give(block, [](void* memory) { ::operator delete(memory); });
    }
    CHECK(taken.size() == 256);
}

}  // namespace intern_table_test
