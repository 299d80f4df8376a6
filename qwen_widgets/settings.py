"""Settings: what the studio works with, found in its own settings, the environment, and the system's keyring."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from qwen_widgets.core import reading
from qwen_widgets.core.errors import KeyRefusedError, SettingsError
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.paths import expanded
from qwen_widgets.core.wavespeed import DEFAULT_BASE_URL, check_base_url
from qwen_widgets.grid.grid import Provider


def _load_keyring() -> Any:
    """Import the extra when the package is loaded; None where it is missing or broken."""
    try:
        return importlib.import_module("keyring")
    except Exception:  # noqa: BLE001  (whatever is wrong with it is no reason not to load)
        return None


# Here and not where it is used: a file keyring.py in the notebook's folder must not be taken for it later.
keyring: Any = _load_keyring()
#: Service and name under which the system's keyring holds the key.
_KEYRING = ("qwen_widgets", "wavespeed")
#: The ledger's name for the embedded service.
OFFLINE = "offline"


def _at_once(name: str, value: object) -> int:
    return reading.whole(name, value, least=1, most=64)


def _seconds(name: str, value: object) -> float:
    return reading.number(name, value, "give seconds, from 0 to 600", least=0, most=600)


#: How each setting is read.
_READERS: Mapping[str, Callable[[str, object], object]] = {
    "provider": reading.maybe(reading.text),
    "base_url": reading.maybe(reading.text),
    "home": reading.maybe(reading.path),
    "at_once": _at_once,
    "max_cost": reading.dollars,
    "offline_seconds": _seconds,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the studio works with. None means: as the environment says, or the default.

    Attributes
    ----------
    provider : {"auto", "wavespeed", "offline"} or None
        `auto` is WaveSpeed where a key is found and the embedded service where none is.
    base_url : str or None
        Another address of the API.
    home : Path or None
        Folder of the ledger and the pictures.
    at_once : int
        Predictions under way together, 1 to 64.
    max_cost : float
        US dollars that one run may cost.
    offline_seconds : float
        What a prediction of the embedded service takes, at most 600.

    Raises
    ------
    InputError
        One of them can't be used.
    """

    provider: str | None = None
    base_url: str | None = None
    home: Path | None = None
    at_once: int = 8
    max_cost: float = 1.0
    offline_seconds: float = 1.2

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            object.__setattr__(self, name, read(name, getattr(self, name)))

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with some others."""
        for name in changes:
            if name not in _READERS:
                reading.unknown_argument("configure", name, _READERS)
        return replace(self, **changes)


class Sources:
    """Where settings and the key come from, looked up when they are needed and not before."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._login: ApiKey | None = None

    def login(self, text: str) -> None:
        """Take an API key, for this process only and in memory only.

        Raises
        ------
        SettingsError
            It can't be a key.
        """
        try:
            self._login = ApiKey(text)
        finally:
            # A verbose traceback shows what the names of a frame stand for.
            del text

    def find_key(self) -> tuple[ApiKey | None, str]:
        """Return the key and where it was found; read when it is needed, not before."""
        if self._login is not None:
            return self._login, "%qwen login"
        # Nothing that is named in here may stand for the key, `os.environ` least: a verbose traceback shows
        # the value of every name and attribute of its lines.
        if os.getenv("WAVESPEED_API_KEY", "").strip():
            return ApiKey(os.getenv("WAVESPEED_API_KEY", "")), "WAVESPEED_API_KEY"
        kept = _from_keyring()
        return (kept, "keyring") if kept is not None else (None, "")

    @property
    def home(self) -> Path:
        """The folder of the ledger and the pictures."""
        text = os.getenv("QWEN_WIDGETS_HOME", "")
        if self.settings.home is not None:
            return expanded(self.settings.home, f"home {str(self.settings.home)!r}").absolute()
        if text:
            return expanded(text, f"QWEN_WIDGETS_HOME {text!r}").absolute()
        return Path(platformdirs.user_data_dir("qwen_widgets", appauthor=False))

    @property
    def base_url(self) -> str:
        """The address of the API."""
        return self.settings.base_url or os.getenv("QWEN_WIDGETS_BASE_URL") or DEFAULT_BASE_URL

    def provider(self) -> Provider:
        """Return who would make a picture now.

        Raises
        ------
        SettingsError
            The choice is none of the three, or WaveSpeed was chosen and there is no key.
        """
        choice = self.settings.provider or os.getenv("QWEN_WIDGETS_PROVIDER") or "auto"
        if choice not in ("auto", "wavespeed", "offline"):
            raise SettingsError(f"provider {choice!r}: it is auto, wavespeed or offline.")
        key, _ = self.find_key()
        if choice == "wavespeed" and key is None:
            raise KeyRefusedError(
                "there is no API key for wavespeed.",
                next_step="Set WAVESPEED_API_KEY or use %qwen login; without a key, choose the provider offline.",
            )
        if choice == "offline" or key is None:
            return Provider(OFFLINE, "offline preview", offline=True)
        url = check_base_url(self.base_url)
        origin = str(url.copy_with(path="/")).rstrip("/")
        hosted = f".{url.host}".endswith(".wavespeed.ai")
        title = "WaveSpeedAI" if hosted else origin.split("://")[1]
        return Provider(origin, title, offline=False)

    def save_key(self, text: str) -> None:
        """Keep an API key in the system's keyring.

        Raises
        ------
        SettingsError
            It can't be a key, or there is no keyring.
        """
        self.login(text)
        _from_keyring.cache_clear()
        try:
            keyring.set_password(*_KEYRING, text.strip())
        except Exception:  # noqa: BLE001  (each system's keyring has errors of its own)
            kept = False
        else:
            kept = True
        finally:
            del text
        if not kept:
            raise SettingsError(
                "the system's keyring can't be used; pip install \"qwen-widgets[keyring]\", or set WAVESPEED_API_KEY."
            )


@lru_cache(maxsize=1)  # a keyring can be slow, and can ask its user
def _from_keyring() -> ApiKey | None:
    """Return the key that the system's keyring holds, where there is one; asking is left to the extra's users."""
    if keyring is None:
        return None
    try:
        return ApiKey(keyring.get_password(*_KEYRING) or "")
    except Exception:  # noqa: BLE001  (each system's keyring has errors of its own; none may stop a preview)
        return None
