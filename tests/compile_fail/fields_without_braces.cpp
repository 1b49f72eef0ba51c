// expect: process() takes one item: the fields of an item go in braces
#include <batcher.hpp>
#include <string>

struct Event {
    std::string name;
    int count;
};

void call(batching::Batcher<Event, int>& batcher) {
#if defined(CORRECTED)
    batcher.process({"a", 3}).get();
#else
    batcher.process("a", 3).get();
#endif
}
