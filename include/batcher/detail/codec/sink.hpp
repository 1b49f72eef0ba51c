// Where msgpack-cxx writes a value: at the end of a string, each float as a float.
//
// By itself msgpack-cxx (since 4.1.2) writes a float that is a whole number as an integer. That takes the sign
// from -0.0, is undefined behaviour for 2^64, and is refused by readers who ask for a float.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string>

namespace batching::detail {

struct Sink {
    std::string& out;

    void write(const char* bytes, std::size_t size) { out.append(bytes, size); }

    // MessagePack's big-endian numbers: their type, then their bytes.
    template <class Bits>
    void write_number(unsigned char type, Bits bits) {
        char bytes[1 + sizeof(bits)] = {static_cast<char>(type)};
        for (std::size_t at = sizeof(bits); at != 0; --at, bits >>= 8U) {
            bytes[at] = static_cast<char>(bits & 0xFFU);
        }
        write(bytes, sizeof(bytes));
    }
};

}  // namespace batching::detail

template <>
inline msgpack::packer<batching::detail::Sink>& msgpack::packer<batching::detail::Sink>::pack_float(
    float value) {
    m_stream.write_number(0xCA, std::bit_cast<std::uint32_t>(value));
    return *this;
}

template <>
inline msgpack::packer<batching::detail::Sink>&
msgpack::packer<batching::detail::Sink>::pack_double(double value) {
    m_stream.write_number(0xCB, std::bit_cast<std::uint64_t>(value));
    return *this;
}
