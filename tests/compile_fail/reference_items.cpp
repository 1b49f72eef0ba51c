// expect: the items of a Batcher, its In, are plain movable values
#include <batcher.hpp>

#if defined(CORRECTED)
using Batcher = batching::Batcher<int, int>;
#else
using Batcher = batching::Batcher<int&, int>;
#endif

std::size_t size() { return sizeof(Batcher); }
