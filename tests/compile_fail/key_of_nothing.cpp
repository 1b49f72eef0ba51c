// expect: is a key: it needs == and a std::hash
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
int tenant(const std::string& item);
#else
void tenant(const std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::key_by(tenant)};
