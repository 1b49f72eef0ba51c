// expect: a member function has no object to be called on
#include <batcher.hpp>

struct Model {
    std::vector<int> run(std::vector<int> items);
};

void deploy(Model& model) {
#if defined(CORRECTED)
    batching::Batcher batcher{[&](std::vector<int> items) { return model.run(std::move(items)); }};
#else
    batching::Batcher batcher{&Model::run};
#endif
    (void)model;
}
