// The handwritten digits: what an image is, where the images come from, and how to make more of
// them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace digits {

inline constexpr std::size_t image_side = 8;
inline constexpr std::size_t image_pixels = image_side * image_side;

using Image = std::array<float, image_pixels>;  // row by row, each pixel from 0 (paper) to 16 (ink)

struct Sample {
    Image image;
    int label;  // the digit it shows, 0 to 9
};

// All digits of digits.csv. A model learns the first 1,297 and is asked the other 500.
struct Digits {
    std::vector<Sample> samples;

    static constexpr std::size_t learned = 1297;
    std::span<const Sample> examples() const { return std::span(samples).first(learned); }
    std::span<const Sample> questions() const { return std::span(samples).subspan(learned); }
};
Digits read_digits();

// Reads a file of lines "pixel,pixel,...,label". Throws std::runtime_error naming the file and the
// line.
std::vector<Sample> read_csv(const std::string& path);

// The samples and shifted and rotated copies of each, so that a digit that was written a little off
// finds a neighbour that is off in the same way.
std::vector<Sample> augmented(std::span<const Sample> samples);

}  // namespace digits
