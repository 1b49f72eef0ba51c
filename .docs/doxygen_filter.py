#!/usr/bin/env python3
"""doxygen_filter.py HEADER: the header with its plain comments as Doxygen reads them; the headers themselves stay plain.

    // above a declaration         its description; the first sentence is the summary
    // behind a member             the description of that member
    // at the top of the file      behind the summary of what its first line names, as "Batcher: ..."; else that of the file
    // ---- a title ----           a group of members
    indented, in a comment         code
    "Threads. ...", "Threads: ..." a paragraph with that title, in the comment at the top of a file

Members that a class inherits from detail::Calls (calls.hpp) stand in it. Left out: namespaces detail, what is private or protected, what is defaulted without a word, and overloads that only say what
is wrong ("If you see an error here").
"""

import pathlib
import re
import sys

SEPARATOR = re.compile(r"^// -{2,} (.*?) -{2,}$")
TITLE = re.compile(r"^([A-Z][\w]*(?:,? [\w()]+){0,5})[.:] (\S.*)$")
TYPE = re.compile(r"^(?:class|struct|enum class|union) (?:\[\[.*?\]\] )?(\w+)(?!.*;$)")
FUNCTION = re.compile(r"^(?:inline )?[\w:]+(?:<[^>]*>)? (\w+)\(")
BEFORE_A_NAME = re.compile(r"^\s*(template|requires|typename|class \w+>|!|\()")
NO_TEXT = re.compile(r"clang-format|NOLINT")


def name_of(line):
    match = TYPE.match(line) or FUNCTION.match(line)
    return match and match[1]


def escaped(line):
    return line if "`" in line else re.sub(r"([<>@#\\])", r"\\\1", line)


def as_markdown(lines, titles=False):
    out, code = [], []
    for line in [*lines, None]:
        if line is not None and (line.startswith("    ") or (code and not line)):
            code.append(line[4:])
            continue
        if code:
            text = "\n".join(code).strip("\n")
            out += ["```{.cpp}" if re.search("[;{}]", text) else "```", *text.split("\n"), "```", ""]
            code = []
        if line is None:
            break
        title = TITLE.match(line) if titles and out and not out[-1] else None
        out += ["@par " + title[1], escaped(title[2][:1].upper() + title[2][1:])] if title else [escaped(line)]
    return out


def description(lines, indent="", titles=False):
    return [f"{indent}/// {line}".rstrip() for line in as_markdown(lines, titles)]


class Header:
    def __init__(self, path):
        self.path = path
        lines = path.read_text(encoding="utf-8").split("\n")
        size = next((i for i, line in enumerate(lines) if not line.startswith("//")), 0)
        self.lines = lines[size:]
        top = [line[3:] for line in lines[:size]]
        said = re.match(r"(\w+)(?:<\w+>)?(?:\([\w, ]*\))?: (.*)", top[0])
        self.owner = said[1] if said and any(name_of(line) == said[1] for line in self.lines) else None
        summary = said[2] if said else top[0]
        self.top = [summary[:1].upper() + summary[1:], *top[1:]]
        self.out = ["/// @file", *description(self.top if not self.owner else self.top[:1], titles=True)]
        self.held, self.group, self.in_type, self.in_detail, self.hidden = [], False, False, 0, None
        self.is_class = self.calls = self.closed = False  # closed: in a part of a class that is not public

    def filter(self):
        for number, line in enumerate(self.lines):
            if line.startswith("}  // namespace batching"):
                return [*self.out, line]  # behind it, templates of others are specialised
            if line.startswith(("public:", "private:", "protected:", "}")):
                self.closed = line.startswith("pr")
            if self.in_detail or line.startswith("namespace detail"):
                self.in_detail += line.count("{") - line.count("}")
            elif self.closed:
                continue
            elif not self.comment(line):
                self.code(line, number)
        return self.out

    def comment(self, line):
        """Takes a line that is a comment, where comments document something."""
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if not text.startswith("//") or indent != 4 * self.in_type:
            return False
        if separator := SEPARATOR.match(text):
            self.end_group()
            self.out += [f"    /// @name {separator[1][:1].upper()}{separator[1][1:]}", "    /// @{"] if self.in_type else []
            self.group = self.in_type
        elif not NO_TEXT.search(text):
            self.held.append(text[3:])
        return True

    def code(self, line, number):
        indent = " " * 4 * self.in_type
        if self.held:
            if self.held[0].startswith(("If you see an error here", "Refused: ")) and line:
                self.hidden = indent + "}"
                self.out.append("/// @cond")
            elif line:
                declared = next((each for each in self.lines[number:] if not BEFORE_A_NAME.match(each)), "")
                self.out += description(self.held, indent)
                if self.owner and name_of(declared) == self.owner:
                    # The file's first words once more, for who sees the summary alone: not twice on one page.
                    again = " ".join(self.top).lower().startswith(" ".join(self.held).lower()[:50])
                    self.out += ["///", *description(self.top[again:], titles=True)]
                    self.owner = None
            self.held = []  # before an empty line: it is of what follows as a whole
        if TYPE.match(line):
            self.in_type = True
            self.is_class = line.startswith("class")
            self.calls = "public detail::Calls<" in line
        if self.calls and line == "public:":
            self.out += [line, *calls_of(self.path)]
            self.calls = False
            return
        if self.in_type and self.is_class and line.endswith("{"):
            self.is_class = False
            self.closed = True  # until `public:`
        if line.startswith("}"):
            self.end_group()
            self.in_type = False
        if line.endswith("= default;") and not self.out[-1].lstrip().startswith("///"):
            return
        if self.in_type and line.startswith(indent) and not line.strip().startswith("//"):
            line = re.sub(r"(\S\s+)// (?!NOLINT)(.*)$", lambda m: f"{m[1]}///< {escaped(m[2])}", line)
        self.out.append(line)
        if self.hidden is not None and line.startswith(self.hidden):
            self.out.append("/// @endcond")
            self.hidden = None

    def end_group(self):
        self.out += ["    /// @}"] * self.group
        self.group = False


def calls_of(path):
    """The members of detail::Calls, as a group of members."""
    base = Header(path.with_name("calls.hpp"))
    group = ["@name Calls", *as_markdown(base.top), "@{"]
    lines = base.filter()
    members = lines[lines.index("public:") + 1 : lines.index("};")]
    return [f"    /// {line}".rstrip() for line in group] + members + ["    /// @}"]


print("\n".join(Header(pathlib.Path(sys.argv[1])).filter()))
