// What the table compile compares with: Asio alone.
#include <asio.hpp>

int main() {}
