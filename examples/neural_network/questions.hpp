// The images, each with what the network says of it alone. Whoever asks gets that, or an error: nothing
// of what else is in a batch, or fills it up, may show.
#pragma once

#include <fmt/format.h>

#include <asio.hpp>
#include <cmath>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../load.hpp"
#include "answer.hpp"

class Questions {
public:
    explicit Questions(const std::function<Answer(const Image&)>& alone) {
        for (const digits::Sample& sample : digits::read_digits().samples) {
            images_.push_back(sample.image);
            expected_.push_back(alone(sample.image));
        }
    }

    const Image& operator[](std::size_t number) const { return images_[number % images_.size()]; }

    template <class Model>
    asio::awaitable<Answer> ask(Model& model, std::size_t number) const {
        if (number >= images_.size()) {
            throw std::out_of_range(
                fmt::format("there are only the images 0 to {}", images_.size() - 1));
        }
        const Answer answer = co_await model.process(images_[number]);
        const Answer& alone = expected_[number];
        if (answer.digit != alone.digit ||
            std::abs(answer.probability - alone.probability) > 1e-4F) {
            throw std::logic_error(
                fmt::format("image {} is a {} ({}) in a batch, and a {} ({}) alone", number,
                            answer.digit, answer.probability, alone.digit, alone.probability));
        }
        co_return answer;
    }

    // All of them, one after the other, as a way to be measured.
    template <class Model>
    load::Mode mode(std::string name, Model& model, bool batched) const {
        return {std::move(name), batched, [&](std::size_t number) -> asio::awaitable<void> {
                    co_await ask(model, number % images_.size());
                }};
    }

private:
    std::vector<Image> images_;
    std::vector<Answer> expected_;
};
