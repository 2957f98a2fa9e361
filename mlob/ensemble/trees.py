"""A stacker of gradient-boosted trees: what the blend is wrong by, label by label."""

import dataclasses
import typing
from collections.abc import Hashable, Sequence

import numpy as np

from mlob.ensemble import simplex
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.stacking import inner_folds, logits, principal_axes, side_by_side
from mlob.labels import is_known, positives
from mlob.metrics import highest_micro_f1

if typing.TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

RARE = 20  # positives that a label needs for trees of its own
COUNTS = (0, 10, 20, 40)  # numbers of trees that are tried
LEAVES = 8  # of a tree
SUMMARY = 16  # principal components that the trees of each label see beside its own logits


class Boosted(typing.NamedTuple):
    """The trees of one label. From its first node on, a tree goes to one of two others by an input's value.

    A leaf leads to itself.
    """

    start: np.ndarray  # float64 (), what is predicted before the first tree
    inputs: np.ndarray  # integers (trees, nodes), which input a node looks at
    most: np.ndarray  # float64 (trees, nodes): values up to it go to the first of the two
    children: np.ndarray  # integers (trees, nodes, 2)
    values: np.ndarray  # float64 (trees, nodes)

    def stages(self, inputs: np.ndarray) -> list[np.ndarray]:
        """What is predicted after each tree, float64 (n,), for inputs (n, any)."""
        rows, reached, stages = np.arange(len(inputs)), self.start, []
        for looked_at, most, children, values in zip(*self[1:], strict=True):
            node = np.zeros(len(inputs), np.int64)
            for _ in range(LEAVES - 1):
                node = children[node, (inputs[rows, looked_at[node]] > most[node]).astype(np.int64)]
            reached = reached + values[node]
            stages.append(reached)
        return stages


@dataclasses.dataclass(frozen=True)
class Trees:
    """The blend, plus what trees expect it to be wrong by for each label that has enough positives.

    Attributes:
        base_weights: float64 (members,), of the blend.
        centre: float32 (members * labels,).
        axes: float32 (members * labels, components).
        columns: integers (boosted,), the labels that have trees.
        start, inputs, most, children, values: as of `Boosted`, (boosted, ...).
        out_of_fold: float32 (n, labels), for the photos of the fit.
    """

    base_weights: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    columns: np.ndarray
    start: np.ndarray
    inputs: np.ndarray
    most: np.ndarray
    children: np.ndarray
    values: np.ndarray
    out_of_fold: np.ndarray | None = None
    weights = None  # all members count, none by a weight

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        return self.stages(members, (-1,))[0]

    def stages(self, members: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """Probabilities float32 (counts, n, labels) after each of these numbers of trees; -1 is all there are."""
        blended = arithmetic(members, self.base_weights)
        stages = np.repeat(blended[np.newaxis], len(counts), axis=0)
        shared = (side_by_side(members) - self.centre) @ self.axes
        boosted = zip(self.start, self.inputs, self.most, self.children, self.values, strict=True)
        for column, trees in zip(self.columns, boosted, strict=True):
            wrong_by = [0, *Boosted(*trees).stages(_inputs(members, blended, shared, column))]
            for stage, count in zip(stages, counts, strict=True):
                stage[:, column] += wrong_by[count]
        return np.clip(stages, 0, 1)


def fit(members: np.ndarray, targets: np.ndarray, *, seed: int, keys: Sequence[Hashable] | None = None) -> Trees:
    """Boost each label with at least 20 positives; the rest keep the blend. Inner folds choose the number of trees.

    Inputs are the label's logits by all members, the blend's logit, and the first principal components of all logits of
    all members. The trees fit what the blend is wrong by, with squared loss: no trees are the blend.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        keys: as of `stacking.inner_folds`.

    Raises:
        InputError: as of `stacking.inner_folds`.
    """
    folds, targets = inner_folds(members, targets, seed, keys), np.asarray(targets)
    out_of_fold = np.zeros((len(COUNTS), *targets.shape), np.float32)
    for inside, outside in folds:
        model = _fit(members[:, inside], targets[inside], max(COUNTS), seed)
        out_of_fold[:, outside] = model.stages(members[:, outside], COUNTS)
    best = int(np.argmax([highest_micro_f1(targets, probabilities) for probabilities in out_of_fold]))
    return dataclasses.replace(_fit(members, targets, COUNTS[best], seed), out_of_fold=out_of_fold[best])


def _fit(members: np.ndarray, targets: np.ndarray, count: int, seed: int) -> Trees:
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    weights = simplex.search(members, targets).weights
    centre, axes = principal_axes(side_by_side(members), seed)
    axes = axes[:, :SUMMARY]
    blended, shared = arithmetic(members, weights), (side_by_side(members) - centre) @ axes
    columns = np.flatnonzero(np.count_nonzero(positives(targets), axis=0) >= RARE).tolist() if count else []
    known = is_known(targets)

    def boosted_alone(column: int) -> Boosted:
        inputs, wrong_by = _inputs(members, blended, shared, column), targets[:, column] - blended[:, column]
        rows = slice(None) if known is None else known[:, column]
        return boost(inputs[rows], wrong_by[rows], count, seed)

    with threadpool_limits(1):  # a thread for each label: a label is too little work to share
        boosted = Parallel(n_jobs=-1, backend="threading")(delayed(boosted_alone)(column) for column in columns)
    parts = [np.array([getattr(trees, name) for trees in boosted]) for name in Boosted._fields]
    return Trees(weights, centre, axes, np.array(columns, np.int64), *parts)


def boost(inputs: np.ndarray, wrong_by: np.ndarray, count: int, seed: int) -> Boosted:
    """Fit trees to what the blend of one label is wrong by, (n,), from inputs (n, any)."""
    # scikit-learn's, not LightGBM's: half as fast, but required already, and LightGBM 4.7 crashed when several threads
    # trained at once.
    from sklearn.ensemble import HistGradientBoostingRegressor

    options = {"max_leaf_nodes": LEAVES, "min_samples_leaf": 20, "l2_regularization": 10, "max_bins": 63}
    model = HistGradientBoostingRegressor(
        max_iter=count, learning_rate=0.05, early_stopping=False, random_state=seed, **options
    )
    return taken_apart(model.fit(inputs, wrong_by))


def taken_apart(model: "HistGradientBoostingRegressor") -> Boosted:
    """Give scikit-learn's trees, which it can only pickle, as arrays, each tree padded to the same number of nodes.

    No public attribute holds them; a test holds that these predict what scikit-learn does.
    """
    nodes = [predictor.nodes for (predictor,) in model._predictors]
    shape = len(nodes), 2 * LEAVES - 1
    inputs, most, values = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    children = np.tile(np.arange(shape[1])[:, np.newaxis], (shape[0], 1, 2))
    for number, own in enumerate(nodes):
        inner, place = own["is_leaf"] == 0, slice(len(own))
        inputs[number, place], most[number, place] = own["feature_idx"], own["num_threshold"]
        values[number, place] = own["value"]
        children[number, place][inner] = np.stack([own["left"], own["right"]], axis=1)[inner]
    return Boosted(np.array(model._baseline_prediction.item(), np.float64), inputs, most, children, values)


def _inputs(members: np.ndarray, blended: np.ndarray, shared: np.ndarray, column: int) -> np.ndarray:
    """Inputs (n, members + 1 + components) of one label's trees."""
    return np.column_stack([logits(members[:, :, column]).T, logits(blended[:, column]), shared])
