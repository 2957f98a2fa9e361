"""Where photos lie: in folders, in zip and tar archives (never unpacked), in buckets. What they hold is images.py's.

A place is whatever has `read_bytes()`, `name`, `stem`, `suffix` and a text that names it, and can be pickled, for
workers elsewhere: a `pathlib.Path`, or one of the classes here.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
import posixpath
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib

from mlob.data import images
from mlob.data.splits import SHARES
from mlob.errors import InputError
from mlob.progress import say

NOWHERE = "none"  # the version of a photo without a file
FLAT = "images"  # where photos of any split may lie
READS = 64  # under way at once in a bucket, where each waits tens of milliseconds for its first byte
ARCHIVES = (".zip", ".tar")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # in all zips but exotic ones
LOCAL_HEADER = 30  # bytes, of a zip's member; the last four are the lengths of what follows before the content
BROKEN = (  # a size that cannot be ends in one of the last three
    tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, struct.error,
    LookupError, OverflowError, MemoryError,
)  # fmt: skip
OPTIONS = {"s3": {"config_kwargs": {"max_pool_connections": READS}}, "gs": {}}  # s3fs opens 10 unless told


@dataclasses.dataclass(frozen=True, slots=True)
class Inside:
    """A file inside of something that is no folder.

    Attributes:
        home: the archive, or the address of a bucket's folder.
        inside: the path from there, with slashes.
        size: bytes.
        mark: what another version of equal size would differ in: a time, a checksum, a tag.
    """

    home: pathlib.Path
    inside: str
    size: int
    mark: str | float

    def __str__(self):
        return posixpath.join(str(self.home), self.inside)

    @property
    def name(self):
        """The file's own name."""
        return posixpath.basename(self.inside)

    @property
    def stem(self):
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self):
        """The end of the name, from its last dot on."""
        return posixpath.splitext(self.name)[1]

    def read_bytes(self):
        """Read the file.

        Raises:
            images.Unreadable: gone, damaged, cut short, of too many bytes.
        """
        if not 0 <= self.size <= images.MOST_BYTES:
            raise images.Unreadable("too many bytes")
        return self._read()


Place = pathlib.Path | Inside


@dataclasses.dataclass(frozen=True, slots=True)
class InTar(Inside):
    """A file in a tar: `start` is where its bytes begin."""

    start: int

    def _read(self):
        with open(self.home, "rb") as archive:
            return _exactly(archive, self.start, self.size)


@dataclasses.dataclass(frozen=True, slots=True)
class InZip(Inside):
    """A file in a zip: `start` is where its local header begins, `method` None where it is encrypted.

    It is read without `zipfile`, which would lock its threads out of one another's reads, and have every worker read
    the index of the whole archive.
    """

    start: int
    packed_size: int
    method: int | None

    def _read(self):
        if self.method not in PACKED:
            raise images.Unreadable("encrypted, or compressed in an unusual way")
        if self.packed_size > images.MOST_BYTES:
            raise images.Unreadable("too many bytes")
        data = self._packed()
        try:
            if self.method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error as error:
            raise images.Unreadable("damaged in the archive") from error
        if zlib.crc32(data) != self.mark:
            raise images.Unreadable("damaged in the archive")
        return data

    def _packed(self):
        with open(self.home, "rb") as archive:
            name, extra = struct.unpack("<HH", _exactly(archive, self.start, LOCAL_HEADER)[-4:])
            return _exactly(archive, self.start + LOCAL_HEADER + name + extra, self.packed_size)


@dataclasses.dataclass(frozen=True, slots=True)
class InBucket(Inside):
    """An object in a bucket."""

    def _read(self):
        if not self.size:  # of nothing, no range can be asked for
            return b""
        with reached(self):
            try:
                path = posixpath.join(self.home.path, self.inside)
                return self.home.fs.cat_file(path, start=0, end=self.size)  # the range spares a question for the size
            except FileNotFoundError as error:
                raise images.Unreadable("no file") from error
            except PermissionError as error:
                if "expired" in str(error):  # which no photo is to blame for
                    raise
                raise images.Unreadable("access denied") from error


def version(place):
    """Give a text that changes when a photo's bytes do, without reading them; `NOWHERE` where there is no file."""
    if place is None:
        return NOWHERE
    if not isinstance(place, pathlib.Path):
        return f"{place.size}:{place.mark}"
    try:
        status = place.stat()
    except OSError:
        return NOWHERE
    return f"{status.st_size}:{status.st_mtime_ns}"


def _exactly(archive, start, size):
    if start + size > os.fstat(archive.fileno()).st_size:
        raise images.Unreadable("cut short in the archive")
    archive.seek(start)
    return archive.read(size)


# The data folder


def data_folder(data):
    """Give the folder that DATA= names: a `pathlib.Path`, or a `UPath` of an address such as s3://bucket/prefix.

    Raises:
        InputError: an address of another kind, or of one whose extra is not installed.
    """
    if "://" not in str(data):
        return pathlib.Path(data)
    scheme, _, rest = str(data).partition("://")
    if scheme not in OPTIONS or not rest.split("/")[0]:
        raise InputError(f"{data} is no address that photos are read from: expected a folder, s3://… or gs://….")
    try:
        from upath import UPath

        found = UPath(str(data).rstrip("/"), use_listings_cache=False, **OPTIONS[scheme])
        found.fs  # noqa: B018, imports the package that reads such addresses
    except ImportError as error:
        raise InputError(f'{data} needs packages that are not installed: pip install "mlob[{scheme}]".') from error
    return found


def is_remote(place):
    """Tell whether something lies in a bucket, where many reads are kept under way."""
    return "://" in str(place)


def data_name(folder):
    """The last part of a data folder's path; of a whole bucket, the bucket."""
    return folder.resolve().name or folder.drive


def names(folder):
    """List the names of the files right in a data folder, none where there is no such folder.

    Raises:
        InputError: it lies in a bucket that cannot be read.
    """
    if not is_remote(folder):
        return _scanned(folder)
    with reached(folder):
        try:
            found = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return []
    return [posixpath.basename(info["name"]) for info in found if info["type"] == "file"]


@contextlib.contextmanager
def reached(place):
    """Say in one sentence that a bucket cannot be read: a run then stops and can go on, rather than fail every photo.

    Raises:
        InputError: whatever went wrong with a place that lies in a bucket; elsewhere nothing changes.
    """
    try:
        yield
    except (InputError, images.Unreadable, AttributeError, TypeError):  # the latter two are faults of ours
        raise
    except Exception as error:  # each store, and each library below it, has its own kinds
        if not is_remote(place):
            raise
        raise InputError(
            f"{place} cannot be read ({' '.join(str(error).split()) or type(error).__name__}): see that the address is "
            "right, the store within reach and your credentials good for it, and run the same command again."
        ) from error


def _scanned(folder):
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []


# Listings: {folder, relative to the data folder: {file name: place, or None for a plain file}}


@dataclasses.dataclass(frozen=True)
class Tree:
    """A data folder's files; whatever is listed is listed once."""

    root: pathlib.Path

    @functools.cached_property
    def files(self):
        """The files on disk, each folder scanned when it is first asked for; of a bucket, all objects."""
        return _objects(self.root) if is_remote(self.root) else _Scanned(self.root)

    @functools.cached_property
    def members(self):
        """What archives in the data folder or in its images/ hold, as if they had been unpacked where they lie."""
        found = collections.defaultdict(dict)
        for folder, file in _archives(self):
            for inside, place in contents(self.root / folder / file).items():
                parent, base = posixpath.split(inside)
                for home in _unpacked(folder, posixpath.splitext(file)[0], parent):
                    found[home].setdefault(base, place)
        return found


class _Scanned(dict):
    def __init__(self, root):
        super().__init__()
        self.root = root

    def __missing__(self, folder):
        self[folder] = dict.fromkeys(_scanned(self.root / folder))
        return self[folder]


def _objects(root):
    with reached(root):
        listed = root.fs.find(root.path, detail=True)
    found, start = collections.defaultdict(dict), posixpath.join(root.path, "")
    for key, info in listed.items():
        inside = key.removeprefix(start)
        parent, base = posixpath.split(inside)
        found[parent][base] = InBucket(root, inside, info["size"], info.get("ETag") or info.get("etag") or "")
    return found


def _archives(tree):
    """Give (folder, file name) of each archive, and tell of those that are not read."""
    for folder in ("", FLAT):
        for file in sorted(tree.files[folder]):
            path, kind = tree.root / folder / file, file.lower()
            if kind.endswith(COMPRESSED):
                say(f"{path} is not read: a compressed tar has no random access. Unpack it, or make it a zip.")
            elif kind.endswith(ARCHIVES) and is_remote(tree.root):
                say(f"{path} is not read: in a bucket photos lie one by one, archives on a disk.")
            elif kind.endswith(ARCHIVES):
                yield folder, file


def _unpacked(folder, stem, parent):
    """The folders where what lies in an archive's folder `parent` may be looked for.

    That is right where the archive lies, or in a folder of the archive's name. The photos of train.zip are those of
    train alone, whatever its folders are called: ids start anew in each split.
    """
    if stem in SHARES:
        within = f"{parent}/".removeprefix("/").removeprefix("images/").removeprefix(f"{stem}/")
        return [posixpath.join("images", stem, within).rstrip("/")]
    return [posixpath.join(folder, parent).rstrip("/"), posixpath.join(folder, stem, parent).rstrip("/")]


# Archives


def contents(archive):
    """List the files in a zip or tar, without what would leave the folder that it was unpacked into.

    Returns:
        {path inside: place}; of two files of one path the last, as unpacking leaves it.

    Raises:
        InputError: no archive, or not a whole one.
    """
    found, left = {}, []
    try:
        if not archive.is_file():
            raise ValueError("no plain file")
        for inside, place in (_zip_entries if archive.suffix.lower() == ".zip" else _tar_entries)(archive):
            path = pathlib.PureWindowsPath(inside)  # knows both slashes, and drives
            if place is None or path.anchor or ".." in path.parts:
                left.append(inside)
            elif not _is_apple_double(path):
                found[path.as_posix()] = place
    except BROKEN as error:
        kind = archive.suffix[1:].lower()
        raise InputError(
            f"{archive} is no whole {kind} archive ({error}): copy it again, or move it out of the data folder."
        ) from error
    if left:
        count = f"{len(left):,} {'entry is' if len(left) == 1 else 'entries are'}"
        say(f"{archive}: {count} not read, leading out of its folder or no plain file: {left[0]!r} first.")
    return found


def _is_apple_double(path):
    """Tell whether a file is the Finder's note on another one, which bears a photo's suffix."""
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _zip_entries(archive):
    """Yield (path, place) of each file in a zip, None in place of a link."""
    with zipfile.ZipFile(archive) as index:
        for info in index.infolist():
            if not info.is_dir():
                name, method = _name(info), None if info.flag_bits & 1 else info.compress_type
                about = name, info.file_size, info.CRC, info.header_offset, info.compress_size
                yield name, None if stat.S_ISLNK(info.external_attr >> 16) else InZip(archive, *about, method)


def _name(info):
    """Give a zip entry's name: where no flag says UTF-8, zipfile takes it for cp437, and many are UTF-8 even so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _tar_entries(archive):
    """Yield (path, place) of each entry of a tar but folders, None in place of links, devices and files with holes."""
    with tarfile.open(archive, "r:") as index:
        while info := index.next():
            if index.offset < info.offset_data:  # a negative size, which may lead back for ever
                raise ValueError(f"{info.name!r} ends before it begins")
            is_plain = info.isreg() and not info.issparse()
            if not info.isdir():
                place = InTar(archive, info.name, info.size, info.mtime, info.offset_data)
                yield info.name, place if is_plain else None
            index.members.clear()  # which keeps what it has read, kilobytes an entry


# Photos


def locate(tree, split, ids, urls, *, others=None):
    """Find each photo: `images/<split>/<id>.<ext>`, else `images/<id>.<ext>`, else a relative url.

    Where the url is the id, a file of that path comes first. What no file is found for is looked for in archives.

    Args:
        tree: the `Tree` of the data folder.
        split: name of the split; empty where there is none yet.
        ids, urls: texts, one a photo; a url that names a scheme is no file.
        others: {split: ids} of the other splits.

    Returns:
        `Places`, None where there is no file.

    Raises:
        InputError: a file of no split's folder that a photo of another split would be as well.
    """
    wanted = dict(zip(ids, urls, strict=True))
    found = _located(tree, [tree.files], split, wanted, others or {})
    missing = {name: url for name, url in wanted.items() if name not in found}
    if missing:
        found |= _located(tree, [tree.files, tree.members], split, missing, others or {})
    return Places(tree.root, [found.get(name) for name in ids])


class Places(collections.abc.Sequence):
    """Places one after another, each plain file's path built when it is asked for: a million paths are 200 MB."""

    def __init__(self, root, found):
        self.root, self.found = root, found

    def __len__(self):
        return len(self.found)

    def __getitem__(self, at):
        if isinstance(at, slice):
            return Places(self.root, self.found[at])
        one = self.found[at]
        return self.root.joinpath(*one) if isinstance(one, tuple) else one


def looked_for(split, name, url):
    """List the files that a photo is looked for as, with slashes: for a message, so one suffix stands for all."""
    file = name if _has_suffix(name) else f"{name}.jpg"
    by_id = [] if name == url else [f"{_own(split)}/{file}", f"{FLAT}/{file}"]
    by_url = [url, f"{FLAT}/{url}"] if url and "://" not in url else []
    return [*by_id, *(by_url[:1] if url.startswith(f"{FLAT}/") else by_url)]


def _located(tree, listings, split, wanted, others):
    """Find photos, {id: url}, in the last listing: {id: place, or (folder, file) of a plain file}.

    Another split's own photos are looked for in the earlier ones, too.
    """
    listing, own = listings[-1], dict.fromkeys((_own(split), FLAT))
    homes = [(home, listing[home], _by_stem(listing[home])) for home in own]
    found = {name: at for name, url in wanted.items() if name == url and (at := _by_url(listing, url))}
    by_id = {name: at for name in wanted if name not in found and (at := _by_id(homes, name))}
    found |= by_id
    found |= {name: at for name, url in wanted.items() if name not in found and (at := _by_url(listing, url))}
    if missing := [name for name in wanted if name not in found]:
        by_content = _by_content(tree, listing, own, missing)
        found |= by_content
        by_id |= by_content
    _check_claims(tree, listings, split, {name: file for name, (home, file) in by_id.items() if home == FLAT}, others)
    return {name: listing[at[0]][at[1]] or at for name, at in found.items()}


def _check_claims(tree, listings, split, flat, others):
    """Refuse a file for two photos: ids that start anew in each split would make it the wrong one for some."""
    for other, ids in others.items():
        if other == split or not (shared := flat.keys() & set(ids)):
            continue
        own = [(_own(other), files, _by_stem(files)) for listing in listings if (files := listing[_own(other)])]
        if name := min((name for name in shared if not _by_id(own, name)), default=None):
            raise InputError(
                f"{tree.root / FLAT / flat[name]} would be the photo {name} of {split} and of {other}: put "
                f"each split's photos into a folder of its own, {_own(split)}/ and {_own(other)}/."
            )


def _own(split):
    return f"{FLAT}/{split}".rstrip("/")


def _by_stem(files):
    """Give {file name without its suffix: file name} of photos; of two files of one stem, the first sorted."""
    return {posixpath.splitext(file)[0]: file for file in sorted(files, reverse=True) if _has_suffix(file)}


def _has_suffix(file):
    return posixpath.splitext(file)[1].lower() in images.SUFFIXES


def _by_id(homes, name):
    """Find a photo in folders, (name, files, files by stem) each: the file named whole, else one of that stem."""
    forms = _forms(name)
    for home, files, stems in homes:
        for form in forms:
            file = form if form in files and _has_suffix(form) else stems.get(form)
            if file:
                return home, file
    return None


def _by_content(tree, listing, homes, names):
    """Find photos, by id, among files whose suffix tells of none."""
    found = {}
    for home in homes:
        others = collections.defaultdict(list)
        for file in sorted(itertools.filterfalse(_has_suffix, listing[home])):
            others[posixpath.splitext(file)[0]].append(file)
        for name in names:
            files = (file for form in _forms(name) for file in others.get(form, ()))
            photos = (file for file in files if images.is_photo(listing[home][file] or tree.root / home / file))
            if file := next(photos, None):
                found.setdefault(name, (home, file))
    return found


def _by_url(listing, url):
    if not url or "://" in url:
        return None
    paths = (posixpath.normpath(posixpath.join(home, form)) for form in _forms(url) for home in ("", FLAT))
    return next(((home, file) for home, file in map(posixpath.split, paths) if file in listing[home]), None)


def _forms(name):
    """Give a name as it is, and in the two forms that Unicode has for one text: macOS and others write either."""
    if name.isascii():
        return (name,)
    return (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))


def below(paths):
    """List the photos among files, folders and archives, each once, sorted within a folder; folders are searched.

    In a folder or an archive the suffix tells what is a photo, or else the content; of other files it is told.
    """
    found = {}
    for path in paths:
        inside = _inside(path)
        photos = [path] if inside is None else list(filter(_is_photo, inside))
        found |= dict.fromkeys(photos)
        _tell_left(path, sorted({*(inside or ())}.difference(photos), key=str))
    return list(found)


def _inside(path):
    """List the files that a folder or an archive holds, sorted; None of a file."""
    if path.is_dir():
        return sorted(place for place in path.rglob("*") if not place.is_dir())
    return sorted(contents(path).values(), key=str) if path.suffix.lower() in ARCHIVES else None


def _is_photo(place):
    return not place.name.startswith(".") and (_has_suffix(place.name) or images.is_photo(place))


def _tell_left(path, left):
    if left:
        names = ", ".join([place.name for place in left[:3]] + ["…"] * (len(left) > 3))
        count = "1 file is no photo and is" if len(left) == 1 else f"{len(left):,} files are no photos and are"
        say(f"{path}: {count} left out: {names}")
