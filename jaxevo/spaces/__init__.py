"""Search spaces."""

from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.space import LargeScale


def space_from(settings: Settings) -> LargeScale:
    """Returns the space that the settings describe."""
    return LargeScale(settings.initial_learning_rate, settings.mutations)
