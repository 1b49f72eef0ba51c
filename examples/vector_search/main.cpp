// Vector search in faiss: everybody searches for the nearest to one vector, and one matrix product
// answers all who ask at the same time.
//
//     vector_search COUNT [SECONDS]   how fast that is; so long for each line of each table
//     vector_search COUNT -           searches for what it reads, the number of a question a line
//
// COUNT vectors are searched, each of them: 50,000 are 26 MB.
#include <cblas.h>
#include <faiss/IndexFlat.h>
#include <faiss/utils/distances.h>
#include <omp.h>

#include <batcher.hpp>

#include "../load.hpp"
#include "alone.hpp"
#include "vectors.hpp"

namespace {

const unsigned cores = std::max(1U, std::thread::hardware_concurrency());

// --8<-- [start:function]
// Fewer vectors are no matrix: one by one is faster. (By itself faiss multiplies from 20 on.)
constexpr std::size_t few = 8;

// faiss: a product of two matrices, and the ten best of each of its rows.
std::vector<Hits> search(const faiss::Index& index, const std::vector<Vector>& vectors) {
    std::vector<float> likeness(vectors.size() * neighbours);
    std::vector<std::int64_t> found(likeness.size());
    index.search(std::int64_t(vectors.size()), vectors.front().data(), neighbours, likeness.data(),
                 found.data());
    std::vector<Hits> hits(vectors.size());
    for (std::size_t i = 0; i < found.size(); ++i)
        hits[i / neighbours][i % neighbours] = {found[i], likeness[i]};
    return hits;
}

// The batch function. Several threads may search an index at a time.
std::vector<Hits> search_all(const faiss::IndexFlatIP& index, const std::vector<Vector>& vectors) {
    omp_set_num_threads(1);  // for faiss in this thread
    if (vectors.size() >= few) return search(index, vectors);
    std::vector<Hits> hits;
    for (const Vector& vector : vectors) hits.push_back(search_alone(index, vector));
    return hits;
}
// --8<-- [end:function]

// --8<-- [start:batcher]
// A core for each batch.
using Searcher = batching::Batcher<Vector, Hits>;
Searcher searcher(const faiss::IndexFlatIP& index) {
    openblas_set_num_threads(1);  // of each product: several would wait for each other
    faiss::distance_compute_blas_threshold = int(few);
    return Searcher{
        [&index](const std::vector<Vector>& vectors) { return search_all(index, vectors); },
        {.max_batch_size = 256, .batch_timeout = {}, .max_concurrent_batches = cores}};
}
// --8<-- [end:batcher]

// A vector at a time, on each core one.
template <class Find>
load::Mode threads(const std::string& how, const Questions& questions, Find find) {
    const auto call = [&questions, find](std::size_t number) {
        omp_set_num_threads(1);
        questions.checked(number, find(questions[number]));
    };
    return {fmt::format("{} threads, {}", cores, how), false, {}, {cores, call}};
}

faiss::IndexFlatIP index_of(const std::vector<Vector>& vectors) {
    faiss::IndexFlatIP index(dimensions);
    index.add(std::int64_t(vectors.size()), vectors.front().data());
    return index;
}

struct Search {
    std::vector<Vector> vectors;
    faiss::IndexFlatIP index = index_of(vectors);
    Searcher batcher = searcher(index);
    Questions questions{vectors, [this](const Vector& vector) { return alone(vector); }};

    Hits alone(const Vector& vector) const { return search_alone(index, vector); }
    asio::awaitable<Hits> ask(std::size_t number) {
        co_return questions.checked(number, co_await batcher.process(questions[number]));
    }
};

void measure(const std::string& count, load::Seconds seconds) {
    Search it{random_vectors(count)};
    const load::Mode product = threads("products with one vector", it.questions,
                                       [&](const Vector& vector) { return it.alone(vector); });
    const load::Mode loop =
        threads("faiss with one vector", it.questions,
                [&](const Vector& vector) { return search(it.index, {vector}).front(); });
    const load::Mode batches{
        "batches of up to 256", true,
        [&](std::size_t number) -> asio::awaitable<void> { co_await it.ask(number); }};
    asio::io_context context;
    load::Bench bench(context, seconds);
    bench.closed(1, {product, loop, batches});
    bench.open(1'000, {product, batches});
    bench.closed(200, {product, loop, batches});
    fmt::print("\nbatches of up to 256\n{}\n", it.batcher.stats());
}

void answer(const std::string& count) {
    Search it{random_vectors(count)};
    asio::io_context context;
    load::answer_lines(context, [&](std::string line) -> asio::awaitable<std::string> {
        const Hit nearest = (co_await it.ask(std::stoul(line))).front();
        co_return fmt::format("{} is nearest to {}, {:.3f}", line, nearest.vector,
                              nearest.likeness);
    });
}

}  // namespace

int main(int argc, char** argv) {
    return load::run(argc, argv, "vector_search", "COUNT", measure, answer);
}
