"""Text for a terminal: what comes from data, files or users must neither be markup nor move the cursor."""

import unicodedata


def printable(text: str) -> str:
    """Returns a text with its control characters, but for line ends, as escapes."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf") else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
