// With the macros min and max of <windows.h>, which not all headers of others survive.
#if __has_include(<bits/stdc++.h>)
#include <bits/stdc++.h>
#include <fmt/format.h>

#include <batcher/detail/asio.hpp>

#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#endif

#include <batcher/prometheus.hpp>

#include "twice.hpp"

int twice_elsewhere(int number) { return twice(number); }
