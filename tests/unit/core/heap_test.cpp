// The Heap: the one that is served first is at its top, whoever came and left before.
#include <algorithm>
#include <batcher/detail/core/heap.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "../catch.hpp"
#include "../sanitized.hpp"

namespace heap_test {

using batching::detail::Heap;
using batching::detail::HeapLink;

struct Element : HeapLink {
    Element() = default;
    explicit Element(int k) : key(k) {}
    int key = 0;
};

std::uint64_t comparisons = 0;
struct Smaller {
    bool operator()(const Element& a, const Element& b) const noexcept {
        ++comparisons;
        return a.key < b.key;
    }
};
using TestHeap = Heap<Element, Smaller>;

std::vector<Element> elements(const std::vector<int>& keys) {
    std::vector<Element> all;
    for (const int key : keys) all.emplace_back(key);
    return all;
}

void push(TestHeap& heap, std::vector<Element>& all) {
    for (Element& element : all) heap.push(element);
}

// Erases the top until there is none, and returns the keys.
std::vector<int> drained(TestHeap& heap) {
    std::vector<int> keys;
    while (!heap.empty()) {
        keys.push_back(heap.top().key);
        heap.erase(heap.top());
    }
    return keys;
}

constexpr int many = sanitized ? 200'000 : 1'000'000;

std::vector<int> ascending(int n) {
    std::vector<int> keys;
    for (int i = 0; i < n; ++i) keys.push_back(i);
    return keys;
}
std::vector<int> descending(int n) {
    std::vector<int> keys;
    while (n > 0) keys.push_back(--n);
    return keys;
}

// Comparisons of so many pushes and of as many erases of the top, in units of n log2 n.
double comparisons_for(const std::vector<int>& keys) {
    std::vector<Element> all = elements(keys);
    TestHeap heap;
    comparisons = 0;
    push(heap, all);
    while (!heap.empty()) heap.erase(heap.top());
    const auto n = static_cast<double>(keys.size());
    return static_cast<double>(comparisons) / (n * std::log2(n));
}

static_assert(std::is_trivially_default_constructible_v<HeapLink>);
static_assert(noexcept(std::declval<TestHeap&>().push(std::declval<Element&>())));
static_assert(noexcept(std::declval<TestHeap&>().erase(std::declval<Element&>())));

TEST_CASE("a heap is empty until something is pushed, and after the last has left", "[heap]") {
    TestHeap heap;
    CHECK(heap.empty());
    Element element(3);
    heap.push(element);
    CHECK_FALSE(heap.empty());
    CHECK(&heap.top() == &element);
    heap.erase(element);
    CHECK(heap.empty());
    heap.push(element);
    CHECK(&heap.top() == &element);
}

TEST_CASE("the top is the one that is served first, in whatever order they came", "[heap]") {
    for (std::vector<int> keys : {std::vector{1, 2, 3}, {3, 2, 1}, {2, 1, 3}, {2, 3, 1}}) {
        std::vector<Element> all = elements(keys);
        TestHeap heap;
        push(heap, all);
        CHECK(drained(heap) == std::vector{1, 2, 3});
    }
}

TEST_CASE("any element may leave, and the others keep their order", "[heap]") {
    for (std::size_t left = 0; left < 7; ++left) {
        std::vector<Element> all = elements({3, 0, 5, 1, 6, 2, 4});
        TestHeap heap;
        push(heap, all);
        heap.erase(heap.top());  // so that it is a tree of several levels
        std::vector<int> expected{1, 2, 3, 4, 5, 6};
        if (all[left].key != 0) {
            heap.erase(all[left]);
            expected.erase(expected.begin() + all[left].key - 1);
        }
        CHECK(drained(heap) == expected);
    }
}

TEST_CASE("a heap has at its top what a sorted set has at its front, whoever comes and leaves",
          "[heap]") {
    const int distinct_keys = GENERATE(1, 10, 1'000'000);
    std::mt19937 random(7);
    const auto below = [&](std::size_t n) { return random() % n; };
    std::vector<Element> all(2000);
    std::vector<Element*> outside;
    std::vector<Element*> inside;
    for (Element& element : all) outside.push_back(&element);
    TestHeap heap;
    std::multiset<int> sorted;
    std::size_t wrong = 0;
    bool filling = true;

    for (int step = 0; step < 200'000; ++step) {
        if (outside.empty()) filling = false;
        if (inside.empty()) filling = true;
        auto& from = inside.empty() || (below(4) != 0) == filling ? outside : inside;
        if (from.empty()) continue;
        auto& to = &from == &outside ? inside : outside;
        std::size_t chosen = below(from.size());
        if (&from == &inside && below(2) == 0) {
            while (from[chosen] != &heap.top()) chosen = (chosen + 1) % from.size();
        }
        Element& element = *from[chosen];
        from[chosen] = from.back();
        from.pop_back();
        to.push_back(&element);
        if (&from == &outside) {
            element.key = static_cast<int>(below(static_cast<std::size_t>(distinct_keys)));
            heap.push(element);
            sorted.insert(element.key);
        } else {
            heap.erase(element);
            sorted.erase(sorted.find(element.key));
        }
        const bool same =
            heap.empty() == sorted.empty() && (heap.empty() || heap.top().key == *sorted.begin());
        if (!same) ++wrong;
    }
    CHECK(wrong == 0);
    CHECK(drained(heap) == std::vector<int>(sorted.begin(), sorted.end()));
}

TEST_CASE("a million elements in one row, or in one line, may leave", "[heap]") {
    std::vector<Element> all;
    SECTION("in one row below the first") { all = elements(ascending(many)); }
    SECTION("each below the next") { all = elements(descending(many)); }
    SECTION("all alike") { all = elements(std::vector<int>(many, 5)); }
    TestHeap heap;
    push(heap, all);
    heap.erase(heap.top());
    heap.erase(all[many / 2]);
    std::size_t left = 2;
    int last = heap.top().key;
    bool in_order = true;
    for (; !heap.empty(); ++left) {
        in_order = in_order && last <= heap.top().key;
        last = heap.top().key;
        heap.erase(heap.top());
    }
    CHECK(left == many);
    CHECK(in_order);
}

TEST_CASE("a million pushes and erases of the top take n log n comparisons, far fewer if sorted",
          "[heap]") {
    CHECK(comparisons_for(ascending(many)) < 0.3);
    CHECK(comparisons_for(descending(many)) < 0.06);  // 1 for each push, none for an erase
    CHECK(comparisons_for(std::vector<int>(many, 5)) < 0.3);
    std::vector<int> keys = ascending(many);
    std::shuffle(keys.begin(), keys.end(), std::mt19937(7));
    CHECK(comparisons_for(keys) < 1.5);
}

}  // namespace heap_test
