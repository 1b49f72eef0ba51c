"""What the guide adds to MkDocs. A link to a file of the tree outside of the guide is as relative as any; on the site it leads to the
repository, or is no link where that has no address yet. Pages call it `REPOSITORY`. `api:FILE` is a page of the API reference. C++ is
what write_code.py has taken from programs; each errc has its section in errors.md; what README.md links to exists; and what install.md
installs has the version of the library."""

import pathlib
import re

from mkdocs.exceptions import PluginError

top = pathlib.Path(__file__).resolve().parent.parent


def read(path):
    return (top / path).read_text(encoding="utf-8")


def on_pre_build(**_):
    for path in re.findall(r"\]\((?!https?:)([^)#\s]+)", read("README.md")):
        if not (top / path).exists():
            raise PluginError(f"README.md links to {path}, which is not in the tree")
    version = ".".join(re.findall(r"BATCHER_VERSION_[MP]\w+ (\d+)", read("include/batcher/version.hpp")))
    for stated in re.findall(r"batcher(?:-dev_|[-/])(\d+\.\d+\.\d+)", read(".docs/docs/install.md")):
        if stated != version:
            raise PluginError(f"install.md installs {stated}, and version.hpp says {version}")
    errors = read("include/batcher/error.hpp")
    page = read(".docs/docs/errors.md")
    for code in re.findall(r"^    (\w+)\b(?= = 1|,| +//)", re.search(r"enum class errc {.*?};", errors, re.S)[0], re.M):
        if f"\n## {code}\n" not in page:
            raise PluginError(f"errors.md says nothing of errc::{code}")


def on_page_markdown(markdown, page, config, **_):
    if written := re.search(r"(?<! -->\n)^```cpp\n(.*)", markdown, re.M):
        raise PluginError(f"{page.file.src_path} has C++ that is no section of a program: {written[1]}")

    def in_repository(match):
        text, link = match.groups()
        path, mark, anchor = link.partition("#")
        target = (pathlib.Path(page.file.abs_src_path).parent / path).resolve()
        if target.is_relative_to(config.docs_dir):
            return match[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_path} links to {path}, which is not in the tree")
        if not config.repo_url:
            return text
        kind = "tree" if target.is_dir() else "blob"
        return f"[{text}]({config.repo_url}/{kind}/main/{target.relative_to(top)}{mark}{anchor})"

    markdown = re.sub(r"^<!-- .* -->\n(?=```)", "", markdown, flags=re.M)
    markdown = markdown.replace("REPOSITORY", config.repo_url or "REPOSITORY")
    return re.sub(r"\[([^\[\]]+)\]\((\.\./[^)\s]+)\)", in_repository, markdown)


def on_page_content(html, page, **_):
    up = "../" * page.file.src_path.count("/")
    return re.sub(r'href="api:([^"]+)"', rf'href="{up}api/\1"', html)
