#include "nearest_neighbour.hpp"

#include <algorithm>
#include <limits>

namespace digits {
namespace {

using PixelRow = Eigen::Map<const Eigen::RowVectorXf>;
using PixelColumn = Eigen::Map<const Eigen::VectorXf>;

// Examples a product takes at a time: their distances to a batch stay in the processor's cache.
constexpr Eigen::Index tile_rows = 512;

}  // namespace

NearestNeighbour::NearestNeighbour(std::span<const Sample> examples)
    : examples_(static_cast<Eigen::Index>(examples.size()), image_pixels + 1) {
    labels_.reserve(examples.size());
    for (Eigen::Index row = 0; const Sample& example : examples) {
        const PixelRow pixels(example.image.data(), image_pixels);
        examples_.row(row++) << -2 * pixels, pixels.squaredNorm();
        labels_.push_back(example.label);
    }
}

NearestNeighbour::Queries NearestNeighbour::to_columns(std::span<const Image> images) {
    Queries columns(image_pixels + 1, static_cast<Eigen::Index>(images.size()));
    for (Eigen::Index column = 0; const Image& image : images) {
        columns.col(column++) << PixelColumn(image.data(), image_pixels), 1.0F;
    }
    return columns;
}

std::vector<int> NearestNeighbour::classify(std::span<const Image> images) const {
    struct Nearest {
        float distance = std::numeric_limits<float>::max();
        Eigen::Index example = 0;
    };
    const Queries queries = to_columns(images);
    std::vector<Nearest> nearest(images.size());
    Eigen::MatrixXf distances;

    for (Eigen::Index first = 0; first < examples_.rows(); first += tile_rows) {
        const Eigen::Index rows = std::min(tile_rows, examples_.rows() - first);
        distances.noalias() = examples_.middleRows(first, rows) * queries;
        for (Eigen::Index column = 0; Nearest & best : nearest) {
            const auto to_image = distances.col(column++);
            // The smallest value alone is a fast loop; where it stands is looked up only if it is a
            // new best.
            if (to_image.minCoeff() >= best.distance) continue;
            Eigen::Index row = 0;
            best.distance = to_image.minCoeff(&row);
            best.example = first + row;
        }
    }

    std::vector<int> labels;
    labels.reserve(images.size());
    for (const Nearest& best : nearest)
        labels.push_back(labels_[static_cast<std::size_t>(best.example)]);
    return labels;
}

}  // namespace digits
