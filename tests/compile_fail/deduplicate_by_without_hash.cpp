// expect: deduplicate_by(f) compares what f returns: it needs ==, a std::hash and a copy constructor
#include <batcher.hpp>
#include <string>
#include <vector>

struct Id {
    int number;
    bool operator==(const Id&) const = default;
};

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
int id(const std::string& item);
#else
Id id(const std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::deduplicate_by(id)};
