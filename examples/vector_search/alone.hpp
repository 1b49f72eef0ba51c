// A search for one vector.
#pragma once

#include <cblas.h>
#include <faiss/IndexFlat.h>
#include <faiss/utils/Heap.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vectors.hpp"

// What is best for one vector: its product with the matrix, and the ten best of that. (Debian compiles
// faiss, and so its own loop for this, for any processor; OpenBLAS looks which one it has.)
inline Hits search_alone(const faiss::IndexFlatIP& index, const Vector& vector) {
    std::vector<float> products(std::size_t(index.ntotal));
    cblas_sgemv(CblasRowMajor, CblasNoTrans, int(index.ntotal), dimensions, 1, index.get_xb(),
                dimensions, vector.data(), 1, 0, products.data(), 1);
    std::array<float, neighbours> likeness{};
    std::array<std::int64_t, neighbours> found{};
    faiss::float_minheap_array_t best{1, neighbours, found.data(), likeness.data()};
    best.heapify();
    best.addn(products.size(), products.data());
    best.reorder();
    Hits hits{};
    for (std::size_t i = 0; i < neighbours; ++i) hits[i] = {found[i], likeness[i]};
    return hits;
}
