// expect: resume_on() takes an executor, not what has one: context.get_executor()
#include <batcher.hpp>

void call(batching::Batcher<int, int>& batcher, batching::asio::io_context& context) {
#if defined(CORRECTED)
    (void)batcher.process(1).resume_on(context.get_executor());
#else
    (void)batcher.process(1).resume_on(context);
#endif
}
