"""The second level: what all members say about all labels of a photo, made into better probabilities.

Each fit starts from the blend with the lowest log-loss (`simplex`) and corrects it: a linear head that knows which
labels go together, a small convolution, or gradient boosting. How far to go is chosen on inner folds. Members are
float32 (members, n, labels) in [0, 1], targets 0/1 (n, labels). What is fitted has `predict(members)`, which gives
float32 (n, labels) in [0, 1] for other photos, and `held`, the same for the photos of the fit, each by a fit of the
other folds: thresholds are chosen on these, since on the photos it has learned a second level is too sure of itself.
`keys` say which photos are equal: these share an inner fold.
All else that was fitted is arrays, which `arrays()` gives and `rebuilt` takes back.
"""

import dataclasses
import itertools
import typing

import numpy as np

from mlob.data.splits import places
from mlob.ensemble import fitness, simplex
from mlob.ensemble.blend import arithmetic
from mlob.errors import InputError
from mlob.machine import load_keras
from mlob.metrics import highest_micro_f1

FOLDS = 5
SMALLEST = 1e-4  # probabilities count as at least this and at most 1 less this: logits end at 9.2
RANK = 64  # principal components of the logits that a head may look at; 30 and 100 did alike
PENALTIES = (1000, 300, 100)  # ridge of the linear head, falling: each fit starts from the one before
RARE = 20  # positives that a label needs for trees of its own
TREES = (0, 10, 20, 40)
LEAVES = 8  # of a tree
SUMMARY = 16  # principal components that the trees of each label see beside its own logits
FILTERS = (8, 16, 32, 64)  # of the convolutions, each three members high while there are members left
UNITS = 256
EPOCHS, PATIENCE, BATCH = 60, 5, 64
ROWS = 1024  # photos in hand when a network predicts


# A linear head


@dataclasses.dataclass(frozen=True)
class Linear:
    """The blend's logits plus a linear function of the principal components of all logits of all members."""

    weights: np.ndarray  # float64 (members,), of the blend
    centre: np.ndarray  # float32 (members * labels,)
    axes: np.ndarray  # float32 (members * labels, components)
    coefficients: np.ndarray  # float64 (components + 1, labels), the last row the bias
    blocks: object  # sparse 0/1 (labels, blocks): the labels of a block exclude each other
    penalty: float
    held: np.ndarray | None = None

    def predict(self, members):
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        start = _start(arithmetic(members, self.weights), self.blocks)
        inputs = (_columns(members) - self.centre) @ self.axes
        return _compete(start + _with_one(inputs) @ self.coefficients, self.blocks)[0].astype(np.float32)

    def arrays(self):
        """Give what was fitted: {name: array}."""
        named = ("weights", "centre", "axes", "coefficients", "penalty")
        return {"block": self.blocks.indices} | {name: np.asarray(getattr(self, name)) for name in named}

    @classmethod
    def of(cls, *, block, penalty, **arrays):
        """Rebuild what gave these arrays."""
        return cls(**arrays, blocks=_as_blocks(block), penalty=float(penalty))


def linear(members, targets, *, seed, groups=None, keys=None):
    """Fit a penalised logistic head of low rank; the penalty with the highest micro-F1 on inner folds is taken.

    Inputs are the first 64 principal components of the logits of all labels of all members, scaled by the first one's
    deviation. With `groups`, the labels of a group compete (a softmax with "none of them") where no photo bears two.

    Args:
        groups: the group of each label (labels,), as in `Labels.groups`, or None.

    Returns:
        A `Linear`.

    Raises:
        InputError: members that cannot be used (`fitness.check`); fewer photos than folds.
    """
    fold, targets = _folds(members, targets, seed, keys), np.asarray(targets)
    blocks = _blocks(targets, groups)
    held = np.zeros((len(PENALTIES), *targets.shape), np.float32)
    for inside, outside in fold:
        for place, model in enumerate(_path(members[:, inside], targets[inside], blocks, seed)):
            held[place, outside] = model.predict(members[:, outside])
    best = int(np.argmax([highest_micro_f1(targets, one) for one in held]))
    model = next(itertools.islice(_path(members, targets, blocks, seed), best, None))
    return dataclasses.replace(model, held=held[best])


def _path(members, targets, blocks, seed):
    """Give a `Linear` for each penalty in turn."""
    weights = simplex.search(members, targets).weights
    centre, axes = _principal(_columns(members), seed)
    inputs = _with_one((_columns(members) - centre) @ axes)
    start = _start(arithmetic(members, weights), blocks)
    coefficients = np.zeros((inputs.shape[1], targets.shape[1]))
    for penalty in PENALTIES:
        coefficients = _ridge_logistic(inputs, targets, start, blocks, penalty, coefficients)
        yield Linear(weights, centre, axes, coefficients, blocks, penalty)


def _ridge_logistic(inputs, targets, start, blocks, penalty, coefficients):
    """Minimise log-loss + ridge over coefficients (components + 1, labels); the bias has a ridge of 1."""
    from scipy.optimize import minimize

    ridge = np.full((inputs.shape[1], 1), float(penalty))
    ridge[-1] = 1
    spread = _compete(start, blocks)[0]
    spread *= 1 - spread
    # Principal components are orthogonal, so the Hessian is nearly diagonal: in units of its roots L-BFGS is done in
    # 10 to 20 steps, otherwise in hundreds.
    unit = 1 / np.sqrt(np.sum(inputs**2, axis=0)[:, np.newaxis] * spread.mean(axis=0) + ridge)

    def objective(flat):
        now = unit * flat.reshape(unit.shape)
        logits = start + inputs @ now
        probabilities, normaliser = _compete(logits, blocks)
        loss = normaliser.sum() - np.vdot(targets, logits) + 0.5 * np.sum(ridge * now**2)
        return loss, (unit * (inputs.T @ (probabilities - targets) + ridge * now)).ravel()

    options = {"maxiter": 100, "ftol": 1e-7}
    found = minimize(objective, (coefficients / unit).ravel(), jac=True, method="L-BFGS-B", options=options)
    return unit * found.x.reshape(unit.shape)


def _compete(logits, blocks):
    """Softmax in each block against "none" at logit 0 (a block of one: a sigmoid), and its log-normalisers."""
    top = np.maximum(logits.max(axis=1, keepdims=True), 0)
    odds = np.exp(logits - top)
    sums = odds @ blocks + np.exp(-top)
    return odds / (sums @ blocks.T), np.log(sums) + top


def _start(blended, blocks):
    """Logits (n, labels) against "none of the block", from which `_compete` gives the blend where it sums below 1."""
    blended = np.clip(blended.astype(np.float64), SMALLEST, 1 - SMALLEST)
    none = np.maximum(1 - blended @ blocks, SMALLEST)
    return np.log(blended) - np.log(none) @ blocks.T


def _blocks(targets, groups):
    """Blocks, sparse 0/1 (labels, blocks): a group of which no photo bears two labels; any other label is its own."""
    names = np.arange(targets.shape[1])
    for group in dict.fromkeys(groups if groups is not None else ()):
        inside = np.asarray(groups) == group
        if targets[:, inside].sum(axis=1).max() <= 1:
            names[inside] = names[inside][0]
    return _as_blocks(np.unique(names, return_inverse=True)[1])


def _as_blocks(block):
    """Sparse 0/1 (labels, blocks) from the block of each label, numbers (labels,) from 0."""
    from scipy.sparse import csr_array

    if not 0 <= block.min() <= block.max() < len(block):
        raise ValueError("there are more blocks than labels")
    return csr_array((block[:, np.newaxis] == np.arange(block.max() + 1)).astype(np.float64))


# A small convolution


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One network for each inner fold, held as arrays; what they predict is averaged."""

    weights: np.ndarray  # float64 (members,), of the blend
    networks: list  # each a list of arrays
    held: np.ndarray | None = None

    def predict(self, members):
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        inputs = _pictures(members, self.weights)
        network = _network(members.shape[0], members.shape[2])
        total = np.zeros(members.shape[1:], np.float32)
        for arrays in self.networks:
            network.set_weights(arrays)
            total += _run(network, inputs)
        return np.minimum(total / len(self.networks), 1)

    def arrays(self):
        """Give what was fitted: {name: array}."""
        return {"weights": self.weights} | {
            f"{number} {place}": array
            for number, network in enumerate(self.networks)
            for place, array in enumerate(network)
        }

    @classmethod
    def of(cls, *, weights, **arrays):
        """Rebuild what gave these arrays."""
        networks = {}
        for name, array in arrays.items():
            networks.setdefault(name.split()[0], []).append(array)
        return cls(weights, list(networks.values()))


def convolution(members, targets, *, seed, keys=None):
    """Fit a small convolution over members x labels on the other photos of each inner fold, which stops it early.

    After the second place of iMaterialist Fashion 2018: 8, 16, 32 and 64 filters over three members at a time, while
    there are members left, then dense layers over all labels. Beyond theirs the dense layer is smaller, for a tenth of
    their photos, and the output is a correction of the blend's logits that starts at 0.

    Returns:
        A `Convolution`.

    Raises:
        InputError: members that cannot be used (`fitness.check`); fewer photos than folds.
    """
    fold, targets = _folds(members, targets, seed, keys), np.asarray(targets, np.float32)
    weights = simplex.search(members, targets).weights
    inputs, networks, held = _pictures(members, weights), [], np.zeros(targets.shape, np.float32)
    for number, (inside, outside) in enumerate(fold):
        network = _network(members.shape[0], members.shape[2], seed=seed + number)
        rows, others = ([one[some] for one in inputs] for some in (inside, outside))
        _train(network, rows, targets[inside], others, targets[outside])
        held[outside] = _run(network, others)
        networks.append(network.get_weights())
    return Convolution(weights, networks, held)


def _pictures(members, weights):
    """Inputs of the network: logits float32 (n, members, labels, 1), and the blend's logits (n, labels)."""
    return [np.moveaxis(_logits(members), 0, 1)[..., np.newaxis], _logits(arithmetic(members, weights))]


def _network(members, labels, *, seed=None):
    """An untrained network that gives the blend; without a seed, one whose weights are about to be set."""
    load_keras()
    import keras

    if seed is not None:
        keras.utils.set_random_seed(seed)
    picture, blend = keras.Input((members, labels, 1)), keras.Input((labels,))
    x = keras.layers.Rescaling(0.1)(picture)
    for filters in FILTERS:
        x = keras.layers.Conv2D(filters, (min(3, x.shape[1]), 1), activation="relu")(x)
    x = keras.layers.Dense(UNITS, activation="relu")(keras.layers.Dropout(0.5)(keras.layers.Flatten()(x)))
    correction = keras.layers.Dense(labels, kernel_initializer="zeros")(keras.layers.Dropout(0.5)(x))
    return keras.Model([picture, blend], keras.activations.sigmoid(blend + correction))


def _train(network, inputs, targets, others, others_targets):
    import keras

    options = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0, "validation_batch_size": ROWS}
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    network.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-2), loss="binary_crossentropy", jit_compile=False)
    network.fit(inputs, targets, validation_data=(others, others_targets), callbacks=[stop], **options)


def _run(network, inputs):
    starts = range(0, len(inputs[0]), ROWS)
    blocks = [network([one[start : start + ROWS] for one in inputs], training=False) for start in starts]
    return np.concatenate([np.zeros((0, inputs[1].shape[1]), np.float32), *map(np.asarray, blocks)])


# Gradient boosting


class Trees(typing.NamedTuple):
    """The trees of one label: from the first node on, one of two others by an input's value; a leaf leads to itself."""

    start: np.ndarray  # float64 (), what stands before the first tree
    inputs: np.ndarray  # integers (trees, nodes)
    most: np.ndarray  # float64 (trees, nodes): values up to it go to the first of the two
    children: np.ndarray  # integers (trees, nodes, 2)
    values: np.ndarray  # float64 (trees, nodes)

    def stages(self, inputs):
        """What is predicted after each tree, float64 (trees, n), for inputs (n, any)."""
        rows, reached, stages = np.arange(len(inputs)), self.start, []
        for looked_at, most, children, values in zip(*self[1:], strict=True):
            node = np.zeros(len(inputs), np.int64)
            for _ in range(LEAVES - 1):
                node = children[node, (inputs[rows, looked_at[node]] > most[node]).astype(np.int64)]
            reached = reached + values[node]
            stages.append(reached)
        return stages


@dataclasses.dataclass(frozen=True)
class Boosting:
    """The blend, plus what trees expect it to be wrong by for each label that has enough positives."""

    weights: np.ndarray  # float64 (members,), of the blend
    centre: np.ndarray  # float32 (members * labels,)
    axes: np.ndarray  # float32 (members * labels, components)
    trees: dict  # {column of a label: its `Trees`}
    count: int  # trees of each that are used
    held: np.ndarray | None = None

    def predict(self, members):
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        return self._stages(members, [self.count])[0]

    def _stages(self, members, counts):
        """Probabilities float32 (counts, n, labels) after each of the numbers of trees."""
        blended = arithmetic(members, self.weights)
        stages = np.repeat(blended[np.newaxis], len(counts), axis=0)
        shared = (_columns(members) - self.centre) @ self.axes
        trees = self.trees if len(blended) else {}  # scikit-learn refuses no photos
        for column, model in trees.items():
            wrong_by = model.stages(_own(members, blended, shared, column))
            for stage, count in zip(stages, counts, strict=True):
                stage[:, column] += wrong_by[count - 1] if count else 0
        return np.clip(stages, 0, 1)

    def arrays(self):
        """Give what was fitted: {name: array}."""
        parts = {name: np.array([getattr(one, name) for one in self.trees.values()]) for name in Trees._fields}
        named = {name: np.asarray(getattr(self, name)) for name in ("weights", "centre", "axes", "count")}
        return {"columns": np.array([*self.trees], np.int64)} | named | parts

    @classmethod
    def of(cls, *, weights, centre, axes, count, columns, **parts):
        """Rebuild what gave these arrays."""
        trees = zip(*(parts[name] for name in Trees._fields), strict=True)
        found = {int(column): Trees(*own) for column, own in zip(columns, trees, strict=True)}
        return cls(weights, centre, axes, found, int(count))


def boosting(members, targets, *, seed, keys=None):
    """Boost each label with at least 20 positives; the rest keep the blend. Inner folds choose the number of trees.

    Inputs are the label's logits by all members, the blend's logit, and the first principal components of all logits of
    all members. The trees fit what the blend is wrong by, with squared loss: no trees are the blend.

    Returns:
        A `Boosting`.

    Raises:
        InputError: members that cannot be used (`fitness.check`); fewer photos than folds.
    """
    fold, targets = _folds(members, targets, seed, keys), np.asarray(targets)
    held = np.zeros((len(TREES), *targets.shape), np.float32)
    for inside, outside in fold:
        model = _boosted(members[:, inside], targets[inside], max(TREES), seed)
        held[:, outside] = model._stages(members[:, outside], TREES)
    best = int(np.argmax([highest_micro_f1(targets, one) for one in held]))
    return dataclasses.replace(_boosted(members, targets, TREES[best], seed), held=held[best])


def _boosted(members, targets, count, seed):
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    weights = simplex.search(members, targets).weights
    centre, axes = _principal(_columns(members), seed)
    axes = axes[:, :SUMMARY]
    blended, shared = arithmetic(members, weights), (_columns(members) - centre) @ axes
    columns = np.flatnonzero(np.count_nonzero(targets, axis=0) >= RARE).tolist() if count else []
    with threadpool_limits(1):  # a thread a label: a label is too little work to share
        trees = Parallel(n_jobs=-1, backend="threading")(
            delayed(_trees)(_own(members, blended, shared, one), targets[:, one] - blended[:, one], count, seed)
            for one in columns
        )
    return Boosting(weights, centre, axes, dict(zip(columns, trees, strict=True)), count)


def _trees(inputs, wrong_by, count, seed):
    # scikit-learn's, not LightGBM's: half as fast, but required already, and LightGBM 4.7 crashed when several threads
    # trained at once.
    from sklearn.ensemble import HistGradientBoostingRegressor

    options = {"max_leaf_nodes": LEAVES, "min_samples_leaf": 20, "l2_regularization": 10, "max_bins": 63}
    model = HistGradientBoostingRegressor(
        max_iter=count, learning_rate=0.05, early_stopping=False, random_state=seed, **options
    )
    return _as_arrays(model.fit(inputs, wrong_by))


def _as_arrays(model):
    """Take scikit-learn's trees apart, which it can only pickle: `Trees`, each tree padded to the same number of nodes.

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
    return Trees(np.float64(model._baseline_prediction.item()), inputs, most, children, values)


def _own(members, blended, shared, column):
    """Inputs (n, members + 1 + components) of one label's trees."""
    return np.column_stack([_logits(members[:, :, column]).T, _logits(blended[:, column]), shared])


# What all three share


KINDS = {kind.__name__: kind for kind in (Linear, Convolution, Boosting)}


def rebuilt(kind, arrays, members, labels):
    """Rebuild a second level from what its `arrays()` gave, and try it on one photo.

    Args:
        kind: one of KINDS.
        arrays: {name: array}.
        members, labels: numbers of them that it is to take.

    Raises:
        ValueError: the arrays are of no such second level.
    """
    try:
        found = KINDS[kind].of(**arrays)
        with np.errstate(all="ignore"):  # of damaged numbers
            probabilities = found.predict(np.full((members, 1, labels), 0.5, np.float32))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, InputError) as error:
        raise ValueError(f"its arrays are of no {kind} head") from error
    if probabilities.shape != (1, labels) or not np.isfinite(probabilities).all():
        raise ValueError(f"its arrays are of other members or labels than {members} and {labels}")
    return found


def _folds(members, targets, seed, keys=None):
    """The inner folds, (inside, outside) masks (n,) each; equal photos share one."""
    fitness.check(members, targets)
    place = places(len(targets), keys)
    count = place.max(initial=-1) + 1
    if count < 2:
        raise InputError(f"A second level needs at least 2 different photos, for two inner folds; found {count}.")
    number = np.random.default_rng(seed).permutation(count)[place] % FOLDS
    return [(number != one, number == one) for one in range(min(FOLDS, count))]


def _logits(probabilities):
    clipped = np.clip(probabilities, np.float32(SMALLEST), np.float32(1 - SMALLEST))
    return np.log(clipped / (1 - clipped))


def _columns(members):
    """Logits float32 (n, members * labels)."""
    return np.concatenate(_logits(members), axis=1)


def _principal(columns, seed):
    """Mean of the columns, and their first principal axes, scaled so that the first component has deviation 1.

    Columns that do not vary are left as they are.
    """
    from sklearn.utils.extmath import randomized_svd

    centre = columns.mean(axis=0)
    rank = min(RANK, *columns.shape)
    _, sizes, axes = randomized_svd(columns - centre, rank, random_state=seed)
    deviation = sizes[0] / np.sqrt(len(columns))
    return centre, (axes.T / (deviation if deviation > SMALLEST else 1)).astype(np.float32)


def _with_one(inputs):
    return np.hstack([inputs, np.ones((len(inputs), 1))])
