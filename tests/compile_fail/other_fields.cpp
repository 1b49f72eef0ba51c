// expect: its In cannot be made from what stands in the braces
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
    batcher.process({3, "a"}).get();
#endif
}
