// The same with the remote part: a deployment, and a handle to it. Exit status 0: the result was right.
#include <batcher/grpc.hpp>
#include <vector>

int main() {
    batching::Batcher twice{[](std::vector<int> batch) {
        for (int& item : batch) item *= 2;
        return batch;
    }};
    const auto deployment = batching::grpc::deploy({.listen = "127.0.0.1:0"}, "twice", twice);
    auto handle = batching::grpc::connect<int, int>(deployment.address(), "twice");
    return handle.process(21).get() == 42 ? 0 : 1;
}
