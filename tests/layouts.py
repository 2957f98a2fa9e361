"""What several tests of mlob/data write to disk, and how they look at what was read."""

import json

from mlob.data import locate
from mlob.data.tree import Tree


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def write_split(folder, split, labels, **more):
    """Write `{imageId: labelId}` in the layout of iMaterialist; no annotations where `labels` is a list of ids."""
    content = {"images": [{"imageId": name, "url": f"http://host/{name}"} for name in labels]}
    if isinstance(labels, dict):
        content["annotations"] = [{"imageId": name, "labelId": found} for name, found in labels.items()]
    write(folder / f"{split}.json", json.dumps(content | more))


def write_photos(folder, contents):
    for name, content in contents.items():
        write(folder / name, content)


def targets(split):
    return split.targets.tolist()


def split_of_each(data):
    return {name: split.name for split in data.splits.values() for name in split.ids}


def on_disk(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def located(folder, name, url="", split="train"):
    (path,) = locate.photos(Tree(folder), split, [name], [url])
    return path and path.relative_to(folder).as_posix()
