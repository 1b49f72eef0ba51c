// This program once more, with other arguments, as a process of its own.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace bench {

// It is killed at the latest when its parent ends, as it asks for that itself by dies_with_parent().
class ChildProcess {
public:
    explicit ChildProcess(const std::vector<std::string>& arguments) {
        int out[2];
        if (pipe(out) != 0) throw std::runtime_error("there is no pipe");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
        posix_spawn_file_actions_addclose(&actions, out[0]);
        posix_spawn_file_actions_addclose(&actions, out[1]);
        std::string program = "/proc/self/exe";
        std::vector<char*> argv{program.data()};
        std::vector<std::string> copies = arguments;
        for (std::string& argument : copies) argv.push_back(argument.data());
        argv.push_back(nullptr);
        const int failed =
            posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        close(out[1]);
        output_ = fdopen(out[0], "r");
        if (failed != 0) throw std::runtime_error("there is no process");
    }
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    ~ChildProcess() {
        stop();
        std::fclose(output_);
    }

    pid_t pid() const noexcept { return pid_; }

    // The next line that it says; it ends if there is none.
    std::string line() {
        char buffer[512];
        if (std::fgets(buffer, sizeof buffer, output_) == nullptr) {
            throw std::runtime_error("a process of the benchmark has ended");
        }
        std::string line = buffer;
        if (line.ends_with('\n')) line.pop_back();
        return line;
    }

    // SIGTERM, and two seconds later SIGKILL.
    void stop() {
        if (stopped_) return;
        stopped_ = true;
        kill(pid_, SIGTERM);
        for (int i = 0; i < 200; ++i) {
            if (waitpid(pid_, nullptr, WNOHANG) == pid_) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }

private:
    pid_t pid_ = 0;
    std::FILE* output_ = nullptr;
    bool stopped_ = false;
};

inline void dies_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

// The processor time of a process so far, of all of its threads.
inline double cpu_seconds_of(pid_t pid) {
    clockid_t clock = 0;
    timespec time{};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace bench
