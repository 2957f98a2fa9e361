"""Files that are whole or absent: atomic writes, JSON products, digests."""

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from mlob.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer as Buffer
    from scipy.sparse import csr_array
    from upath import UPath

Kind = TypeVar("Kind")
BLOCK_ROWS = 65_536  # of a sparse array, written out at once
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a cell begins that a spreadsheet runs, or that was kept from it
ANEW = "remove it and run the same command again, which makes it anew."
PART = re.compile(r"\..*\.[0-9a-f]{16}\.part(\.[^.]*)?")
STALE_SECONDS = 24 * 3600
IN_USE, AWAY = "another program has it open: close that one, or wait", "see that the disk is there and sound"
REFUSALS = {  # how the system says no to reading a file whose bytes may be whole
    **dict.fromkeys((errno.EACCES, errno.EPERM), "give read permission"),
    **dict.fromkeys((errno.EAGAIN, errno.EBUSY, errno.ETXTBSY), IN_USE),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open: close some, or raise `ulimit -n`"),
    **dict.fromkeys((errno.EIO, errno.ENODEV, errno.ENOLCK, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT), AWAY),
    **dict.fromkeys((errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR), "a file has to be there"),
}


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a part path beside `path`; when the block ends, the part is flushed to disk and renamed to `path`.

    A block that fails leaves no part behind and the old file untouched. A name drawn by chance keeps the writers of one
    file apart, in whatever container; the suffix stays, for libraries that go by it.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    path = pathlib.Path(path)
    with _part(path) as part:
        yield part
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Keep other processes out of a folder while the block runs; the lock is the folder's own, and leaves no file.

    Raises:
        InputError: another process is at work there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle, folder):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"Another process is at work in {folder}: wait for its end, or stop it.") from error
    except OSError:
        pass  # a file system that knows no locks


def write_once(path: pathlib.Path, text: str) -> str:
    """Write `text` as UTF-8 unless the file is there, atomically: of several writers the first is heard.

    Returns:
        The text that the file holds.

    Raises:
        InputError: as `atomic`.
    """
    if not path.exists():
        with _part(path) as part:
            part.write_text(text, encoding="utf-8")
            _flush(part)
            _link(part, path)
            _flush(path.parent)
    return path.read_text(encoding="utf-8")


def part_path(path: pathlib.Path) -> pathlib.Path:
    """Give a path beside `path` to write it under until it is whole; no other writer has it."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part{path.suffix}")


def make_folder(folder: pathlib.Path, variables: str = "DATA=, FEATURES= or RUNS=") -> None:
    """Make a folder with its parents, where it is not there; `variables` name another.

    Raises:
        InputError: something that is no folder stands in the way, or no folder can be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"The folder {folder} cannot be made ({error.strerror}): name another with {variables}."
        ) from error


@contextlib.contextmanager
def _part(path):
    """Give a part path beside `path` that is removed at the end; what the system refuses is told in one sentence."""
    part = part_path(path)
    try:
        make_folder(path.parent)
        yield part
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"The disk is full: {path} was not written and nothing half-written stays. Free some space, "
                "or move the folder with DATA=, FEATURES= or RUNS=, and run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise InputError(
                f"{path} cannot be written ({error.strerror}): give write permission, or name another "
                "folder with DATA=, FEATURES= or RUNS=."
            ) from error
        raise
    finally:
        _remove(part)


def _link(part, path):
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        os.replace(part, path)  # a file system without hard links: of two writers at once the last is heard


def write_text(path: pathlib.Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def refusal(path: "pathlib.Path | UPath", error: OSError) -> InputError | None:
    """Give the `InputError` of a file that the system will not have read; None where its bytes are to blame."""
    if error.errno not in REFUSALS:
        return None
    reason = f"{os.strerror(error.errno).lower()}; it may be whole"
    return InputError(f"{path} cannot be read ({reason}): {REFUSALS[error.errno]}, and run the same command again.")


def read_json(path: "pathlib.Path | UPath", mend: str = "copy or download it again.") -> Any:
    """Read a JSON file, whose path may be one into a bucket.

    Raises:
        InputError: the file is missing, not to be read, or not JSON.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.") from error
    except OSError as error:
        raise (refusal(path, error) or error) from error
    return parse_json(path, content, mend)


def parse_json(path: "pathlib.Path | UPath", content: bytes, mend: str = "copy or download it again.") -> Any:
    """Parse JSON, UTF-8 with or without a byte-order mark; `path` is that of its file, for messages.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not whole JSON ({error}): {mend}") from error


def read_record(path: pathlib.Path, kind: type[Kind]) -> Kind:
    """Read a JSON product of ours into its dataclass, or another type that declares its shape.

    Raises:
        InputError: the file is missing, not to be read, not JSON, or of another shape.
    """
    return record(path, kind, read_json(path, ANEW))


def record(path: pathlib.Path, kind: type[Kind], content: Any) -> Kind:
    """Give the content of a JSON file as a dataclass, or another type that declares its shape; more keys do no harm.

    Raises:
        InputError: it is of another shape.
    """
    from pydantic import ValidationError

    try:
        adapter = _adapter(kind)  # type: ignore[arg-type]  # mypy does not take a type for hashable
        return adapter.validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "missing":
            raise InputError(f"{path} lacks the key {name}: {ANEW}") from error
        what = f"{name or 'it'} is {repr(wrong['input'])[:60]}"
        raise InputError(f"{path} is of another shape: {what} ({wrong['msg'].lower()}): {ANEW}") from error


@functools.cache
def _adapter(kind):
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def digest(*parts: "str | bytes | np.ndarray | csr_array") -> str:
    """SHA-256 (hexadecimal) over byte strings, texts and arrays, each framed by its length, type and shape.

    A sparse array counts as the same one written out.
    """
    state = hashlib.sha256()
    for part in parts:
        kind, size, blocks = _framed(part)
        state.update(kind + size.to_bytes(8, "little"))
        for block in blocks:
            state.update(block)
    return state.hexdigest()


def _framed(part: "str | bytes | np.ndarray | csr_array") -> "tuple[bytes, int, Iterable[Buffer]]":
    """Give the type and shape of an array (nothing, of bytes and texts), the number of bytes, and these in blocks."""
    if isinstance(part, str | bytes):
        content = part.encode("utf-8") if isinstance(part, str) else part
        return b"", len(content), [content]
    kind, size = f"{part.dtype.str}{part.shape}".encode(), part.dtype.itemsize * math.prod(part.shape)
    return kind, size, _rows(part) if size else ()


def _rows(array: Any) -> "Iterator[Buffer]":
    """Give the bytes of an array, NumPy's or a sparse one, which is written out a block of rows at a time."""
    if hasattr(array, "toarray"):
        for start in range(0, array.shape[0], BLOCK_ROWS):
            yield array[start : start + BLOCK_ROWS].toarray().tobytes()
    else:
        yield memoryview(array if array.flags.c_contiguous else array.copy()).cast("B")


def hashes(texts: Iterable[str]) -> "np.ndarray":
    """Hash each of some texts: uint64 (n,)."""
    import numpy as np

    digests = b"".join(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)


def to_cell(text: str) -> str:
    """Write a text for a table that is opened as a spreadsheet: what would run as a formula gets an apostrophe."""
    return f"'{text}" if FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Read back what `to_cell` wrote."""
    return cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell


def remove_stale_parts(folder: pathlib.Path, seconds: float = STALE_SECONDS) -> None:
    """Remove the part files that killed processes left in `folder`: those that nobody has written to for a day.

    Their writers cannot be asked: in another container they have another host's name, or the same name and number.
    """
    for part in pathlib.Path(folder).glob(".*.part*"):
        with contextlib.suppress(FileNotFoundError):  # another process removes it at this moment
            if PART.fullmatch(part.name) and time.time() - part.stat().st_mtime >= seconds:
                _remove(part)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _flush(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def archive_fault(path: pathlib.Path) -> str | None:
    """Say what is wrong with a zip archive of uncompressed files, "is missing" or "is damaged (…)"; None if nothing is.

    Every byte is read and compared with the checksums. Compressed files are refused: they may be of any size.

    Raises:
        InputError: as `refusal`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(file.compress_type != zipfile.ZIP_STORED for file in archive.infolist()):
                return "is damaged (it is compressed)"
            changed = archive.testzip()
    except FileNotFoundError:
        return "is missing"
    except Exception as error:  # damage shows in a dozen ways
        if isinstance(error, OSError) and (refused := refusal(path, error)):
            raise refused from error
        return f"is damaged ({error!s:.80})"
    return None if changed is None else f"is damaged ({changed!r:.80} in it is not as it was written)"


def write_arrays(path: pathlib.Path, **arrays: "np.ndarray") -> None:
    """Write named arrays, atomically; none of them may hold Python objects."""
    import numpy as np

    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # mypy takes an array's name for an option of savez


def read_arrays(path: pathlib.Path, mend: str = "copy or make it again.") -> "dict[str, np.ndarray]":
    """Read what `write_arrays` wrote: {name: array}. Nothing in the file is run, whatever it holds.

    Raises:
        InputError: the file is missing, not to be read, or holds something else; the message ends in `mend`.
    """
    import numpy as np

    if fault := archive_fault(path):
        raise InputError(f"{path} {fault}: {mend}")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy's headers: damage shows in a dozen ways
        raise InputError(f"{path} is damaged ({error!s:.80}): {mend}") from error
