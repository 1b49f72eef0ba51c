// The same program, where what does not depend on In and Out is compiled in a file of its own.
#define BATCHER_SEPARATE_COMPILATION
#include "batcher.cpp"
