"""TensorFlow's tensors to images, and scores to tensors. A tensor's shape is judged before anything is made of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cnnsvc.errors import InvalidError, TooLargeError
from cnnsvc.manifest import ImageShape
from cnnsvc.pb import tensorflow_pb2 as tf
from cnnsvc.pixels import Pixels
from service.batcher import Image
from service.frontends.pixel_numbers import whole_pixels
from service.frontends.tfs_examples import image_of_serialized
from service.frontends.tfs_signatures import Signature, describe_input, input_dims, shape_of

_NUMPY: Final[dict[int, type[np.generic]]] = {tf.DT_UINT8: np.uint8, tf.DT_FLOAT: np.float32}
_MOST_SHOWN_DIMS: Final = 8
_MOST_SHOWN_NAMES: Final = 8


def read_inputs(
    signature: Signature, inputs: "Mapping[str, tf.TensorProto]", image: ImageShape, max_images: int
) -> list[Image]:
    """The images of a Predict call. Raises InvalidError, and TooLargeError for more images than `max_images`."""
    name = the_input(signature, list(inputs), image)
    tensor = inputs[name]
    taken = (tf.DT_STRING,) if signature.takes_examples else (tf.DT_STRING, tf.DT_UINT8, tf.DT_FLOAT)
    if tensor.dtype not in taken:
        raise InvalidError(
            f"input {name} has type {_type_name(tensor.dtype)}; signature {signature.name} takes"
            f" {describe_input(signature, image)}"
        )
    _check_shape(name, tensor, image, max_images)
    if tensor.dtype != tf.DT_STRING:
        return list(_pixels(tensor, name))
    strings = _strings(tensor, name)
    return list(map(image_of_serialized, strings)) if signature.takes_examples else list(strings)


def the_input(signature: Signature, names: Sequence[str], image: ImageShape) -> str:
    """The name of the one input that a call has. Raises InvalidError."""
    if len(names) != 1 or names[0] not in signature.input_names:
        came = ", ".join(sorted(name[:80] for name in names[:_MOST_SHOWN_NAMES])) or "none"
        raise InvalidError(
            f"inputs do not match signature {signature.name}: {came} came; expected one,"
            f" {describe_input(signature, image)}"
        )
    return names[0]


def float_tensor(rows: Sequence[Sequence[float]], num_columns: int) -> "tf.TensorProto":
    """In float_val, as TensorFlow Serving answers: its clients read that field."""
    values = [value for row in rows for value in row]
    return tf.TensorProto(dtype=tf.DT_FLOAT, tensor_shape=shape_of([len(rows), num_columns]), float_val=values)


def bool_tensor(values: Sequence[bool]) -> "tf.TensorProto":
    return tf.TensorProto(dtype=tf.DT_BOOL, tensor_shape=shape_of([len(values)]), bool_val=values)


def string_tensor(rows: Sequence[Sequence[str]], num_columns: int) -> "tf.TensorProto":
    values = [value.encode() for row in rows for value in row]
    return tf.TensorProto(dtype=tf.DT_STRING, tensor_shape=shape_of([len(rows), num_columns]), string_val=values)


def check_number(num_images: int, max_images: int) -> None:
    """Raises InvalidError for none, TooLargeError for too many."""
    if not num_images:
        raise InvalidError("the call has no image; expected at least one")
    if num_images > max_images:
        raise TooLargeError(f"the call has {num_images} images; allowed are {max_images}")


def _check_shape(name: str, tensor: "tf.TensorProto", image: ImageShape, max_images: int) -> None:
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    expected = input_dims(tensor.dtype, image)
    if tensor.tensor_shape.unknown_rank or len(dims) != len(expected) or dims[1:] != expected[1:] or dims[0] < 0:
        came = "unknown rank" if tensor.tensor_shape.unknown_rank else f"shape {_shown_dims(dims)}"
        raise InvalidError(
            f"input {name} of type {_type_name(tensor.dtype)} has {came}; expected {expected}, -1 being any number"
        )
    check_number(dims[0], max_images)


def _strings(tensor: "tf.TensorProto", name: str) -> list[bytes]:
    if tensor.tensor_content:
        raise InvalidError(f"input {name} has strings in tensor_content; expected them in string_val")
    num_strings = tensor.tensor_shape.dim[0].size
    _check_values(name, len(tensor.string_val), num_strings)
    strings = list(tensor.string_val)  # the message copies a string each time that it is asked for it
    return strings + [strings[-1] if strings else b""] * (num_strings - len(strings))


def _pixels(tensor: "tf.TensorProto", name: str) -> Pixels:
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    dtype = np.dtype(_NUMPY[tensor.dtype])
    num_values = int(np.prod(dims))
    content = tensor.tensor_content
    if content:
        if len(content) != num_values * dtype.itemsize:
            raise InvalidError(
                f"input {name} has {len(content)} bytes of tensor_content; expected {num_values * dtype.itemsize} for"
                f" {_type_name(tensor.dtype)} {dims}"
            )
        return whole_pixels(np.frombuffer(content, dtype.newbyteorder("<")).reshape(dims))
    values = tensor.int_val if tensor.dtype == tf.DT_UINT8 else tensor.float_val
    _check_values(name, len(values), num_values)
    # Wider than uint8: what does not fit is for pixels_of to judge.
    numbers = np.fromiter(values, np.int32 if tensor.dtype == tf.DT_UINT8 else np.float32, len(values))
    pixels = whole_pixels(numbers)  # before it is filled up: a few bytes may say many images
    if len(pixels) < num_values:
        filled = np.full(num_values, pixels[-1] if len(pixels) else 0, np.uint8)
        filled[: len(pixels)] = pixels
        pixels = filled
    return pixels.reshape(dims)


def _check_values(name: str, num_given: int, num_expected: int) -> None:
    """Fewer are filled up with the last one, none at all with zeros or empty strings, as TensorFlow does it."""
    if num_given > num_expected:
        raise InvalidError(f"input {name} has {num_given} values; its shape holds {num_expected}")


def _type_name(dtype: int) -> str:
    return tf.DataType.Name(dtype) if dtype in tf.DataType.values() else f"{dtype}"


def _shown_dims(dims: list[int]) -> str:
    return str(dims) if len(dims) <= _MOST_SHOWN_DIMS else f"of {len(dims)} dimensions"
