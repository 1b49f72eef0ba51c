// In the Boost flavour the examples, written for standalone Asio, find Boost.Asio here.
#pragma once

#include <boost/asio.hpp>

namespace asio = boost::asio;
