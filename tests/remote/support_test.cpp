#include "support.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace test {

Directory::Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "batcher-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("there is no temporary directory");
    path_ = name;
}

Directory::~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

namespace {

// A line that a process writes, within half a minute.
std::string read_line(int from) {
    std::string line;
    for (char c = 0; c != '\n';) {
        pollfd ready{from, POLLIN, 0};
        if (poll(&ready, 1, 30'000) != 1 || read(from, &c, 1) != 1) {
            throw std::runtime_error("remote_server did not say where it listens: " + line);
        }
        line += c;
    }
    line.pop_back();
    return line;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("there is no pipe");
    std::vector<std::string> own{REMOTE_SERVER};
    own.insert(own.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& argument : own) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
        dup2(ends[1], STDOUT_FILENO);
        for (int fd = 3; fd < 1024; ++fd) close(fd);
        execv(argv[0], argv.data());
        _exit(127);
    }
    close(ends[1]);
    output_ = ends[0];
    const std::string line = read_line(output_);
    address_ = line.substr(line.find(' ') + 1);
}

Process::~Process() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    close(output_);
}

void Process::signal(int number) const { kill(pid_, number); }

std::optional<int> Process::wait() {
    std::optional<int> result;
    eventually([&] {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
        pid_ = -1;
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return true;
    });
    return result;
}

}  // namespace test
