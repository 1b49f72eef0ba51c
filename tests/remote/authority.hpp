// Certificates for tests.
#pragma once

#include "support.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

namespace test {

inline void run_command(const std::string& command) {
    if (std::system((command + " >/dev/null 2>&1").c_str()) != 0) {
        throw std::runtime_error("failed: " + command);
    }
}

// An authority, and certificates that it has signed.
class Authority {
public:
    explicit Authority(const Directory& directory, const std::string& name)
        : directory_(directory), name_(name) {
        run_command("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + name +
                    " -keyout " + key() + " -out " + certificate());
    }

    std::string certificate() const { return directory_.file(name_ + ".pem"); }

    // For "localhost" and 127.0.0.1, with this authority as the one to trust.
    rpc::Tls issue(const std::string& whom, int days = 2) const {
        const std::string base = directory_.file(name_ + '-' + whom);
        std::ofstream(base + ".ext") << "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        run_command("openssl req -newkey rsa:2048 -nodes -subj /CN=" + whom + " -keyout " + base +
                    ".key -out " + base + ".csr");
        const std::string sign = "openssl x509 -req -in " + base + ".csr -CA " + certificate() +
                                 " -CAkey " + key() + " -CAcreateserial -extfile " + base +
                                 ".ext -out " + base + ".pem";
        const std::string for_days = sign + " -days " + std::to_string(days);
        // From 3.6 on OpenSSL takes no negative number of days; 3.0 takes no dates.
        const std::string in_2020 =
            sign + " -not_before 20200101000000Z -not_after 20200102000000Z";
        run_command(days < 0 ? "{ " + for_days + " || " + in_2020 + "; }" : for_days);
        return {.root_certificates = certificate(),
                .certificate = base + ".pem",
                .private_key = base + ".key"};
    }
    // The same for a deployment that any client may call.
    rpc::Tls issue_for_all(const std::string& whom, int days = 2) const {
        rpc::Tls tls = issue(whom, days);
        tls.root_certificates.clear();
        return tls;
    }

private:
    std::string key() const { return directory_.file(name_ + ".key"); }

    const Directory& directory_;
    std::string name_;
};

}  // namespace test
