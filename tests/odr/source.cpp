#include <batcher/src.hpp>
