"""multipart/form-data bodies: every file is an image, whatever its field's name; text fields are parameters."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from cnnsvc.errors import InvalidError, TooLargeError, UnsupportedError
from service.frontends.http_parameters import CLASSIFY_PARAMETERS, add_parameter, shown

if TYPE_CHECKING:  # the package defines it for type checkers only
    from python_multipart.multipart import MultipartCallbacks

_MAX_TEXT_BYTES: Final = 1024
_PLAIN_ENCODINGS: Final = (b"", b"binary", b"7bit", b"8bit")


def read_multipart(
    content_type: bytes,
    body: bytes,
    parameters: dict[str, str],
    max_images: int,
    allowed: Collection[str] = CLASSIFY_PARAMETERS,
) -> list[bytes]:
    """The files of a form, in its order; its text fields, of which some are `allowed`, are added to `parameters`.

    Raises InvalidError for a malformed form, TooLargeError above `max_images`.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise InvalidError(f"content type {shown(content_type.decode('latin-1'))} names no boundary")
    form = _Form(parameters, max_images, allowed)
    try:
        MultipartParser(boundary, form.callbacks()).write(body)
    except FormParserError as error:
        raise InvalidError(f"the multipart body is malformed: {error}") from None
    if not form.is_complete:
        raise InvalidError("the multipart body ends before its closing boundary")
    if not form.images:
        raise InvalidError("the multipart body has no file; expected at least one image")
    return form.images


class _Form:
    """Collects one form from the parser's callbacks."""

    def __init__(self, parameters: dict[str, str], max_images: int, allowed: Collection[str]) -> None:
        self.images: list[bytes] = []
        self.is_complete = False
        self._parameters = parameters
        self._max_images = max_images
        self._allowed = allowed
        self._begin_part()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header_name = self._header_value = b""
        self._content: list[bytes] = []

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end_part(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options or self._headers.get(b"content-type", b"").lower().startswith(b"image/"):
            self._add_image(name)
        elif name in self._allowed:
            self._add_parameter(name)
        else:
            raise InvalidError(
                f"form field {shown(name)} is neither a file (it has no filename) nor one of {', '.join(self._allowed)}"
            )

    def _add_image(self, name: str) -> None:
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise UnsupportedError(
                f"form field {shown(name)} has transfer encoding {shown(encoding.decode('latin-1'))}; allowed is binary"
            )
        if len(self.images) == self._max_images:
            raise TooLargeError(f"the form has more images than the {self._max_images} allowed in a call")
        self.images.append(b"".join(self._content))

    def _add_parameter(self, name: str) -> None:
        content = b"".join(self._content)
        if len(content) > _MAX_TEXT_BYTES:
            raise InvalidError(f"form field {name} has {len(content)} bytes; allowed are {_MAX_TEXT_BYTES}")
        add_parameter(self._parameters, name, content.decode("utf-8", "replace"))

    def _end(self) -> None:
        self.is_complete = True
