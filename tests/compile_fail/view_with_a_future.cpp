// expect: a string_view, span or pointer may be gone before its batch is formed
#include <batcher.hpp>

#include <string_view>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/use_future.hpp>
#else
#include <asio/use_future.hpp>
#endif

auto call(batching::Batcher<std::string_view, int>& batcher, std::string_view text) {
#if defined(CORRECTED)
    return batcher.async_process(batching::outlives(text), batching::asio::use_future);
#else
    return batcher.async_process(text, batching::asio::use_future);
#endif
}
