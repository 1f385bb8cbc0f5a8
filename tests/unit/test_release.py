"""`make release`: only a tagged tree is released, and a second build has the same bytes."""

import hashlib
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.programs import NPM
from tokentail import __version__

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that makes releases, which is in no distribution."""
    monkeypatch.syspath_prepend(str(_ROOT / "packaging"))
    import release

    return release


@pytest.fixture
def bills(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(_ROOT / "packaging"))
    import bill_of_materials

    return bill_of_materials


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    commit(tmp_path)
    return tmp_path


def git(tree: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *arguments], cwd=tree, check=True, capture_output=True)


def commit(tree: Path) -> None:
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message", "Change")


def test_a_tree_without_its_tag_is_refused(release: ModuleType, tree: Path) -> None:
    """The message names the tag to set."""
    with pytest.raises(release.ReleaseRefused, match=r"no tag v1\.2\.3: set it \(git tag v1\.2\.3\)"):
        release.require_tagged(tree, "1.2.3")


def test_a_later_commit_than_the_tag_is_refused(release: ModuleType, tree: Path) -> None:
    """One version is one tree."""
    git(tree, "tag", "v1.2.3")
    (tree / "file").write_text("two")
    commit(tree)
    with pytest.raises(release.ReleaseRefused, match="names another commit"):
        release.require_tagged(tree, "1.2.3")


@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_tree_is_refused(release: ModuleType, tree: Path, name: str) -> None:
    """A file that was changed or added since the commit is named."""
    git(tree, "tag", "v1.2.3")
    (tree / name).write_text("two")
    with pytest.raises(release.ReleaseRefused, match=f"differs from the tag .*{name}"):
        release.require_tagged(tree, "1.2.3")


@pytest.mark.parametrize("annotation", [(), ("--annotate", "--message", "It")])
def test_the_tree_of_a_tag_is_released(release: ModuleType, tree: Path, annotation: tuple[str, ...]) -> None:
    """A plain tag will do, and so will an annotated one."""
    git(tree, "tag", *annotation, "v1.2.3")
    release.require_tagged(tree, "1.2.3")


def test_a_version_without_a_changelog_is_refused(release: ModuleType, tmp_path: Path) -> None:
    """An operator who upgrades reads the part of the new version."""
    (tmp_path / "CHANGELOG.md").write_text("## 1.2.30 (2026-01-01)\n")
    with pytest.raises(release.ReleaseRefused, match=r"no heading for 1\.2\.3"):
        release.require_changelog(tmp_path, "1.2.3")
    release.require_changelog(tmp_path, "1.2.30")


def test_a_tagged_tree_with_unreleased_lines_is_refused(release: ModuleType, tmp_path: Path) -> None:
    """What is in a release is in the part of its version."""
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- New.\n\n## 1.2.3\n\n- Old.\n")
    with pytest.raises(release.ReleaseRefused, match=r"move them under 1\.2\.3"):
        release.require_nothing_unreleased(tmp_path, "1.2.3")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\nNothing yet.\n\n## 1.2.3\n\n- Old.\n")
    release.require_nothing_unreleased(tmp_path, "1.2.3")


def test_this_version_has_a_changelog(release: ModuleType) -> None:
    """The changelog has a part for the version that the code names."""
    assert release.version_of(_ROOT) == __version__
    release.require_changelog(_ROOT, __version__)


def test_two_builds_of_this_tree_have_the_same_bytes(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From two folders, with files of other times; the archives are named with their checksums."""
    NPM.require()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    release.release(_ROOT, tmp_path / "dist", with_bills=False)  # raises where the two builds differ
    names = {path.name for path in (tmp_path / "dist").iterdir()}
    assert names == {
        f"tokentail-{__version__}-py3-none-any.whl",
        f"tokentail-{__version__}.tar.gz",
        f"tokentail_server-{__version__}-py3-none-any.whl",
        f"tokentail_server-{__version__}.tar.gz",
        f"tokentail-npm-{__version__}.tgz",
        "SHA256SUMS",
    }
    lines = (tmp_path / "dist" / "SHA256SUMS").read_text().splitlines()
    summed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(summed) == names - {"SHA256SUMS"}
    for name, digest in summed.items():
        assert hashlib.sha256((tmp_path / "dist" / name).read_bytes()).hexdigest() == digest


def test_a_build_that_differs_is_noticed(release: ModuleType, tmp_path: Path) -> None:
    """Other bytes, and a file that only one of the builds has."""
    for folder, files in {"one": {"a": "1", "b": "1"}, "two": {"a": "1", "b": "2", "c": "3"}}.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    assert release.differing(tmp_path / "one", tmp_path / "two") == ["b", "c"]


def test_the_bill_names_the_javascript_that_the_page_carries(bills: ModuleType) -> None:
    """No installer knows of it: the page has it as a file."""
    document: dict[str, Any] = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [],
        "dependencies": [{"ref": "root", "dependsOn": ["flask"]}],
    }
    bills.add_carried(document, (_ROOT / bills.VENDORED).read_text())
    purls = {each["purl"] for each in document["components"]}
    assert any(purl.startswith("pkg:npm/markdown-it@") for purl in purls)
    assert set(document["dependencies"][0]["dependsOn"]) == {"flask", *purls}


def test_the_documents_name_the_files_of_this_version() -> None:
    """A command with the last version's file would install the last version."""
    pages = [_ROOT / "README.md", _ROOT / "packaging/server/README.md", *(_ROOT / "docs").glob("*.md")]
    named = [found for page in pages for found in re.findall(r"tokentail[\w-]*?-(\d+\.\d+\.\d+)\b", page.read_text())]
    assert named
    assert set(named) == {__version__}
