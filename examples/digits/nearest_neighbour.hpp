// A nearest-neighbour classifier. It knows nothing of batching::Batcher: it answers a vector of
// images at once because that is how the hardware likes it.
#pragma once

#include "dataset.hpp"

#include <Eigen/Core>
#include <span>
#include <vector>

namespace digits {

class NearestNeighbour {
public:
    explicit NearestNeighbour(std::span<const Sample> examples);

    // The label of the example closest to each image, in the same order.
    std::vector<int> classify(std::span<const Image> images) const;

    std::size_t examples() const noexcept { return labels_.size(); }

private:
    // A row for each example t: (-2t, |t|²). Its product with a column (x, 1) is |t|² - 2 t·x,
    // which is the squared distance |t - x|² less |x|², and |x|² is the same for all examples: the
    // smallest is the nearest. So all distances are one product.
    using Examples = Eigen::Matrix<float, Eigen::Dynamic, image_pixels + 1, Eigen::RowMajor>;
    using Queries = Eigen::Matrix<float, image_pixels + 1, Eigen::Dynamic>;

    static Queries to_columns(std::span<const Image> images);

    Examples examples_;
    std::vector<int> labels_;
};

}  // namespace digits
