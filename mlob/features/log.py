"""How fast extraction went: one small file beside each shard, never in it, so that a rerun writes the same bytes."""

from mlob.files import NUMBER, read_product, write_json

STAGES = ("read", "forward", "write")
NOTE = {"photos": int, "seconds": dict.fromkeys(STAGES, NUMBER), "weights": str, "parameters": int, "processor": str}


def write(shard_path, *, photos, seconds, **facts):
    """Note the making of a shard: photos, seconds of each stage, and what else is known (weights, processor, …)."""
    rounded = {stage: round(seconds[stage], 3) for stage in STAGES}
    write_json(shard_path.with_suffix(".json"), {**facts, "photos": photos, "seconds": rounded})


def read(folder):
    """Tell how a store was made.

    Returns:
        {"weights": kind, "parameters": of the backbone, "processor": its name, "photos": extracted, "seconds": for
        them, "stages": {stage: seconds}}; zeros and "unknown" where shards were copied in without their notes.
    """
    notes = [read_product(path, NOTE) for path in sorted(folder.glob("*/[0-9]*.json"))]
    stages = _stages(notes)
    known = notes[-1] if notes else {"weights": "unknown", "parameters": 0, "processor": "unknown"}
    return {
        **{name: known[name] for name in ("weights", "parameters", "processor")},
        "photos": sum(note["photos"] for note in notes),
        "seconds": sum(stages.values()),
        "stages": stages,
    }


def stages(shard_paths):
    """Give the seconds of each stage, {stage: seconds}, over some shards."""
    return _stages([read_product(path.with_suffix(".json"), NOTE) for path in shard_paths])


def _stages(notes):
    return {stage: sum(note["seconds"][stage] for note in notes) for stage in STAGES}


def rate(folders):
    """Give the photos a second over all stores of a feature set; None where nothing was extracted."""
    logs = [read(folder) for folder in folders]
    seconds = sum(log["seconds"] for log in logs)
    return sum(log["photos"] for log in logs) / seconds if seconds else None


def text(seconds):
    """Tell the three times, and so which stage is the bottleneck."""
    return (
        f"{seconds['read']:,.1f} s waiting for photos, {seconds['forward']:,.1f} s in the network, "
        f"{seconds['write']:,.1f} s writing"
    )
