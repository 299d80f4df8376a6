"""qw.enhance and its awaitable twin: one prompt, reworded by the Prompt Enhancer."""

from __future__ import annotations

from qwen_widgets.core.enhancer import DEFAULT_STYLE
from qwen_widgets.core.enhancing import Enhanced
from qwen_widgets.grid.show import say
from qwen_widgets.portal import portal
from qwen_widgets.studio import studio


def enhance(
    prompt: str, style: str = DEFAULT_STYLE, *, max_cost: float | None = None, retry: bool = False
) -> Enhanced:
    """Have a prompt enhanced, and block until it is. The same prompt and style again costs nothing.

    Parameters
    ----------
    prompt : str
        Taken as it is: braces and flags have no meaning here.
    style : str
        default, artistic, photographic, technical, anime or realistic.
    max_cost : float, optional
        US dollars that it may cost, in place of the setting.
    retry : bool
        Buy it again where it failed for good, or where it isn't known what became of it. A text that is here stays.

    Returns
    -------
    Enhanced
        With `text`, `original`, `style`, `cost` (US dollars) and `cached`; ``str()`` of it is the text.

    Raises
    ------
    InputError, BudgetError, SettingsError, KeyRefusedError, LedgerError
        Before anything was bought.
    QwenError
        Why there is no text, with `.paid` and `.next_step`.
    KeyboardInterrupt
        What is paid for by then still arrives: the same call has it for nothing.
    """
    here = studio()
    if line := here.restored_line():
        say(line)
    return portal.run(here.aenhance(prompt, style, max_cost=max_cost, retry=retry))


async def aenhance(
    prompt: str, style: str = DEFAULT_STYLE, *, max_cost: float | None = None, retry: bool = False
) -> Enhanced:
    """Have a prompt enhanced, awaiting; arguments, result and errors as in `enhance`."""
    here = studio()
    if line := here.restored_line():
        say(line)
    return await here.aenhance(prompt, style, max_cost=max_cost, retry=retry)
