"""Steps of gradient descent, many a call, compiled for Keras's backend: TensorFlow or JAX; PyTorch runs them plainly.

Measured on two cores with AVX-512 (Sapphire Rapids without AMX), the mlp of 2.8 million parameters, rows a second of
processor time: Keras's `fit` on an array, batch 128 and Nadam, 3,700; this loop without XLA 4,100; AdamW at batch 1,024
without XLA 7,900, with it 9,300 (2,048: 9,400), nine tenths of what the matrix product allows. bfloat16 had 0.9 of
float32's rate there and float16 none to speak of; on Zen 5 bfloat16 won.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np

from mlob.errors import InputError
from mlob.models.losses import Function
from mlob.training import devices

Steps: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
Tensor: TypeAlias = Any  # a backend's own


def compiled(model: keras.Model, optimizer: keras.Optimizer, loss: Function, *, jit: bool) -> Steps:
    """Compile steps that change the model's and the optimizer's variables.

    Args:
        model: from features (batch, ...) to logits (batch, labels), or (batch, branches, labels).
        optimizer: built for the model here.
        loss: function from float32 targets and logits to losses (batch,); their mean is what goes down.
        jit: whether TensorFlow compiles with XLA, which costs seconds first; JAX always does.

    Returns:
        A function from features (steps, batch, ...) and targets (steps, batch, labels) to the loss of each step,
        float32 (steps,).

    Raises:
        InputError: another backend.
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        raise InputError(f"Heads are trained with KERAS_BACKEND=tensorflow, jax or torch, found {backend}.")
    optimizer.build(model.trainable_variables)
    if backend == "tensorflow":
        return _tensorflow(model, optimizer, loss, jit)
    return (_jax if backend == "jax" else _torch)(model, optimizer, loss)


def _tensorflow(model: keras.Model, optimizer: keras.Optimizer, loss: Function, jit: bool) -> Steps:
    import tensorflow

    @tensorflow.function(jit_compile=jit)
    def step(features, targets):
        with tensorflow.GradientTape() as tape:
            value = _mean_loss(loss, targets, model(features, training=True))
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    @tensorflow.function(reduce_retracing=True)
    def steps(features, targets):
        losses = tensorflow.TensorArray("float32", len(features))
        for number in tensorflow.range(len(features)):
            losses = losses.write(number, step(features[number], targets[number]))
        return losses.stack()

    return lambda features, targets: steps(features, targets).numpy()


def _jax(model: keras.Model, optimizer: keras.Optimizer, loss: Function) -> Steps:
    import jax

    def value_of(trainable, others, features, targets):
        logits, others = model.stateless_call(trainable, others, features, training=True)
        return _mean_loss(loss, targets, logits), others

    def step(state, batch):
        trainable, others, slots = state
        (value, others), gradients = jax.value_and_grad(value_of, has_aux=True)(trainable, others, *batch)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, others, slots), value

    @functools.partial(jax.jit, donate_argnums=0)
    def steps(state, *batches):
        return jax.lax.scan(step, state, batches)

    groups = model.trainable_variables, model.non_trainable_variables, optimizer.variables

    def run(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
        values = tuple([variable.value for variable in group] for group in groups)
        state, losses = steps(values, devices.placed(features), devices.placed(targets))
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return np.asarray(losses)

    return run


def _torch(model: keras.Model, optimizer: keras.Optimizer, loss: Function) -> Steps:
    import torch

    def step(features, targets):
        model.zero_grad()
        value = _mean_loss(loss, targets, model(features, training=True))
        value.backward()
        gradients = [variable.value.grad for variable in model.trainable_variables]
        with torch.no_grad():
            optimizer.apply(gradients, model.trainable_variables)
        return value.detach()

    def run(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
        batches = zip(keras.ops.convert_to_tensor(features), keras.ops.convert_to_tensor(targets), strict=True)
        return keras.ops.convert_to_numpy(torch.stack([step(*batch) for batch in batches]))

    return run


def _mean_loss(loss: Function, targets: Tensor, logits: Tensor) -> Tensor:
    targets = keras.ops.cast(targets, "float32")
    return keras.ops.mean(loss(targets[:, None] if len(logits.shape) == 3 else targets, logits))
