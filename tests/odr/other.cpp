#include "twice.hpp"

int twice_elsewhere(int number) { return twice(number); }
