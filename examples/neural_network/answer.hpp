// What the network takes and gives, as OpenVINO's tensors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <openvino/openvino.hpp>
#include <vector>

#include "../digits/dataset.hpp"

using digits::Image;

struct Answer {
    int digit;
    float probability;
};

// The images are not copied: they have to live until the inference has ended.
inline ov::Tensor tensor(Image* images, std::size_t count) {
    return {ov::element::f32, {count, digits::image_pixels}, images->data()};
}

// Of each row the likeliest digit.
inline std::vector<Answer> answers(const ov::Tensor& probabilities) {
    const ov::Shape shape = probabilities.get_shape();
    const float* row = probabilities.data<const float>();
    std::vector<Answer> result;
    for (std::size_t i = 0; i < shape[0]; ++i, row += shape[1]) {
        const float* likeliest = std::max_element(row, row + shape[1]);
        result.push_back({static_cast<int>(likeliest - row), *likeliest});
    }
    return result;
}
