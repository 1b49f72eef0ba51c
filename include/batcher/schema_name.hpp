// schema_name<T>: a name for a type of remote calls.
//
// It is needed for types that msgpack-cxx packs with an adaptor of yours or as an enum, and may be given to
// any other, so that its fields may change while its name stays. Nobody can look whether what an adaptor of
// yours makes is a view or a pointer; it must not be.
#pragma once

#include <string_view>

namespace batching {

// The name that both sides of a remote call know a type by, if it is not to be derived.
//
//     template <>
//     inline constexpr std::string_view batching::schema_name<Point> = "geo.Point.v1";
template <class T>
inline constexpr std::string_view schema_name{};

}  // namespace batching
