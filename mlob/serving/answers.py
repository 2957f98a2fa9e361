"""What the endpoint answers: the labels of each photo, as JSON."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pydantic

from mlob.labels import Labels
from mlob.runs.answering import Answer
from mlob.runs.labeller import Labeller

DIGITS = 4


class Label(pydantic.BaseModel):
    """A label and how likely it is on a photo."""

    id: int | str | None = pydantic.Field(description="Of the data set; null where it has none.")
    name: str
    group: str
    probability: float = pydantic.Field(description="From 0 to 1.")
    threshold: float = pydantic.Field(
        description="What the probability had to reach for the label to be given. In a group of which every photo has "
        "one label, that is the probability of the likeliest other one."
    )


class Photo(pydantic.BaseModel):
    """What is on one photo."""

    photo: str = pydantic.Field(description="The name of its file, as it was sent.")
    failure: str | None = pydantic.Field(description="Why it could not be read; null where it could.")
    labels: list[Label] = pydantic.Field(description="Those that it was given, the likeliest first.")
    others: list[Label] = pydantic.Field(description="All others, the likeliest first.")


class Photos(pydantic.BaseModel):
    """An answer for each file, in the order in which they were sent."""

    photos: list[Photo]


class State(pydantic.BaseModel):
    """That the server is there, and what it works with."""

    status: str
    suite: str = pydantic.Field(description="Whose ensemble labels the photos.")
    labels: int = pydantic.Field(description="How many there are.")
    waiting: int = pydantic.Field(description="Photos that wait for their turn.")


def answerer(labeller: Labeller) -> Callable[[Sequence[bytes]], list[dict]]:
    """Give the function from the bytes of photos to what `Photo` holds of each, but for its name."""
    tell = functools.partial(_told, labeller.labels)

    def answer(photos: Sequence[bytes]) -> list[dict]:
        found = labeller.ask(photos, tell)
        return [told or {"failure": failure, "labels": [], "others": []} for _, told, failure in found]

    return answer


def _told(labels: Labels, answer: Answer) -> dict:
    rows: tuple[list[dict], list[dict]] = [], []
    for column in np.argsort(-answer.probabilities, kind="stable").tolist():
        rows[not answer.decided[column]].append(
            {
                "id": labels.ids[column] if labels.ids_are_own else None,
                "name": labels.names[column],
                "group": labels.groups[column],
                "probability": round(float(answer.probabilities[column]), DIGITS),
                "threshold": round(float(answer.needed[column]), DIGITS),
            }
        )
    return {"failure": None, "labels": rows[0], "others": rows[1]}
