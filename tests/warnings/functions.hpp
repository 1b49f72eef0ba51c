#pragma once

#include <batcher/result.hpp>
#include <string>
#include <vector>

struct Question {
    std::string text;
    int number = 0;
};
struct Answer {
    std::string text;
    std::vector<std::string> sources;
};

std::vector<batching::Result<std::string>> shout(const std::vector<std::string>& items);
std::vector<batching::Result<Answer>> answer(std::vector<Question> items);
