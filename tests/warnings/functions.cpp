// Batch functions as they are usually written; a small file, so that g++ inlines all of it.
#include "functions.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

using batching::Result;

std::vector<Result<std::string>> shout(const std::vector<std::string>& items) {
    std::vector<Result<std::string>> results;
    for (const std::string& item : items) {
        try {
            if (item.empty()) throw std::invalid_argument("empty");
            results.push_back(item + "!");
        } catch (...) {
            results.push_back(std::current_exception());
        }
    }
    return results;
}

std::vector<Result<Answer>> answer(std::vector<Question> items) {
    std::vector<Result<Answer>> results;
    for (Question& item : items) {
        if (item.number < 0) {
            results.emplace_back(std::make_exception_ptr(std::invalid_argument("negative")));
        } else {
            results.emplace_back(Answer{std::move(item.text), {}});
        }
    }
    return results;
}
