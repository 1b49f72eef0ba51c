// For the servers of tests.
#pragma once

#include <csignal>

namespace test {

// Until wait(), as a test may be quick to send one.
inline void block_stop_signals() {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &both, nullptr);
}

}  // namespace test
