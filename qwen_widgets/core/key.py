"""ApiKey: the one object that holds the API key, without repr, str or pickle."""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn

from qwen_widgets.core.errors import SettingsError


class ApiKey:
    """An API key that can be used and compared, and can't be shown.

    Parameters
    ----------
    text : str
        The key; blanks and line ends around it are dropped.

    Raises
    ------
    SettingsError
        It is empty, or a character inside is not printable ASCII. The message gives the place, never the text.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        fault = _fault(text)
        if fault:
            # A verbose traceback shows what the names of a frame stand for; the caller has to look to its own.
            del text
            raise SettingsError(fault)
        self.__text = str.__str__(text).strip()

    def authorization(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self.__text}"

    def inside(self, text: str) -> bool:
        """Whether a text contains the key."""
        return self.__text in text

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell this key from another one; nothing of it can be had from them."""
        return hashlib.sha256(b"qwen_widgets:" + self.__text.encode()).hexdigest()[:8]

    def __repr__(self) -> str:
        return "ApiKey(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and hmac.compare_digest(self.__text, other.__text)

    def __hash__(self) -> int:
        return hash((ApiKey, self.__text))

    def __getstate__(self) -> NoReturn:
        # Every protocol of pickle asks for it, and so does copy.
        raise TypeError("an ApiKey can't be pickled or copied")


def _fault(text: str) -> str:
    """Say why a text can't be a key, never what it is; empty where it can."""
    if not issubclass(type(text), str):
        return "API key: it is not a text."
    text = str.__str__(text).strip()
    if not text:
        return "API key: it is empty."
    for place, character in enumerate(text, 1):
        if not "!" <= character <= "~":
            return (
                f"API key: character {place} of {len(text)} can't be part of a key (a blank, a line end "
                "or a letter outside ASCII, as pasting leaves them); copy it again."
            )
    return ""
