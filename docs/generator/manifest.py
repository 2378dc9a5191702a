"""The page of manifest.json: the structs of cnnsvc/manifest.py with the words that stand under their fields."""

from typing import Final

import msgspec

from cnnsvc import manifest
from docs.generator.markdown import joined, text
from docs.generator.schemas import field_docs, section

_STRUCTS: Final = (
    manifest.Manifest,
    manifest.ImageShape,
    manifest.Network,
    manifest.Artifact,
    manifest.Baseline,
    manifest.HonestScores,
)


def page() -> str:
    _, components = msgspec.json.schema_components(_STRUCTS, ref_template="#/{name}")
    docs = field_docs(manifest)
    return joined(
        f"# {manifest.MANIFEST_NAME}",
        text(
            f"The contract of a bundle, format {manifest.MANIFEST_FORMAT}. Unknown fields are ignored; an unknown"
            " format, a field that is missing or of another type, and two classes of one name refuse the bundle."
        ),
        *(section(one.__name__, components[one.__name__], docs[one.__name__], level=2) for one in _STRUCTS),
    )
