"""Labels for new photos: by the ensemble as it lies there, with neither data nor stores; where none is, it is made."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlob import steps
from mlob import workspace as places
from mlob.errors import InputError
from mlob.progress import say, show
from mlob.workspace import Workspace

if TYPE_CHECKING:
    from mlob.data.places import Place
    from mlob.recipes import FeatureSet
    from mlob.runs.answering import Brought


@dataclasses.dataclass(frozen=True)
class Tables:
    """What stands beside photos.

    Attributes:
        texts: a table of their texts.
        vectors: tables of features that were made elsewhere, each behind the name of its feature set and "=" where the
            ensemble reads several.
        ids: their column of the photos' names, or the file of an array's.
    """

    texts: pathlib.Path | None = None
    vectors: Sequence[str] = ()
    ids: str = ""


def predict(work: Workspace, photos: Sequence["Place"], tables: Tables = Tables()) -> None:
    """Label photos with the suite's ensemble; print the labels and write them as a table.

    Args:
        work: the suite.
        photos: where they are.
        tables: what stands beside them.
    """
    from mlob.runs import answering
    from mlob.runs import predict as labelling

    work = as_found(work)
    texts, brought = texts_beside(work, photos, tables.texts), vectors_beside(work, photos, tables)
    see_to(work)
    if work.is_dry:
        return say(f"predict: {len(photos):,} photos")
    made = answering.load(work.runs, work.weights)
    labelled = labelling.label(photos, made, answering.on_disk(made.seen, work.features), texts, brought)
    show(labelling.summary(labelled))
    path = work.run("predict") / places.LABELLED
    labelling.write(path, labelled)
    say(f"predictions: {path}")
    if told := labelling.failures(labelled):
        say(f"predict: {told}")


def as_found(work: Workspace) -> Workspace:
    """Give the workspace of the suite's ensemble, with the SET= and the data folder that it was made with.

    Raises:
        InputError: there are several of them.
    """
    return as_ensembled(work if work.data else of_the_only_ensemble(work))


def see_to(work: Workspace) -> None:
    """Make the ensemble where it cannot label photos as it lies there."""
    if not is_ready(work):
        steps.fit_ensemble(work)


def as_ensembled(work: Workspace) -> Workspace:
    """Give the workspace with the SET= that its ensemble was made with, unless another is asked for."""
    from mlob.runs import results

    ensemble = None if work.settings else results.read_ensemble(work.run("ensemble"))
    settings = ensemble.settings if ensemble else ""
    if not settings:
        return work
    say(f"ensemble: with SET={settings}, as the ensemble was made")
    return dataclasses.replace(work, settings=settings)


def of_the_only_ensemble(work: Workspace) -> Workspace:
    """Take the data folder of the suite's only ensemble, where the suite's own data folder is not there.

    Raises:
        InputError: there are several.
    """
    from mlob.data import owners

    made = [folder for folder in work.all_runs if (folder / "ensemble" / places.ENSEMBLE).is_file()]
    if not made or work.runs in made or owners.is_there(owners.address(work.data_folder)):
        return work
    of = {folder: owners.owner(folder) for folder in made}
    if len(made) > 1:
        several = ", ".join(f"{folder} of {owner}" for folder, owner in of.items())
        raise InputError(f"There are ensembles of several data folders ({several}): name one of these with --data.")
    say(f"ensemble: with the ensemble in {made[0]}, made of {of[made[0]]}")
    return dataclasses.replace(work, data=of[made[0]])


def is_ready(work: Workspace) -> bool:
    """Say whether the ensemble can label photos as it lies there; tell why not, or what has changed since."""
    from mlob.runs import kept, results

    folder = work.run("ensemble")
    ensemble = results.read_ensemble(folder)
    if ensemble is None or work.settings not in ("", ensemble.settings):
        return False
    runs = {name: work.run(name) for name in ensemble.members}
    if lacking := kept.lacking(folder, ensemble, runs):
        say(f"ensemble: {lacking}: this is seen to first, from the photos in {work.data_folder}")
        return False
    named = {name: work.experiment(name) for name in work.suite.members}
    experiments = {name: own for name, own in named.items() if name in runs or not getattr(own, "most_photos", 0)}
    if changed := kept.changed(ensemble, work.suite.ensemble, runs, experiments):
        say(f"ensemble: as the ensemble was made, before {', '.join(changed)} changed: `mlob ensemble` makes it anew")
    return True


def texts_beside(work: Workspace, photos: Sequence["Place"], path: pathlib.Path | None) -> "dict[Place, str]":
    """Read the texts beside photos, where the ensemble reads some; what is missing, or needless, is told.

    Raises:
        InputError: the ensemble reads texts, and no table is named, or it holds the text of no photo.
    """
    from mlob.data.annotations import table

    readers, asked = readers_of_texts(work), work.suite.annotations
    if not readers:
        if path:
            say(f"predict: {path} is not needed: no member reads texts")
        return {}
    if path is None:
        raise InputError(
            f"{readers[0]} reads the column {asked.text!r} beside each photo: name a table of these photos and their "
            "texts with TEXTS= (--texts)."
        )
    known = table.read_texts(path, asked)
    found = {photo: known[name] for photo in photos for name in (photo.name, photo.stem, str(photo)) if name in known}
    if not found:
        raise InputError(f"{path} names none of these photos: expected {photos[0].name} or {photos[0].stem} and so on.")
    if len(found) < len(photos):
        say(f"predict: {path} has no text of {len(photos) - len(found):,} of {len(photos):,} photos")
    return found


def readers_of_texts(work: Workspace) -> list[str]:
    """List the ensemble's feature sets of texts; in a dry run those of the suite's recipes."""
    from mlob.features import backbones

    return [name for name, recipe in feature_sets(work).items() if backbones.is_text(recipe)]


def vectors_beside(work: Workspace, photos: Sequence["Place"], tables: Tables) -> "dict[str, Brought]":
    """Read the features of photos that were made elsewhere, where the ensemble reads some; what is needless is told.

    Returns:
        {name of the feature set: `Brought`}.

    Raises:
        InputError: the ensemble reads such features, and no table of them is named, or it has a row of no photo.
    """
    from mlob.data import vectors
    from mlob.features import backbones, imported
    from mlob.runs.answering import Brought

    readers = [name for name, recipe in feature_sets(work).items() if backbones.is_imported(recipe)]
    paths = tables_of(readers, tables.vectors)
    found = {}
    for name in readers:
        read = vectors.read(paths[name], tables.ids)
        rows = imported.rows_beside(photos, read)
        if not rows:
            raise InputError(
                f"{read.path} names none of these photos: expected {photos[0].name} or {photos[0].stem} and so on."
            )
        if len(rows) < len(photos):
            lacking = [photo.name for photo in photos if photo not in rows]
            share = f"{len(lacking):,} of {len(photos):,} photos, for example {lacking[0]}"
            say(f"predict: {read.path} has no row of {share}: they cannot be labelled")
        found[name] = Brought(read, rows)
    return found


def tables_of(readers: Sequence[str], given: Sequence[str]) -> dict[str, pathlib.Path]:
    """Give the table of each feature set that was made elsewhere; the only one needs no name.

    Raises:
        InputError: one has none.
    """
    parts = {each: each.partition("=") for each in given}
    named = {name: path for name, _, path in parts.values() if name in readers}
    plain = [each for each, (name, _, _) in parts.items() if name not in readers]
    if len(readers) == len(plain) == len(given) == 1:
        return {readers[0]: pathlib.Path(plain[0])}
    if plain and readers:
        raise InputError(f"--vectors={plain[0]}: expected NAME=TABLE, the name one of {', '.join(readers)}.")
    if plain:
        say(f"predict: {plain[0]} is not needed: no member reads features that were made elsewhere")
    if missing := [name for name in readers if name not in named]:
        raise InputError(
            f"{missing[0]} reads features that were made elsewhere: bring those of these photos, too, a table as "
            f"`mlob import` takes it, with VECTORS={missing[0]}=TABLE (--vectors)."
        )
    return {name: pathlib.Path(path) for name, path in named.items()}


def feature_sets(work: Workspace) -> "Mapping[str, FeatureSet]":
    """Give the feature sets that the ensemble reads; before there is one, those of the suite's recipes."""
    from mlob.runs import kept

    if known := kept.read(work.run("ensemble")):
        return known.feature_sets
    return {name: recipe for model in work.suite.members for name, recipe in work.feature_sets(model).items()}
