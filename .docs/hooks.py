"""Links of the guide that leave it. `repo:PATH` is a file or folder of the tree, shown by the repository that repo_url names;
`api:FILE` is a page of the API reference."""

import pathlib
import re

from mkdocs.exceptions import PluginError

top = pathlib.Path(__file__).resolve().parent.parent


def on_page_content(html, page, config, **_):
    def in_repository(match):
        path = match[1].split("#")[0]
        if not (top / path).exists():
            raise PluginError(f"{page.file.src_path} links to {path}, which is not in the tree")
        kind = "tree" if (top / path).is_dir() else "blob"
        return f'href="{config.repo_url}/{kind}/main/{match[1]}"'

    html = re.sub(r'href="repo:([^"]+)"', in_repository, html)
    up = "../" * page.file.src_path.count("/")
    return re.sub(r'href="api:([^"]+)"', rf'href="{up}api/\1"', html)
