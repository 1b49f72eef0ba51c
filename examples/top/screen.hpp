// Screen: the terminal's second screen, on which nothing that is typed is seen. The first comes back with the end.
#pragma once

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>

// What comes from elsewhere, as names do, is not to command the terminal.
inline std::string printable(std::string text) {
    const auto no_text = [](char c) { return c != '\n' && (c < ' ' || c > '~'); };
    std::replace_if(text.begin(), text.end(), no_text, '?');
    return text;
}

class Screen {
public:
    Screen() {
        tcgetattr(STDIN_FILENO, &before_);
        termios keys = before_;
        keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);  // Ctrl-C is a key
        keys.c_cc[VMIN] = 0;
        keys.c_cc[VTIME] = 10;  // so that read() waits for 10 tenths of a second
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
        for (const int number : {SIGTERM, SIGHUP}) std::signal(number, [](int) { ended = 1; });
        fmt::print("\x1b[?1049h\x1b[?25l");
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;
    ~Screen() {
        fmt::print("\x1b[?25h\x1b[?1049l");
        std::fflush(stdout);
        tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }

    // As much of the text as there is room for; lines that are not indented are bold.
    void show(const std::string& lines) const {
        const std::string text = printable(lines);
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
        std::string shown = "\x1b[H";
        std::size_t start = 0;
        for (int row = 1; row < size.ws_row && start < text.size(); ++row) {
            const std::size_t end = std::min(text.find('\n', start), text.size());
            const auto line = text.substr(start, std::min<std::size_t>(end - start, size.ws_col));
            shown +=
                fmt::format("{}{}\x1b[m\x1b[K\n", line.starts_with(' ') ? "" : "\x1b[1m", line);
            start = end + 1;
        }
        fmt::print("{}\x1b[J", shown);
        std::fflush(stdout);
    }

    // A second, or until a key is pressed; false if that, or a signal, is to end it.
    bool wait() const {
        char key = '\0';
        const auto count = read(STDIN_FILENO, &key, 1);
        return count >= 0 && key != 'q' && key != '\x03' && ended == 0;
    }

private:
    inline static volatile std::sig_atomic_t ended = 0;
    termios before_{};
};
