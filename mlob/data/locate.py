"""Finding photos: those of a split by id or by path, and all photos below a folder."""

from __future__ import annotations

import collections
import itertools
import pathlib
import posixpath
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from mlob.data import archives, images
from mlob.data.places import Inside, Place
from mlob.data.tree import FLAT, Files, Tree
from mlob.errors import InputError, some
from mlob.progress import say

if TYPE_CHECKING:
    from mlob.data.places import Folder

At = tuple[str, str]  # (folder, relative to the data folder; file name)
Around = tuple[str, str]  # what stands before and after a photo's id in its path, which many photos share


class Home(NamedTuple):
    """A folder where photos are looked for by id. `suffixes`: of its photos, sorted."""

    folder: str
    files: Mapping[str, Inside | None]
    suffixes: list[str]


class Places(Sequence[Place | None]):
    """A sequence of places. The path of a file on disk is built when it is used: a million paths would take 200 MB."""

    def __init__(self, root: Folder, ids: Sequence[str], places: list[Inside | Around | str | None]) -> None:
        """Take for each photo its place, or what is around its id in its path, or a path without the id; or None."""
        self._root, self._ids, self._places = root, ids, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Place | None: ...
    @overload
    def __getitem__(self, at: slice) -> Places: ...
    def __getitem__(self, at: int | slice) -> Place | Places | None:
        if isinstance(at, slice):
            return Places(self._root, self._ids[at], self._places[at])
        place = self._places[at]
        if place is None or isinstance(place, Inside):
            return place
        assert isinstance(self._root, pathlib.Path)  # in a bucket every place is an InBucket
        if isinstance(place, str):
            return self._root / place
        before, after = place
        return self._root / f"{before}{self._ids[at]}{after}"


def photos(
    tree: Tree,
    split: str,
    ids: Sequence[str],
    urls: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]] | None = None,
) -> Places:
    """Find each photo: `images/<split>/<id>.<ext>`, else `images/<id>.<ext>`, else its relative url.

    If the url is the id, a file of that path comes first. Photos that are not found are looked for in archives.

    Args:
        tree: the `Tree` of the data folder.
        split: name of the split; empty if there is none yet.
        ids, urls: one for each photo; a url with a scheme is not a file.
        others: {split: ids} of the other splits.

    Returns:
        `Places`, None for a photo without a file.

    Raises:
        InputError: a file outside the folders of splits would also be the photo of another split.
    """
    found: list[Inside | Around | str | None] = [None] * len(ids)
    _fill(found, tree, [tree.files], split, ids, urls, others or {})
    if not all(found):
        _fill(found, tree, [tree.files, tree.members], split, ids, urls, others or {})
    return Places(tree.root, ids, found)


def looked_for(split: str, name: str, url: str) -> list[str]:
    """List the paths where a photo is looked for, for a message; one suffix stands for all."""
    file = name if has_suffix(name) else f"{name}.jpg"
    by_id = [] if name == url else [f"{_own(split)}/{file}", f"{FLAT}/{file}"]
    by_url = [url, f"{FLAT}/{url}"] if url and "://" not in url else []
    return [*by_id, *(by_url[:1] if url.startswith(f"{FLAT}/") else by_url)]


def _fill(
    found: list[Inside | Around | str | None],
    tree: Tree,
    listings: list[Files],
    split: str,
    ids: Sequence[str],
    urls: Sequence[str],
    others: Mapping[str, Sequence[str]],
) -> None:
    """Find those photos that were not found yet in the last of some listings; other splits' may be in any of them.

    Args:
        found: for each photo what `Places` takes; None is replaced.
    """
    files = listings[-1]
    homes = [_home(folder, files) for folder in dict.fromkeys((_own(split), FLAT))]
    rows, flat = {}, {}
    shared: dict[Around, Around] = {}
    for row, (name, url) in enumerate(zip(ids, urls, strict=True)):
        if found[row]:
            continue
        at = _by_url(files, url) if name == url else None
        if not at and (at := _by_id(homes, name)) and at[0] == FLAT:
            flat[name] = at[1]
        if at := at or _by_url(files, url):
            found[row] = _held(files, at, name, shared)
        else:
            rows[name] = row
    for name, at in _by_content(tree, homes, list(rows)).items():
        found[rows[name]] = _held(files, at, name, shared)
        if at[0] == FLAT:
            flat[name] = at[1]
    _check_claims(tree, listings, split, flat, others)


def _held(files: Files, at: At, name: str, shared: dict[Around, Around]) -> Inside | Around | str:
    """Give what `Places` takes of a photo that was found; `shared` holds each pair once."""
    folder, file = at
    if place := files[folder][file]:
        return place
    before, is_there, after = posixpath.join(folder, file).rpartition(name)
    return shared.setdefault((before, after), (before, after)) if is_there else after


def _check_claims(
    tree: Tree, listings: list[Files], split: str, flat: dict[str, str], others: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a file in images/, {id: file}, that two splits would take: it would be wrong for one of them."""
    for other, ids in others.items():
        shared = [name for name in ids if name in flat] if flat and other != split else []
        own = [_home(_own(other), files) for files in listings if shared]
        for name in sorted(shared):
            if not _by_id(own, name):
                raise InputError(
                    f"{tree.root / FLAT / flat[name]} would be the photo {name} of {split} and of {other}: put "
                    f"each split's photos into a folder of its own, {_own(split)}/ and {_own(other)}/."
                )


def _own(split: str) -> str:
    return f"{FLAT}/{split}".rstrip("/")


def _home(folder: str, files: Files) -> Home:
    suffixes = {posixpath.splitext(file)[1] for file in files[folder]}
    return Home(folder, files[folder], sorted(suffix for suffix in suffixes if suffix.lower() in images.SUFFIXES))


def has_suffix(file: str) -> bool:
    """Tell whether a file is named as photos are."""
    return posixpath.splitext(file)[1].lower() in images.SUFFIXES


def _by_id(homes: list[Home], name: str) -> At | None:
    """Find a photo in folders: the file of exactly that name, else the first of that name and a suffix."""
    forms = _forms(name)
    for home in homes:
        for form in forms:
            if form in home.files and has_suffix(form):
                return home.folder, form
            for suffix in home.suffixes:
                if (file := form + suffix) in home.files:
                    return home.folder, file
    return None


def _by_content(tree: Tree, homes: list[Home], names: list[str]) -> dict[str, At]:
    """Find photos, by id, among the files without the suffix of a photo."""
    places: dict[str, At] = {}
    for home in homes if names else ():
        others = collections.defaultdict(list)
        for file in sorted(itertools.filterfalse(has_suffix, home.files)):
            others[posixpath.splitext(file)[0]].append(file)
        for name in names:
            files = (file for form in _forms(name) for file in others.get(form, ()))
            if photo := next((file for file in files if images.is_photo(_place(tree, home, file))), None):
                places.setdefault(name, (home.folder, photo))
    return places


def _place(tree: Tree, home: Home, file: str) -> Place:
    return home.files[file] or pathlib.Path(str(tree.root), home.folder, file)


def _by_url(files: Files, url: str) -> At | None:
    """Find a photo by its path, relative to the data folder or to its images/."""
    if not url or "://" in url:
        return None
    paths = (posixpath.normpath(posixpath.join(home, form)) for form in _forms(url) for home in ("", FLAT))
    return next(((home, file) for home, file in map(posixpath.split, paths) if file in files[home]), None)


def _forms(name: str) -> tuple[str, ...]:
    """Give a name as it is, and in the two forms that Unicode has for the same text; file systems hold both."""
    if name.isascii():
        return (name,)
    return (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))


# Photos anywhere


def below(paths: Iterable[pathlib.Path]) -> list[Place]:
    """List the photos among files, folders and archives, each once, sorted within a folder.

    A file given by name counts as a photo. In folders, which are searched with all their subfolders, and in archives
    the suffix or else the content decides. The files that are left out are reported.
    """
    photos: dict[Place, None] = {}
    for path in paths:
        files = _files_below(path)
        of_path = [path] if files is None else [file for file in files if _is_photo(file)]
        photos |= dict.fromkeys(of_path)
        _tell_left(path, sorted({*(files or ())}.difference(of_path), key=str))
    return list(photos)


def _files_below(path: pathlib.Path) -> Sequence[Place] | None:
    """List the files in a folder or an archive, sorted; None for any other file."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if not file.is_dir())
    if path.suffix.lower() in archives.SUFFIXES:
        return sorted(archives.contents(path).values(), key=str)
    return None


def _is_photo(place: Place) -> bool:
    return not place.name.startswith(".") and (has_suffix(place.name) or images.is_photo(place))


def _tell_left(path: pathlib.Path, left: list[Place]) -> None:
    if left:
        count = "1 file is not a photo and was" if len(left) == 1 else f"{len(left):,} files are not photos and were"
        say(f"{path}: {count} left out: {some([place.name for place in left])}")
