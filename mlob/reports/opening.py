"""What the page opens with, in words that need no statistics: how good it is, at what, and what to do next."""

GOOD, POOR = 0.8, 0.5  # F1 from which on a label is found well; below which poorly
JUDGEABLE = 10  # photos of validation from which on a label's figure is no mere chance
ENOUGH = 20  # photos of train from which on a label can be learned
NAMED = 5  # labels that are called by name
STEPS = 3  # that are advised at once


def tell(best, labels, facts, diagnosis):
    """Tell what a layman needs to know.

    Args:
        best: the row of the chosen method, as `tables.rows` gives it.
        labels: ensemble.json's figures of each label.
        facts: what `facts.describe` gives.
        diagnosis: what `report.diagnose` gives, or None.

    Returns:
        {right, found (of 100 labels; None where the row does not say), good, poor, few ({names, more, labels}, or None
        without such labels), next: [(section of the page, or None; what to do)]}.
    """
    judged = [label for label in labels if label["validation"] >= JUDGEABLE]
    good = [label for label in _by_f1(judged)[::-1] if label["f1"] >= GOOD]
    poor = [label for label in _by_f1(judged) if label["f1"] < POOR]
    few = [label for label in labels if label["train"] < ENOUGH]
    return {
        "right": _of_a_hundred(best.get("precision")),
        "found": _of_a_hundred(best.get("recall")),
        "good": _named(good),
        "poor": _named(poor),
        "few": _named(few),
        "next": _steps(facts, few, diagnosis)[:STEPS],
    }


def _by_f1(labels):
    return sorted(labels, key=lambda label: label["f1"])


def _of_a_hundred(share):
    return None if share is None else round(100 * share)


def _named(labels):
    if not labels:
        return None
    names = [label["name"] for label in labels[:NAMED]]
    return {"names": names, "more": len(labels) - len(names), "labels": len(labels)}


def _steps(facts, few, diagnosis):
    """Advise what pays most first: [(section, sentence)]."""
    failed = sum(split["failed"]["photos"] for split in facts["splits"].values() if split["failed"])
    twice = sum(found["photos"] for found in facts["equal_between"])
    doubts = diagnosis["suspects"]["photos"] if diagnosis else 0
    found = [
        (twice, "data", f"take out the {_photos(twice)} that stand in two splits: they flatter the figures"),
        (failed, "data", f"mend or remove the {_photos(failed)} that are missing or could not be read"),
        (len(few), "labels", f"add photos of the {_count(len(few), 'label')} with fewer than {ENOUGH} to train on"),
        (doubts, "doubts", f"look through the {_photos(doubts)} whose annotations are in doubt"),
    ]
    return [(section, step) for number, section, step in found if number] or [
        (None, "make learning-curve says whether more photos would help")
    ]


def _photos(number):
    return _count(number, "photo")


def _count(number, kind):
    return f"{number:,} {kind}{'s' if number != 1 else ''}"
