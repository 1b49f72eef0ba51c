// expect: the rules come after the options, which are {} if there is nothing to set
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

class Service {
#if defined(CORRECTED)
    batching::Batcher<int, int> batcher_{echo, {}, batching::deduplicate()};
#else
    batching::Batcher<int, int> batcher_{echo, batching::deduplicate()};
#endif
};
Service service;
