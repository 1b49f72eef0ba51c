// expect: is a key: it needs == and a std::hash
#include <batcher.hpp>
#include <string>
#include <vector>

struct Tenant {
    std::string name;
    bool operator==(const Tenant&) const = default;
};

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
std::string tenant(const std::string& item);
#else
Tenant tenant(const std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::key_by(tenant)};
