"""Where things lie: suites, recipes, stores and runs. The names of products' files stand here once.

experiments/<suite>/suite.py, <model>.py,               recipes of a suite and its models
    heads.py, networks.py
features/<set>.py                                        recipes of feature sets
features/<set>/<data>/                                   a feature set's store of a data folder (MLOB_FEATURES)
runs/<suite>/<model>/, ensemble/, report/, predict/, …   products (MLOB_RUNS), those of the suite's first data folder;
runs/<suite>.<data>/                                     those of another one
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import reprlib
from typing import TYPE_CHECKING

from mlob import fields, loading, recipes
from mlob.errors import InputError, about, nearest
from mlob.files import ANEW, read_json
from mlob.loading import Kind
from mlob.progress import say

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet
    from mlob.data.places import Folder

EXPERIMENTS, RECIPES = pathlib.Path("experiments"), pathlib.Path("features")
TOGETHER = ("heads", "networks")  # experiments/<suite>/heads.py, networks.py: recipes of several models in one file

# Products in runs/<suite>/<model>, in the order in which they are written
CHECKPOINT = "checkpoint"  # a folder, while the model is trained
HEAD, PREDICTIONS, HISTORY, RECIPE, RESULT = "head.keras", "predictions.h5", "history.csv", "recipe.json", "result.json"
INSIDE = "inside.npz"  # of a whole network, made for the report
REPEATS = "repeats"  # a folder, of a run's folder for each further seed
CURVE_FOLDER, CURVE = "curve", "curve.json"
SEARCH_FOLDER, SEARCH, BEST_RECIPE = "search", "search.json", "recipe.py"
# the folder that notes what a data set held when models were trained on it, and its files
DATA, NOTED = "data", "photos-*.npz"
# in ensemble/, report/ and predict/
DECISION, ENSEMBLE, SUBMISSION = "decision.npz", "ensemble.json", "submission.csv"
PROBABILITIES = "probabilities"  # .parquet, and .csv where it is asked for
KEPT, STORES = "predict.json", "stores"  # a file, and a folder of what stands in for the stores
REVIEW, LABEL_STUDIO = "review", "label_studio"  # .csv and .html; .json and .xml
COMPARED, INPUTS, PAGE = "dev.json", "inputs.json", "index.html"
LABELLED = "predictions.csv"
# in export/<model or ensemble>/<format>/, beside the model
EXPORT, ABOUT, README = "export", "labels.json", "README.md"
EXPORTED = (*(f"model.{suffix}" for suffix in ("keras", "onnx", "xml", "bin", "tflite")), README, ABOUT)

# What `clean` removes. Other programs have files of the second names, too: these go beside one of the first alone.
OURS = (
    *(RECIPE, f"{CHECKPOINT}/**/training.npz", f"{CURVE_FOLDER}/*.npz", f"{SEARCH_FOLDER}/journal.log"),
    *(ENSEMBLE, INPUTS, LABELLED, NOTED, f"{REPEATS}/*/{RECIPE}", f"{REPEATS}/*/{CHECKPOINT}/**/training.npz"),
)
BESIDE = (
    *(RESULT, HISTORY, HEAD, PREDICTIONS, INSIDE, f"{CURVE_FOLDER}/{CURVE}", f"{CHECKPOINT}/*/{HEAD}"),
    f"{REPEATS}/*/{CHECKPOINT}/*/{HEAD}",
    *(f"{REPEATS}/*/{name}" for name in (RESULT, HISTORY, HEAD, PREDICTIONS)),
    *(f"{SEARCH_FOLDER}/{name}" for name in (SEARCH, BEST_RECIPE, "journal.log.*", "*.npy")),
    *(DECISION, "second_level.npz", SUBMISSION, PAGE, COMPARED),
    *(f"{name}.*" for name in (PROBABILITIES, REVIEW, LABEL_STUDIO)),
    *(
        KEPT,
        f"{STORES}/*/fingerprint.json",
        f"{STORES}/*/int8.*",
        f"{STORES}/*/terms.json",
        f"{STORES}/*/columns.json",
        f"{STORES}/*/{HEAD}",
    ),
)


@dataclasses.dataclass(frozen=True)
class Workspace:
    """One suite: its recipes as SET changes them, its data, its stores and its runs.

    Attributes:
        name: of the suite.
        data: the data folder, instead of the suite's own; or None.
        weights: a weights file or a folder of them; or None.
        settings: SET=.
        memory_bytes: what the features of train may take; half of the machine's where it is None.
        is_dry: nothing is to be made in it.
        extracted: names of the stores that were seen to, and need not be looked at again.
        held: what they hold of the data set, as tasks note it.
    """

    name: str
    data: str | None = None
    weights: str | None = None
    settings: str = ""
    memory_bytes: int | None = None
    is_dry: bool = False
    extracted: set[str] = dataclasses.field(default_factory=set)
    held: dict[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def overrides(self) -> loading.Settings:
        """SET= by the recipe that each field belongs to."""
        return loading.parse(self.settings)

    @functools.cached_property
    def suite(self) -> recipes.Suite:
        """The suite's recipe."""
        fields.check_name(self.name, "The suite")
        if not EXPERIMENTS.is_dir():
            raise InputError(
                "There is no folder experiments/ here: run mlob in the folder that holds experiments/ and features/, "
                "or write a new one with `mlob init FOLDER`."
            )
        path = EXPERIMENTS / self.name / "suite.py"
        if not path.is_file():
            known = [path.parent.name for path in EXPERIMENTS.glob("*/suite.py")]
            raise InputError(f"There is no suite {self.name!r}{nearest(self.name, known)}")
        recipe = checked(loading.load(path, [], (recipes.Suite,)), path)
        return checked(loading.override(recipe, self.overrides[recipes.Suite]), "SET")

    @functools.cached_property
    def dataset(self) -> "DataSet":
        """The annotated photos; the demo set is drawn where it is not there."""
        from mlob.data.dataset import read_dataset
        from mlob.features import store_folders

        folder = self.data_folder
        if self.suite.generated and not self.data:
            from mlob.data import demo

            demo.draw(folder)
        digests = store_folders.digests_table(self.features, folder)
        return read_dataset(folder, digests=digests, asked=self.suite.annotations)

    @functools.cached_property
    def data_folder(self) -> "Folder":
        """Where the annotated photos are."""
        from mlob.data import places

        return places.data_folder(self.data or self.suite.data)

    @property
    def features(self) -> pathlib.Path:
        """The folder of all feature stores."""
        return folder("MLOB_FEATURES", RECIPES)

    @functools.cached_property
    def runs(self) -> pathlib.Path:
        """The folder of the suite's products of this data: runs/<suite>, or runs/<suite>.<data> where another has that.

        A folder that has the name of a suite is left to that suite. Where there is none yet, the products of a data
        folder that is gone and held the same are taken over: it was renamed.
        """
        from mlob.data import owners, places

        others = self.first_runs.with_name(f"{self.name}.{places.data_name(self.data_folder)}")
        candidates = (path for path in owners.numbered(others) if not is_suite(path.name))
        found = owners.find(itertools.chain([self.first_runs], candidates), self.data_folder, self.all_runs)
        return found if owners.owner(found) else next(filter(self._was_renamed, self.all_runs), found)

    def _was_renamed(self, runs: pathlib.Path) -> bool:
        """Whether a folder of products is of a data folder that is gone and held what this one holds."""
        from mlob.data import owners

        if not owners.is_left(runs) or not owners.is_there(owners.address(self.data_folder)):
            return False
        made_of = (read_json(recipe, ANEW).get("data") for recipe in runs.glob(f"*/{RECIPE}"))
        return self.dataset.digest in made_of

    @property
    def first_runs(self) -> pathlib.Path:
        """The folder of the products of the suite's first data folder."""
        return folder("MLOB_RUNS", "runs") / self.name

    @property
    def all_runs(self) -> list[pathlib.Path]:
        """The folders of the suite's products of whatever data."""
        return sorted(path for path in self.first_runs.parent.glob("*/") if is_of(path, self.name))

    def claim_runs(self) -> None:
        """Note in the folder of products whose photos they are made of; where they are apart from others is told."""
        from mlob.data import owners

        before = owners.owner(self.runs)
        owners.claim(self.runs, self.data_folder)
        if before and not owners.is_there(before):
            say(f"{self.runs} was made of {before}, which is gone: it belongs to {self.data_folder} now.")
        if not before and self.runs != self.first_runs:
            told = f"{self.first_runs} belongs to {owners.owner(self.first_runs)}"
            say(f"{told}: what is made of {self.data_folder} goes to {self.runs}.")

    def run(self, model: str) -> pathlib.Path:
        """The folder of a model's run, or of the ensemble's and the report's products."""
        return self.runs / model

    def trainings(self, model: str) -> list[pathlib.Path]:
        """The folders of a model's run, and of its repeats with other seeds."""
        own = self.run(model)
        return [own, *(own / REPEATS / str(number) for number in range(1, self.suite.repeats))]

    def store(self, name: str) -> pathlib.Path:
        """The folder of a feature set's store of this data, under whatever name it had when the store was made."""
        from mlob.features import store_folders

        found = store_folders.find(self.features / name, self.dataset.folder)
        return found if found.is_dir() else next(store_folders.renamed(self.features / name, self.dataset), found)

    def stores(self, model: str) -> dict[str, pathlib.Path]:
        """The stores that a model reads: {name: folder}."""
        return {name: self.store(name) for name in self.first_experiment(model).stores}

    def feature_set(self, name: str) -> recipes.FeatureSet:
        """The recipe of a feature set."""
        known = [path.stem for path in RECIPES.glob("*.py")]
        path = RECIPES / f"{name}.py"
        recipe = checked(loading.load(path, known, (recipes.FeatureSet,)), path)
        return checked(loading.override(recipe, self.overrides[recipes.FeatureSet]), "SET")

    def feature_sets(self, model: str) -> dict[str, recipes.FeatureSet]:
        """The recipes of what a model reads: {name: feature set}."""
        return {name: self.feature_set(name) for name in self.first_experiment(model).stores}

    def extractor(self, model: str) -> recipes.FeatureSet | None:
        """The feature set that a whole network begins with; None of a head, and of convolutions."""
        network = self.first_experiment(model).network
        return self.feature_set(network.extractor) if network and network.extractor else None

    def start(self, model: str) -> str:
        """The model that a model begins with, as far as they are alike; empty where there is none."""
        return self.first_experiment(model).start

    def check(self, model: str) -> None:
        """Refuse a model whose stores and network do not fit each other.

        Raises:
            InputError: with what was expected.
        """
        from mlob.models import beginning

        experiment, read = self.first_experiment(model), self.feature_sets(model)
        with about(model):
            if experiment.network:
                (reads,) = read.values()
                beginning.check(reads, self.extractor(model))
                beginning.refuse_changes_of_maps(reads, experiment.network)
            else:
                beginning.refuse_pixels(read)
            if experiment.start:
                self._check_start(experiment)

    def _check_start(self, experiment: recipes.Experiment) -> None:
        """Refuse a model that begins with a head of another form, on other features, or that begins with one itself."""
        start, network = self.experiment(experiment.start), experiment.network
        wanted = (network.extractor,) if network else experiment.stores, experiment.head
        if isinstance(start, recipes.Sum) or start.network or start.start or (start.stores, start.head) != wanted:
            raise InputError(
                f"start is {experiment.start}: expected a model that starts at random, with the stores {wanted[0]} and "
                f"{wanted[1]}."
            )
        if start.training.folds:
            raise InputError(
                f"start is {experiment.start}, which learns from validation, too (training.folds): a model that begins "
                "with it would have seen the photos that it is judged on. Expected a start without folds."
            )

    def models(self, model: str | None = None) -> list[str]:
        """The models asked for: one, or all of the suite's that are for so many photos."""
        return [model] if model else [*self.members, *self.suite.rows]

    @functools.cached_property
    def members(self) -> tuple[str, ...]:
        """The members of the ensemble: those of the suite that are for as many photos as train has; others are told."""
        most = {name: getattr(self.experiment(name), "most_photos", 0) for name in self.suite.members}
        if not any(most.values()):
            return self.suite.members
        photos = len(self.dataset["train"].ids)
        for name in (left_out := [name for name, count in most.items() if 0 < count < photos]):
            say(f"{name} is left out: it is for {most[name]:,} photos to train on at most, and there are {photos:,}.")
        if not (kept := tuple(name for name in most if name not in left_out)):
            raise InputError("No member is left: raise most_photos of one of them.")
        return kept

    @property
    def default(self) -> str:
        """The model that a verb takes where none is named: the first member."""
        return self.members[0]

    def networks(self) -> list[str]:
        """The suite's models that are one whole network, trained on all labels."""
        recipe_of = {model: self.experiment(model) for model in self.models()}
        trained = {model: recipe for model, recipe in recipe_of.items() if isinstance(recipe, recipes.Experiment)}
        whole = {model: recipe for model, recipe in trained.items() if recipe.network and recipe.learns_all}
        return [model for model, recipe in whole.items() if not recipe.training.folds]

    def experiment(self, model: str) -> recipes.Experiment | recipes.Sum:
        """The recipe of a model, an `Experiment` or a `Sum`; `logistic` is the reference that every suite has."""
        if model == fields.LOGISTIC:
            return self._reference()
        recipe = self._loaded(model)
        if not isinstance(recipe, recipes.Sum):
            return checked(loading.override(recipe, self.overrides[recipes.Experiment]), "SET")
        for part in recipe.parts:
            if isinstance(self._loaded(part), recipes.Sum):
                raise InputError(f"{model} has the part {part}, a sum itself: expected models that have a head.")
        return recipe

    def first_experiment(self, model: str) -> recipes.Experiment:
        """The recipe of a model, or of the first specialist that it is the sum of."""
        recipe = self.experiment(model)
        return self.first_experiment(recipe.parts[0]) if isinstance(recipe, recipes.Sum) else recipe

    def head(self, model: str) -> recipes.Experiment:
        """The recipe of a model that has a head of its own, trained in epochs."""
        recipe = self.experiment(model)
        if isinstance(recipe, recipes.Sum):
            raise InputError(f"{model} is the sum of {', '.join(recipe.parts)}: name one of these.")
        if recipe.head.kind != "dense":
            raise InputError(f"{model} is {fields.KINDS[recipe.head.kind]}, which has no epochs: name another model.")
        return recipe

    def parts(self, model: str) -> dict[str, pathlib.Path]:
        """The specialists that a model is the sum of: {name: folder of its run}; none where it is trained itself."""
        return {name: self.run(name) for name in getattr(self.experiment(model), "parts", ())}

    def _reference(self):
        """Logistic regression on the default model's stores and rows."""
        if fields.LOGISTIC in self._known():
            own = EXPERIMENTS / self.name / f"{fields.LOGISTIC}.py"
            raise InputError(f"{own} has the name of the reference that every suite has: rename the file.")
        default = self.first_experiment(self.default)
        limit = recipes.Training(limit=default.training.limit)
        begins = (default.network.extractor,) if default.network and default.network.extractor else default.stores
        return recipes.Experiment(begins, recipes.LOGISTIC, limit)

    def _loaded(self, model):
        """The recipe under a model's name in heads.py or networks.py, or in its own file."""
        fields.check_name(model, "The model", fields.RESERVED)
        if model in self._together:
            return self._together[model]
        path = EXPERIMENTS / self.name / f"{model}.py"
        return checked(loading.load(path, self._known(), (recipes.Experiment, recipes.Sum)), path)

    def _known(self):
        """List the names of the suite's models."""
        files = (path.stem for path in (EXPERIMENTS / self.name).glob("*.py"))
        return sorted({*self._together, *files} - set(fields.RESERVED))

    @functools.cached_property
    def _together(self):
        """The recipes in heads.py and networks.py: {model: recipe}."""
        found, files = {}, dict[str, pathlib.Path]()
        for path in (EXPERIMENTS / self.name / f"{name}.py" for name in TOGETHER):
            for model, recipe in (loading.load_many(path) if path.is_file() else {}).items():
                other = files.setdefault(model, path.with_name(f"{model}.py"))
                if other.exists():
                    raise InputError(f"{path} and {other.name} beside it both define {model!r}: keep one of them.")
                found[model], files[model] = checked(recipe, f"{path}: {model}"), path
        return found


def checked(recipe: Kind, where: pathlib.Path | str) -> Kind:
    """Give a recipe back whose choices are in their tables and fit each other.

    Raises:
        InputError: one is not, or does not; with `where` the recipe was made.
    """
    from mlob.ensemble import methods
    from mlob.features import backbones
    from mlob.models import losses

    with about(where):
        if isinstance(recipe, recipes.FeatureSet):
            backbones.check(recipe)
        if isinstance(recipe, recipes.Experiment):
            losses.check(recipe)
        if isinstance(recipe, recipes.Suite):
            methods.check(recipe.ensemble)
    return recipe


def folder(variable: str, default: pathlib.Path | str) -> pathlib.Path:
    """Give the folder of products that a variable of the environment names, or the default.

    Raises:
        InputError: it is no folder, or no path at all.
    """
    path = pathlib.Path(os.environ.get(variable) or default)
    try:
        is_usable = path.is_dir() or not path.exists()
    except OSError as error:
        raise InputError(f"{variable}={reprlib.repr(str(path))}: {error.strerror}. Name another folder.") from error
    if not is_usable:
        raise InputError(f"{variable}={path} is a file: expected a folder, which may be missing.")
    return path


def is_suite(name: str) -> bool:
    """Whether there is a suite of a name."""
    return (EXPERIMENTS / name / "suite.py").is_file()


def is_of(folder: pathlib.Path, suite: str) -> bool:
    """Whether a folder of runs is that of a suite, or of the suite with another data folder."""
    from mlob.data import owners

    is_other = folder.name.startswith(f"{suite}.") and owners.owner(folder) and not is_suite(folder.name)
    return folder.name == suite or bool(is_other)
