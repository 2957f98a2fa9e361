"""The verb that lets a model leave: the ensemble as it lies there, or one model, which is trained where it is not."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlob import machine, predicting, steps
from mlob import workspace as places
from mlob.errors import InputError
from mlob.progress import say
from mlob.workspace import Workspace

if TYPE_CHECKING:
    from mlob.data.places import Place


def export(work: Workspace, name: str, model: str | None, paths: Sequence[pathlib.Path] = ()) -> None:
    """Write the suite's ensemble, or one of its models, in a format, with what is known of it.

    Args:
        work: the suite.
        name: of the format.
        model: its name; None is the ensemble.
        paths: of photos that it is tried on; without any it is tried on some of validation.
    """
    machine.load_keras()
    from mlob.exports import export as exports
    from mlob.exports import formats, parts
    from mlob.runs import predict

    form, named = formats.check(name), predict.find(paths) if paths else None
    work = _made(work, model)
    folder = work.run(places.EXPORT) / (model or "ensemble") / name
    if work.is_dry:
        return say(f"export: {model or 'ensemble'} to {folder}")
    whole = parts.of_model(work, model) if model else parts.of_ensemble(work)
    parts.check(whole)
    if exports.is_done(folder, whole, form):
        return say(f"export: {folder}, which is there already")
    about = exports.export(folder, name, form, whole, named or _photos(work), work.features)
    say(exports.summary(folder, about))


def _made(work: Workspace, model: str | None) -> Workspace:
    """See to it that what is to leave is there."""
    from mlob.exports import parts

    if model:
        parts.check_features(work.feature_sets(model))
        steps.train(work, [model])
        return work
    work = predicting.as_found(work)
    if not predicting.is_ready(work):
        parts.check_features(
            {name: recipe for each in work.members for name, recipe in work.feature_sets(each).items()}
        )
        steps.fit_ensemble(work)
    return work


def _photos(work: Workspace) -> "Sequence[Place]":
    """Give the data set's photos of validation.

    Raises:
        InputError: the data folder is not there.
    """
    from mlob.data import owners

    if not owners.is_there(owners.address(work.data_folder)):
        raise InputError(f"{work.data_folder} is not there: name photos to try the model on with PHOTOS= (--photos).")
    return [place for place in work.dataset.photos("validation") if place is not None]
