// expect: a string_view, span or pointer may be gone before its batch is formed
#include <batcher.hpp>

int call(batching::Batcher<const int*, int>& batcher, const int* item) {
#if defined(CORRECTED)
    return batcher.process(item).get();
#else
    batcher.process(item)([](std::exception_ptr, int) {});
    return 0;
#endif
}
