// expect: a callback of a Batcher takes (std::exception_ptr, Out), not an error_code
#include <batcher.hpp>

#include <system_error>

void call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.async_process(1, [](std::exception_ptr, int) {});
#else
    batcher.async_process(1, [](const batching::detail::error_code&, int) {});
#endif
}
