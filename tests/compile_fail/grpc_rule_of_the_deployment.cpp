// expect: the rules of a handle are batching::observe(f) and batching::trace(tracer)
#include <batcher/grpc.hpp>
#include <cstddef>

std::size_t weight_of(int item);
void note(const batching::BatchReport& report);

#if defined(CORRECTED)
auto handle =
    batching::grpc::connect<int, int>("unix:/run/model.sock", "model", {}, batching::observe(note));
#else
auto handle = batching::grpc::connect<int, int>("unix:/run/model.sock", "model", {},
                                                batching::weigh(weight_of));
#endif
