// Where digits_server listens and digits_client calls, if they are not told: a unix socket among the
// temporary files. A service of yours has a directory of its own, which others cannot write.
#pragma once

#include <filesystem>
#include <string>

namespace digits {

inline std::string default_address() {
    return "unix:" + (std::filesystem::temp_directory_path() / "batcher-digits.sock").string();
}

}  // namespace digits
