"""Hooks of mkdocs: the README is the first page, and links to files outside of docs lead to
the repository. A link to a file that does not exist ends the build.
"""

import os
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files, config):
    files.append(File.generated(config, "index.md", content=_read(os.path.join(TOP, "README.md"))))
    files.append(File.generated(config, "site.css", content=_read(os.path.join(os.path.dirname(__file__), "site.css"))))
    return files


def on_page_markdown(markdown, page, config, files):
    here = "" if page.file.src_uri == "index.md" else os.path.join("docs", os.path.dirname(page.file.src_uri))

    def mend(match):
        target, hash_, anchor = match.group(2).partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group(0)
        path = os.path.normpath(os.path.join(here, target))
        if not os.path.exists(os.path.join(TOP, path)):
            raise PluginError(f"{page.file.src_uri}: there is no {path}")
        if path == "README.md":
            new = os.path.relpath("index.md", os.path.dirname(page.file.src_uri) or ".")
        elif path.startswith("docs/") and files.get_file_from_path(path[5:]):
            new = os.path.relpath(path[5:], os.path.dirname(page.file.src_uri) or ".")
        else:
            return f"{match.group(1)}{config.repo_url}/blob/main/{path}{hash_}{anchor}{match.group(3)}"
        return match.group(1) + new + hash_ + anchor + match.group(3)

    parts = re.split(r"(^```.*?^```\s*?$|``.*?``|`[^`\n]*`)", markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(mend, part) for part in parts[::2]]
    # GitHub wants a | in the code of a table as \|, and Python-Markdown would show the backslash.
    parts[1::2] = [part if part.startswith("```") else part.replace("\\|", "|") for part in parts[1::2]]
    return "".join(parts)


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
