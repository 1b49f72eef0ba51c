// Two translation units that use the whole library in the same way: what is neither inline nor a
// template is defined twice and does not link.
#include "twice.hpp"

int main() { return twice(21) == 42 && twice_elsewhere(21) == 42 ? 0 : 1; }
