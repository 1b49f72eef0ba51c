// The vectors that are searched, and questions whose answers are known.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

constexpr std::size_t dimensions = 128, neighbours = 10;
using Vector = std::array<float, dimensions>;

struct Hit {
    std::int64_t vector;
    float likeness;  // the cosine: 1 is the same
};
using Hits = std::array<Hit, neighbours>;  // the nearest first

// Of length 1, as most embeddings are.
inline Vector unit(Vector vector) {
    const float length =
        std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0F));
    for (float& x : vector) x /= length;
    return vector;
}

inline std::vector<Vector> random_vectors(const std::string& how_many) {
    std::size_t count = 0;
    const auto [end, error] =
        std::from_chars(how_many.data(), how_many.data() + how_many.size(), count);
    if (error != std::errc() || *end != '\0' || count < 100 || count > 10'000'000)
        throw std::invalid_argument(
            fmt::format("COUNT is from 100 to 10000000, and not {}", how_many));
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<Vector> vectors(count);
    for (Vector& vector : vectors) {
        for (float& x : vector) x = normal(random);
        vector = unit(vector);
    }
    return vectors;
}

// Each is a vector that is searched, with some of the next one added to it. So the nearest is known,
// and the ten nearest are what a search for it alone has found: whoever asks gets that, or an error.
class Questions {
public:
    Questions(const std::vector<Vector>& vectors, const std::function<Hits(const Vector&)>& alone) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t near = i * 7'919 % vectors.size();
            Vector vector = vectors[near];
            const Vector& other = vectors[(near + 1) % vectors.size()];
            for (std::size_t d = 0; d < dimensions; ++d) vector[d] += other[d] / 2;
            vectors_.push_back(unit(vector));
            expected_.push_back(alone(vectors_.back()));
            if (expected_.back().front().vector != std::int64_t(near))
                throw std::logic_error("a search for one vector has not found the nearest");
        }
    }

    const Vector& operator[](std::size_t number) const { return vectors_[number % count]; }

    const Hits& checked(std::size_t number, const Hits& hits) const {
        const Hits& alone = expected_[number % count];
        if (!std::equal(hits.begin(), hits.end(), alone.begin(), the_same))
            throw std::logic_error("others in the batch have changed what a search finds");
        return hits;
    }

private:
    // A matrix product adds up in another order. So two that are equally near may change places.
    static bool the_same(const Hit& a, const Hit& b) {
        const float difference = std::abs(a.likeness - b.likeness);
        return difference < (a.vector == b.vector ? 1e-4F : 1e-6F);
    }

    static constexpr std::size_t count = 100;
    std::vector<Vector> vectors_;
    std::vector<Hits> expected_;
};
