"""Events of MkDocs: generated parts of pages, and links to files of the repository outside of docs/."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath

from make_parts import filled, language
from mermaid import without_mermaid
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from notebook_pages import notebooks, page_of

ROOT = Path(__file__).parents[1]
OUTSIDE = "repository"  # the folder of the site with the files that are outside of docs/
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
SHOWN = {".py": "python", ".toml": "toml", ".json": "json", "": "text"}  # files that become a page with their text
DATA = 20_000  # characters of a file above which it is a download


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what the explorer knows of the language, and the files outside of docs/ to which pages link."""
    table = f"globalThis.GLO_LANGUAGE = {json.dumps(language())};\n"
    files.append(File.generated(config, "assets/language.js", content=table))
    for notebook in notebooks(ROOT / "docs" / "notebooks"):
        page, pictures = page_of(notebook)
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=page))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    pending = [(in_repository(file.src_uri), file.content_string) for file in files.documentation_pages()]
    known: set[str] = set()
    while pending:
        page, text = pending.pop()
        for target in linked(page, text):
            if not target.startswith("docs/") and target not in known and (ROOT / target).is_file():
                known.add(target)
                if target.endswith(".md"):
                    pending.append((target, (ROOT / target).read_text(encoding="utf-8")))
    for target in sorted(known):
        files.append(_file(target, config))
    return files


def _file(target: str, config: MkDocsConfig) -> File:
    path = ROOT / target
    if not in_site(target).endswith(".md"):
        return File.generated(config, in_site(target), abs_src_path=str(path))
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        text = f"# {target}\n\n```{SHOWN[path.suffix]}\n{text}```\n"
    return File.generated(config, in_site(target), content=text, inclusion=InclusionLevel.NOT_IN_NAV)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills generated parts, and mends links that leave docs/."""
    here = page.file.src_uri
    source = in_repository(here)

    def mended(link: re.Match[str]) -> str:
        target = resolved(source, link[2])
        if source.startswith("docs/") and target.startswith("docs/") and not (ROOT / target).is_dir():
            return link[0].replace(".ipynb", ".md") if not here.startswith("notebooks/") else link[0]
        if not (ROOT / target).exists():
            return link[0]  # MkDocs reports it
        goal = in_site(target)
        return f"{link[1]}{os.path.relpath(goal, PurePosixPath(here).parent)}{link[3]}"

    pieces = FENCE.split(without_mermaid(filled(markdown)))
    pieces[::2] = [LINK.sub(mended, piece) for piece in pieces[::2]]
    return "".join(pieces)


def linked(page: str, markdown: str) -> list[str]:
    """The files of the repository to which a page has relative links."""
    prose = FENCE.sub("", markdown)
    return [resolved(page, link[2]) for link in LINK.finditer(prose)]


def resolved(page: str, link: str) -> str:
    """A relative link of a page as a path in the repository."""
    return os.path.normpath((PurePosixPath(page).parent / link).as_posix())


def in_site(target: str) -> str:
    """Where a file of the repository is in the site: its path in `docs_dir`, or below `OUTSIDE`."""
    path = ROOT / target
    if target.startswith("docs/"):
        inside = target.removeprefix("docs/").replace(".ipynb", ".md")
        return f"{inside}/index.md" if path.is_dir() else inside
    if path.is_dir():
        return "guide/examples.md" if target == "examples" else "reproduction.md"
    shown = path.suffix in SHOWN and path.stat().st_size < DATA
    return f"{OUTSIDE}/{target}{'.md' * shown}"


def in_repository(source: str) -> str:
    """The other direction: a page of the site as a path in the repository."""
    if not source.startswith(f"{OUTSIDE}/"):
        return f"docs/{source}"
    target = source.removeprefix(f"{OUTSIDE}/")
    return target if (ROOT / target).exists() else target.removesuffix(".md")
