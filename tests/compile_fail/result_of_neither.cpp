// expect: a batching::Result is made from a value, or from a std::exception_ptr
#include <batcher.hpp>

#include <stdexcept>

batching::Result<double> fail() {
#if defined(CORRECTED)
    return std::make_exception_ptr(std::runtime_error("no"));
#else
    return std::runtime_error("no");
#endif
}
