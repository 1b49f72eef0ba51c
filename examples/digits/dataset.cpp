#include "dataset.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <sstream>
#include <stdexcept>

namespace digits {
namespace {

Sample parse(const std::string& line) {
    std::istringstream fields(line);
    const auto next = [&fields](int largest) {
        int value = -1;
        fields >> value;
        if (!fields || value < 0 || value > largest)
            throw std::invalid_argument("not 64 pixels and a label");
        fields.ignore(1, ',');
        return value;
    };
    Sample sample{};
    for (float& pixel : sample.image) pixel = static_cast<float>(next(16));
    sample.label = next(9);
    return sample;
}

// What is outside the image is paper.
float pixel_at(const Image& image, int row, int column) {
    const auto y = static_cast<std::size_t>(row);  // huge if it was negative
    const auto x = static_cast<std::size_t>(column);
    return y < image_side && x < image_side ? image[y * image_side + x] : 0;
}

// The value between pixels, by bilinear interpolation.
float value_at(const Image& image, float y, float x) {
    const int row = static_cast<int>(std::floor(y));
    const int column = static_cast<int>(std::floor(x));
    const float down = y - static_cast<float>(row);
    const float right = x - static_cast<float>(column);
    const float above =
        std::lerp(pixel_at(image, row, column), pixel_at(image, row, column + 1), right);
    const float below =
        std::lerp(pixel_at(image, row + 1, column), pixel_at(image, row + 1, column + 1), right);
    return std::lerp(above, below, down);
}

// A movement of the whole image: a rotation about its centre, then a shift by parts of a pixel.
struct Movement {
    float down, right, degrees;
};

Image moved(const Image& image, const Movement& by) {
    constexpr float centre = (image_side - 1) / 2.0F;
    const float angle = by.degrees * std::numbers::pi_v<float> / 180;
    const float cosine = std::cos(angle);
    const float sine = std::sin(angle);
    Image result;
    for (std::size_t row = 0; row < image_side; ++row) {
        for (std::size_t column = 0; column < image_side; ++column) {
            const float y = static_cast<float>(row) - centre - by.down;
            const float x = static_cast<float>(column) - centre - by.right;
            result[row * image_side + column] =
                value_at(image, cosine * y - sine * x + centre, sine * y + cosine * x + centre);
        }
    }
    return result;
}

std::vector<Movement> small_movements() {
    std::vector<Movement> movements;
    for (const float down : {-1.0F, -0.5F, 0.0F, 0.5F, 1.0F}) {
        for (const float right : {-1.0F, -0.5F, 0.0F, 0.5F, 1.0F}) {
            for (const float degrees : {-10.0F, -5.0F, 0.0F, 5.0F, 10.0F}) {
                movements.push_back({down, right, degrees});
            }
        }
    }
    return movements;
}

}  // namespace

std::vector<Sample> read_csv(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(fmt::format("cannot open {}", path));
    std::vector<Sample> samples;
    for (std::string line; std::getline(file, line);) {
        try {
            samples.push_back(parse(line));
        } catch (const std::invalid_argument& error) {
            throw std::runtime_error(
                fmt::format("{}, line {}: {}", path, samples.size() + 1, error.what()));
        }
    }
    return samples;
}

Digits read_digits() { return {read_csv(DIGITS_CSV)}; }

std::vector<Sample> augmented(std::span<const Sample> samples) {
    const std::vector<Movement> movements = small_movements();
    std::vector<Sample> result;
    result.reserve(samples.size() * movements.size());
    for (const Sample& sample : samples) {
        for (const Movement& movement : movements) {
            result.push_back({moved(sample.image, movement), sample.label});
        }
    }
    return result;
}

}  // namespace digits
