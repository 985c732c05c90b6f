"""Text for a terminal: what comes from data, files or users must neither be markup nor move the cursor."""

import unicodedata


def printable(text: str) -> str:
    """Returns a text with its control characters, but for line ends, and bytes that are no text, as escapes."""
    return "".join(_escape(character) if _is_foreign(character) else character for character in text)


def _is_foreign(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
