"""`make docs`: writes docs/reference/ from the sources."""

from docs.generator.pages import REFERENCE, reference_pages


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    pages = reference_pages()
    for stale in {path.name for path in REFERENCE.glob("*.md")} - set(pages):
        (REFERENCE / stale).unlink()
    for name, text in pages.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
