"""The panel: exploring a prompt without code, and leaving with code."""

from __future__ import annotations

from qwen_widgets.panel.panel import Panel

__all__ = ["Panel"]
