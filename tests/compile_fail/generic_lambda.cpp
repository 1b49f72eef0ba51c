// expect: the item types of a generic, overloaded or uncallable object cannot be deduced: name them, as in batching::Batcher<In, Out>
#include <batcher.hpp>

void make() {
#if defined(CORRECTED)
    batching::Batcher<int, int> batcher{[](auto items) { return items; }};
#else
    batching::Batcher batcher{[](auto items) { return items; }};
#endif
}
