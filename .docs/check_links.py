#!/usr/bin/env python3
"""check_links.py SITE: every link and anchor within a site of HTML files leads somewhere. What leaves it is not followed."""

import html.parser
import pathlib
import sys
import urllib.parse

site = pathlib.Path(sys.argv[1]).resolve()


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.anchors |= {of[name] for name in ("id", "name") if of.get(name)}
        self.links += [of[name] for name in ("href", "src") if of.get(name)]


pages = {path: Page(path) for path in site.rglob("*.html")}
broken = []
for path, page in pages.items():
    for link in page.links:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc or link.startswith("#") and len(link) == 1:
            continue
        target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        anchor = urllib.parse.unquote(parts.fragment)
        if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
            broken.append(f"{path.relative_to(site)}: {link}")
print("\n".join(f"broken link: {each}" for each in broken), file=sys.stderr)
print(f"checked {len(pages)}")
sys.exit(bool(broken))
