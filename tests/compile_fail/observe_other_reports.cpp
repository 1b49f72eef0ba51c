// expect: observe(f) calls f with a const batching::BatchReport&
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
void note(const batching::BatchReport& report);
#else
void note(const std::string& line);
#endif
batching::Batcher batcher{echo, {}, batching::observe(note)};
