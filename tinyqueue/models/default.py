"""The model of an experiment that names none, which depends on what its environment shows."""

from __future__ import annotations

from dataclasses import replace

from tinyqueue.data.spaces import Space
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.validation import field_names, validated
from tinyqueue.models.image_leaves import has_image
from tinyqueue.models.multi_input import MultiInputConfig

FOR_IMAGES = "multi-input"
"""The model for observations with an image, which ``mlp`` would flatten."""


def with_default_model(experiment: Experiment, observations: Space) -> Experiment:
    """The experiment with the model that its observations need, if it names none.

    Settings without a name are kept where the model for images has them; one that only ``mlp``
    has, such as ``model.shared``, keeps ``mlp``.

    Args:
        experiment: The experiment.
        observations: The space of one frame of its environment.

    Raises:
        ConfigError: A setting has a value that this model does not accept.
    """
    config = _config(experiment)
    if config is None or not has_image(observations):
        return experiment
    return replace(experiment, model_name=FOR_IMAGES, model=config, unnamed_model=None)


def is_default_of(experiment: Experiment, kept: Experiment) -> bool:
    """Whether ``kept`` may be ``experiment`` after :func:`with_default_model`, by their models."""
    config = _config(experiment)
    return config is not None and (kept.model_name, kept.model) == (FOR_IMAGES, config)


def _config(experiment: Experiment) -> MultiInputConfig | None:
    given = experiment.unnamed_model
    if given is None or not set(given) <= set(field_names(MultiInputConfig)):
        return None
    return validated(MultiInputConfig, given, "model")
