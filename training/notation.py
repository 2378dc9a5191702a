"""Reads the article's notation into an architecture; training/architecture.py lists the signs and prints them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cnnsvc.errors import InvalidError, NotationError
from training.architecture import (
    Architecture,
    Convolution,
    ConvolutionalLayer,
    Dense,
    DenseLayer,
    Dropout,
    Pooling,
    check_num_layers,
    check_order,
    shows_group_end,
)

MAX_TEXT_LENGTH: Final = 4_000
"""Holds every architecture of MAX_LAYERS layers, and keeps int() below Python's limit of 4,300 digits."""

_TOKEN: Final = re.compile(r"[CD]:|\||[^\s|]+")
_WIDTH: Final = re.compile(r"([0-9]+)(.*)", re.DOTALL)
_CONVOLUTION_SUFFIX: Final = re.compile(r"n|v|k[0-9]+")
_DENSE_SUFFIX: Final = re.compile(r"n|R|L2")
_POOLING: Final = re.compile(r"p([0-9]+)")
_FRACTION: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_NUMBER: Final = re.compile(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e-?[0-9]+)?)(%?)")
_VULGAR_FRACTIONS: Final = {"¼": 0.25, "½": 0.5, "¾": 0.75, "⅕": 0.2}


@dataclass(frozen=True)
class _Token:
    text: str
    column: int

    def error(self, message: str) -> NotationError:
        shown = self.text if len(self.text) <= 20 else self.text[:20] + "…"
        return NotationError(self.column, f"{shown!r} {message}")


def parse(text: str) -> Architecture:
    """The architecture written as `C: … D: …`, on one line or two; D may be empty or absent.

    Raises NotationError with the column, counted from 1 over the whole text.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise NotationError(MAX_TEXT_LENGTH + 1, f"the text has {len(text)} characters; allowed are {MAX_TEXT_LENGTH}")
    tokens = [_Token(match.group(), match.start() + 1) for match in _TOKEN.finditer(text)]
    if not tokens:
        raise NotationError(1, "the text is empty; expected 'C:' and the convolutions, such as C: 16n 16n d¼ D: 16R")
    if tokens[0].text != "C:":
        raise tokens[0].error("comes first; expected 'C:' and the convolutions, such as C: 16n 16n d¼ D: 16R")
    convolutional_tokens, dense_tokens = _split_lines(tokens[1:])
    if not convolutional_tokens:
        raise NotationError(tokens[0].column + len("C:"), "C has no convolution; expected a width such as 32 or 32n")
    convolutional = _read_convolutional(convolutional_tokens)
    return Architecture(convolutional, _read_dense(dense_tokens, len(convolutional)))


def _split_lines(tokens: list[_Token]) -> tuple[list[_Token], list[_Token]]:
    headers = [index for index, token in enumerate(tokens) if token.text in ("C:", "D:")]
    if not headers:
        return tokens, []
    first, *others = headers
    if tokens[first].text == "C:":
        raise tokens[first].error("stands twice; expected one C: and then one D:")
    if others:
        raise tokens[others[0]].error("follows D:; expected nothing but dense layers and dropouts after it")
    return tokens[:first], tokens[first + 1 :]


def _read_convolutional(tokens: list[_Token]) -> tuple[ConvolutionalLayer, ...]:
    layers: list[ConvolutionalLayer] = []
    for token in tokens:
        with _errors_at(token):
            layer = _convolutional_layer(token)
            if layers and isinstance(before := layers[-1], Convolution) and shows_group_end(before, layer):
                layers.append(Pooling())
            check_order(layers[-1] if layers else None, layer)
            layers.append(layer)
            # The pooling that closes the last group counts too.
            check_num_layers(len(layers) + isinstance(layer, Convolution))
    if isinstance(layers[-1], Convolution):
        layers.append(Pooling())
    return tuple(layers)


def _read_dense(tokens: list[_Token], num_layers_before: int) -> tuple[DenseLayer, ...]:
    layers: list[DenseLayer] = []
    for token in tokens:
        with _errors_at(token):
            layer = _dense_layer(token)
            check_order(layers[-1] if layers else None, layer)
            layers.append(layer)
            check_num_layers(num_layers_before + len(layers))
    return tuple(layers)


@contextmanager
def _errors_at(token: _Token) -> Iterator[None]:
    try:
        yield
    except NotationError:
        raise
    except InvalidError as error:
        raise NotationError(token.column, str(error)) from None


def _convolutional_layer(token: _Token) -> ConvolutionalLayer:
    if token.text == "|":
        return Pooling()
    if match := _POOLING.fullmatch(token.text):
        return Pooling(int(match[1]))
    if token.text.startswith("d"):
        return _dropout(token)
    filters, suffixes = _width_and_suffixes(token, _CONVOLUTION_SUFFIX, "expected a width such as 32 or 32n")
    kernels = [int(suffix[1:]) for suffix in suffixes if suffix.startswith("k")]
    return Convolution(filters, kernels[0] if kernels else 3, "n" in suffixes, "v" not in suffixes)


def _dense_layer(token: _Token) -> DenseLayer:
    if token.text.startswith("d"):
        return _dropout(token)
    nodes, suffixes = _width_and_suffixes(token, _DENSE_SUFFIX, "expected a number of nodes such as 16 or 16R")
    return Dense(nodes, "R" in suffixes, "L2" in suffixes, "n" in suffixes)


def _width_and_suffixes(token: _Token, suffix: re.Pattern[str], expected: str) -> tuple[int, list[str]]:
    """`32k5n` as 32 and [k5, n]; suffixes may stand in any order, each once."""
    match = _WIDTH.fullmatch(token.text)
    if not match or suffix.sub("", match[2]):
        raise token.error(f"is not a layer; {expected}")
    suffixes = suffix.findall(match[2])
    signs = [found[0] for found in suffixes]
    if len(set(signs)) < len(signs):
        raise token.error("has a sign twice; expected each of them once")
    return int(match[1]), suffixes


def _dropout(token: _Token) -> Dropout:
    written = token.text[1:]
    if written in _VULGAR_FRACTIONS:
        return Dropout(_VULGAR_FRACTIONS[written])
    if (match := _FRACTION.fullmatch(written)) and int(match[2]):
        return Dropout(int(match[1]) / int(match[2]))
    if match := _NUMBER.fullmatch(written):
        return Dropout(float(match[1]) / 100 if match[2] else float(match[1]))
    raise token.error("is not a dropout; expected a share such as d¼, d0.25, d25% or d1/4")
