#pragma once

#include <batcher.hpp>
#include <vector>

inline int twice(int number) {
    batching::Batcher batcher{[](std::vector<int> batch) {
        for (int& item : batch) item *= 2;
        return batch;
    }};
    return batcher.process(number).get();
}

int twice_elsewhere(int number);
