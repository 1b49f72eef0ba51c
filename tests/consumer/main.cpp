// A program as a user writes it, built outside this project. Exit status 0: the result was right.
#include <batcher.hpp>
#include <vector>

int main() {
    batching::Batcher twice{[](std::vector<int> batch) {
        for (int& item : batch) item *= 2;
        return batch;
    }};
    return twice.process(21).get() == 42 ? 0 : 1;
}
