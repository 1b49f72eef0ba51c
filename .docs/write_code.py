#!/usr/bin/env python3
"""write_code.py [--check]: writes into the pages of the guide the code that they show, so that they can be read where they stand, too.

Above a block stands whose code it is: `<!-- examples/errors.cpp:caller -->`, what is between `--8<-- [start:caller]` and
`--8<-- [end:caller]` there; or `<!-- examples/quickstart.cpp -->`, all of it. With --check a page that is not as it would be
written is an error.
"""

import pathlib
import re
import sys
import textwrap

top = pathlib.Path(__file__).resolve().parent.parent
shown = re.compile(r"^<!-- ([\w./]+?)(?::(\w+))? -->\n```(\w+)\n.*?^```$", re.M | re.S)


def code_of(file, section):
    text = (top / file).read_text(encoding="utf-8")
    if section:
        between = rf"^[^\n]*--8<-- \[start:{section}\]\n(.*?)^[^\n]*--8<-- \[end:{section}\]"
        text = re.search(between, text, re.M | re.S)[1]
    text = re.sub(r"^.*--8<-- \[.*\n", "", text, flags=re.M)  # of other sections
    return textwrap.dedent(text).strip("\n")


def written(page):
    return shown.sub(lambda block: f"<!-- {block[1]}{':' + block[2] if block[2] else ''} -->\n"
                     f"```{block[3]}\n{code_of(block[1], block[2])}\n```", page)  # fmt: skip


def main():
    stale = []
    for path in sorted((top / ".docs/docs").rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (new := written(page)) != page:
            stale.append(path.relative_to(top))
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{path}: its code is not that of the programs; .docs/write_code.py writes it" if "--check" in sys.argv else path)
    sys.exit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
