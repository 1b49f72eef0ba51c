// expect: batcher/opentelemetry.hpp needs the headers of OpenTelemetry's C++ API
#if !defined(CORRECTED)
#include <batcher/opentelemetry.hpp>
#endif
