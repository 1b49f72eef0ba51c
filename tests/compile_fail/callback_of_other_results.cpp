// expect: this is no completion token of a Batcher
#include <batcher.hpp>

void call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.async_process_many({1}, [](std::exception_ptr, std::vector<int>) {});
#else
    batcher.async_process_many({1}, [](std::vector<int>) {});
#endif
}
