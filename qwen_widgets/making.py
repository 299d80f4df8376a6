"""qw.generate and its awaitable twin: pictures of prompts × seeds."""

from __future__ import annotations

from typing import Unpack

from qwen_widgets.core.arguments import PromptsLike
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.show import say
from qwen_widgets.options import GenerateOptions
from qwen_widgets.studio import studio


def generate(prompts: PromptsLike, **options: Unpack[GenerateOptions]) -> Grid:
    """Make pictures of prompts × seeds and block until they are here.

    In a notebook the grid is shown and fills as they arrive; in a plain script nothing is shown.

    Parameters
    ----------
    prompts : str or iterable of str
        In the syntax of the cell: a blank line starts the next prompt, ``{a|b}`` makes variants. A list, an array, a
        Series (a column) of texts.
    seeds : str, int or iterable of int, optional
        ``"1-4"``, ``7``, ``range(4)``; 0 to 2147483647. Without seeds and count, one is drawn.
    count : int, optional
        So many drawn seeds.
    sizes : str, (width, height) or a sequence of these, optional
        ``"16:9"``, ``"1280x720"``; pixels. Default 1:1.
    models : str or sequence of str, optional
        Short names or full ids. Default ``qwen-image-2.0``, and ``qwen-image-2.0-edit`` where images are given.
    images : object or list of object, optional
        What the pictures are made of: a path, an https address, a PIL image, an array, a cell of a grid.
    fit : bool, optional
        Scale an input picture that is too small or too large for the model.
    output_format : str, optional
        ``png``, ``jpeg`` or ``webp``, for models that have the choice.
    inputs : mapping, optional
        Further inputs of models that are not built in, by name; `%qwen models` knows them after a refresh.
    lines : bool, optional
        Every line is a prompt.
    variables : mapping, optional
        Values for ``{{name}}``.
    fresh : bool, optional
        Buy anew what is here already.
    max_cost : float, optional
        US dollars that this run may cost, in place of the setting.
    title : str, optional
        Heading of the grid.
    enhance : str or bool, optional
        Have the prompts enhanced first: True or a style (``"anime"``) puts the enhanced ones in place of the
        originals, ``"both"`` or ``"both:anime"`` below them, over the same seeds.

    Returns
    -------
    Grid

    Raises
    ------
    InputError, BudgetError, SettingsError, KeyRefusedError, LedgerError
        Before any picture was bought; what was spent on enhanced prompts by then is said. What goes wrong with one picture is in its cell's `error`.
    KeyboardInterrupt
        Nothing more is bought; what is paid for still arrives.
    """
    here = studio()
    job = here.prepare(prompts, **options)
    say(job.line)
    return here.run(job)


async def agenerate(prompts: PromptsLike, **options: Unpack[GenerateOptions]) -> Grid:
    """Make pictures of prompts × seeds, awaiting; arguments, result and errors as in `generate`.

    The work runs on the package's own loop: the caller's loop stays free, and cancelling buys nothing more.
    """
    here = studio()
    job = await here.aprepare(prompts, **options)
    say(job.line)
    return await here.arun(job)
