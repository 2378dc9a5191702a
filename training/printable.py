"""Somebody else's text, such as a file's name, as it may stand on a page or a terminal."""


def printable(text: str) -> str:
    """Control characters, direction overrides and broken bytes show as escapes instead of acting."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
