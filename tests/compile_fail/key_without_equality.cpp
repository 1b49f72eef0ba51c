// expect: is a key: it needs == and a std::hash
#include <batcher.hpp>
#include <string>
#include <vector>

struct Tenant {
    std::string name;
#if defined(CORRECTED)
    bool operator==(const Tenant&) const = default;
#endif
};
template <>
struct std::hash<Tenant> {
    std::size_t operator()(const Tenant& tenant) const;
};

std::vector<int> lengths(std::vector<std::string> items);
Tenant tenant(const std::string& item);
batching::Batcher batcher{lengths, {}, batching::key_by(tenant)};
