"""The encoded image of a tf.Example, the feature that the signature `classify` reads."""

from itertools import islice
from typing import Final

from google.protobuf.message import DecodeError

from cnnsvc.errors import InvalidError, TooLargeError
from cnnsvc.pb import tensorflow_pb2 as tf
from cnnsvc.pb import tfs_pb2 as pb

FEATURE: Final = "image/encoded"
FEATURE_NAMES: Final = (FEATURE, "image")
"""The first is the exported signature's own."""


def image_of_example(features: "tf.Features", context: "tf.Features | None" = None) -> bytes:
    """An example's own features go before those of the context. Raises InvalidError."""
    for owner in (features, context):
        for name in FEATURE_NAMES if owner is not None else ():
            assert owner is not None
            if name in owner.feature:
                return _image(name, owner.feature[name])
    came = ", ".join(sorted(name[:40] for name in islice(features.feature, 8))) or "none"
    raise InvalidError(f"an example has the features {came}; expected {FEATURE}, bytes of one encoded image")


def images_of_input(given: "pb.Input", max_images: int) -> list[bytes]:
    """Raises InvalidError, naming the example by its place, and TooLargeError for more of them than `max_images`."""
    kind = given.WhichOneof("kind")
    context = None
    if kind == "example_list_with_context":
        listed = given.example_list_with_context.examples
        context = given.example_list_with_context.context.features
    else:
        listed = given.example_list.examples
    if not listed:
        raise InvalidError("Input is empty.")
    if len(listed) > max_images:
        raise TooLargeError(f"the call has {len(listed)} images; allowed are {max_images}")
    return [_placed(place, one.features, context) for place, one in enumerate(listed, 1)]


def image_of_serialized(serialized: bytes) -> bytes:
    """Raises InvalidError."""
    try:
        example = tf.Example.FromString(serialized)
    except DecodeError:
        raise InvalidError(f"{len(serialized)} bytes came that are not a serialized tf.Example") from None
    return image_of_example(example.features)


def _placed(place: int, features: "tf.Features", context: "tf.Features | None") -> bytes:
    try:
        return image_of_example(features, context)
    except InvalidError as error:
        raise InvalidError(f"example {place}: {error}") from None


def _image(name: str, feature: "tf.Feature") -> bytes:
    kind = feature.WhichOneof("kind")
    values = feature.bytes_list.value
    if kind != "bytes_list" or len(values) != 1:
        came = f"{kind or 'no list'} of {len(getattr(feature, kind).value) if kind else 0}"
        raise InvalidError(f"feature {name} is a {came}; expected a bytes_list of 1, an encoded image")
    return values[0]
