// expect: after the options come rules, and nothing else
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);
std::size_t weight_of(int item);

struct Service {
    explicit Service(batching::asio::io_context& context)
#if defined(CORRECTED)
        : batcher(context, echo, {.max_batch_size = 64}, batching::weigh(weight_of)){}
#else
        : batcher(context, echo, {.max_batch_size = 64}, weight_of) {
    }
#endif
          batching::Batcher<int, int> batcher;
};
