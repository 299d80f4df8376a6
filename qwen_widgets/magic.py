"""%%qwenimage, %qwenimage and %qwen: parse, call the studio, nothing else."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

# Imported when the extension is loaded, not later: a file h11.py or PIL.py in the notebook's folder must not be
# taken for the library of that name when the first cell runs. httpx waits with these three for its first client and
# connection, the embedded service with numpy for its first picture.
import certifi  # noqa: F401
import h11  # noqa: F401
import httpcore  # noqa: F401
import numpy as np  # noqa: F401
import PIL.Image
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import PIL.WebPImagePlugin  # noqa: F401
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display
from traitlets import Enum, Float, Int, Unicode, observe
from traitlets.config.configurable import Configurable

import qwen_widgets.offline.service  # noqa: F401
from qwen_widgets import account, archive, catalogue
from qwen_widgets.core.enhancer import BOTH, DEFAULT_STYLE, STYLES
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO, MODELS, PRESETS, Size
from qwen_widgets.core.reading import instance
from qwen_widgets.doctor import doctor_report
from qwen_widgets.grid.given import given_by_name
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.show import say
from qwen_widgets.options import GenerateOptions
from qwen_widgets.panel import Panel
from qwen_widgets.settings import Settings
from qwen_widgets.studio import studio

_SUBCOMMANDS = {
    "status": "the provider, the home folder, and what was spent today",
    "models": "the models, their limits and prices; part of an id finds others, --refresh reads the account's list",
    "sizes": "the ratio presets in pixels",
    "panel": "controls beside a grid: %qwen panel [prompt]",
    "login": "take an API key from a hidden prompt, in memory only",
    "budget": "what a day may cost: %qwen budget 5, %qwen budget off",
    "balance": "what the account has left",
    "usage": "what this ledger has spent, by day and model",
    "history": "what was bought, newest first: %qwen history [text]; --remote: what was made elsewhere",
    "adopt": "fetch what was made elsewhere: %qwen adopt all, or an id of %qwen history --remote",
    "resume": "fetch what is paid for and not here",
    "forget": "give up what nobody wants: %qwen forget all, or the number of a row; inputs: input pictures of no run",
    "ledger": "what became of a damaged ledger; %qwen ledger accept lets be bought what can't be proven",
    "doctor": "versions and settings, never the key",
}
_WITH_WORDS = ("models", "panel", "login", "budget", "history", "adopt", "forget", "ledger")
_BY_IPYTHON = "it takes IPython's own shell, as %load_ext qwen_widgets gives it"
#: Options of the cell that take no value.
_SWITCHES = ("--lines", "--fresh", "--dry-run", "--fit")
#: Those whose value may be left out, and the values: in a line the next word may be the prompt's first.
_OPTIONAL = ("-e", "--enhance")
_WISHES = (*STYLES, BOTH, *(f"{BOTH}:{style}" for style in STYLES))


@magics_class
class QwenMagics(Magics, Configurable):
    """The magics; settings by ``%config QwenMagics`` or in ``ipython_config.py``."""

    provider = Enum(
        ("", "auto", "wavespeed", "offline"),
        default_value="",
        help="Who makes the pictures: auto is WaveSpeed where a key is found, else the embedded service. "
        "Empty: as QWEN_WIDGETS_PROVIDER says.",
    ).tag(config=True)
    base_url = Unicode("", help="Address of the API. Empty: as QWEN_WIDGETS_BASE_URL says.").tag(config=True)
    home = Unicode("", help="Folder of the ledger and pictures. Empty: as QWEN_WIDGETS_HOME says.").tag(
        config=True
    )
    at_once = Int(8, min=1, max=64, help="Predictions under way at once.").tag(config=True)
    max_cost = Float(1.0, min=0.0, help="US dollars that one run may cost.").tag(config=True)
    offline_seconds = Float(
        1.2, min=0.0, max=600.0, help="Seconds that a picture of the embedded service takes."
    ).tag(config=True)
    model = Unicode(DEFAULT_MODEL.name, help="Model where the cell names none.").tag(config=True)
    size = Unicode(DEFAULT_RATIO, help="Size where the cell names none.").tag(config=True)

    def __init__(self, shell: InteractiveShell, **kwargs: Any) -> None:
        super().__init__(shell, **kwargs)
        self._configure()

    @observe("provider", "base_url", "home", "at_once", "max_cost", "offline_seconds")
    def _configure(self, _change: object = None) -> None:
        studio().settings = Settings(
            provider=self.provider or None,
            base_url=self.base_url or None,
            home=Path(self.home) if self.home else None,
            at_once=self.at_once,
            max_cost=self.max_cost,
            offline_seconds=self.offline_seconds,
        )

    @no_var_expand
    @magic_arguments()
    @argument("-s", "--seeds", nargs="+", help="seeds: 7 · 1,7,11 · 1-4 · random*4")
    @argument("-n", "--count", help="so many drawn seeds")
    @argument("-r", "--size", "--ratio", nargs="+", help="16:9 · 1280x720 · a list makes an axis")
    @argument("-m", "--model", nargs="+", help="model, or a list")
    @argument(
        "-i",
        "--image",
        action="append",
        nargs="+",
        help="a picture to edit: a path, an https address, a variable, a cell such as fox[0,2]; again for a further one",
    )
    @argument(
        "--fit", action="store_true", help="scale an input picture that the model doesn't take as it is"
    )
    @argument("-f", "--format", help="png, jpeg or webp, for models that have the choice")
    @argument(
        "--input",
        action="append",
        metavar="NAME=VALUE",
        help="a further input of a model that isn't built in",
    )
    @argument("-o", "--out", metavar="NAME", help="name of the variable that becomes the Grid")
    @argument("--lines", action="store_true", help="every line is a prompt")
    @argument(
        "-v", "--vars", nargs="*", metavar="NAME", help="put variables in for {{name}}; all, or those named"
    )
    @argument(
        "-e", "--enhance", nargs="?", const=DEFAULT_STYLE, metavar="STYLE",
        help="have the prompts enhanced first: a style, both, or both:STYLE for the originals beside them",
    )  # fmt: skip
    @argument("--fresh", action="store_true", help="buy anew what is here already")
    @argument("--dry-run", action="store_true", help="say what would be bought, and stop")
    @argument("--max-cost", metavar="DOLLARS", help="what this run may cost")
    @argument("--title", nargs="+", help="heading of the grid")
    @argument("--save", metavar="FOLDER", help="copy the pictures there")
    @line_cell_magic
    def qwenimage(self, line: str, cell: str | None = None) -> Grid | None:
        """Make pictures of prompts × seeds.

        Below the line of options come the prompts, a blank line between two; `{a|b}` makes variants.
        As a line magic: the options, then one prompt.
        """
        try:
            return self._make(line, cell)
        except QwenError as error:
            # A traceback is no use to someone who mistyped an option.
            raise UsageError(error.sentence) from None

    def _make(self, line: str, cell: str | None) -> Grid | None:
        words, prompt = _split(line) if cell is None else (_words(line), cell)
        args = type(self).qwenimage.parser.parse_args(words)
        options = self._options(args)
        name = args.out
        if name is not None and not name.isidentifier():
            raise UsageError(f"--out {name!r}: that can't be the name of a variable.")
        here = studio()
        job = here.prepare(prompt, **options)
        for note in job.sweep.notes:
            say(note)
        say(job.line)
        if args.dry_run:
            return None
        if name is not None:
            # From the start, so that an interrupted run's grid is there, too.
            self._namespace[name] = job.grid
        grid = here.run(job)
        if args.save is not None:
            say(f"{len(grid.save(args.save))} saved in {args.save}")
        return grid if name is None else None

    @property
    def _namespace(self) -> dict[str, Any]:
        assert self.shell is not None
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _options(self, args: Any) -> GenerateOptions:
        options: GenerateOptions = {
            "lines": args.lines,
            "fresh": args.fresh,
            "title": " ".join(args.title) if args.title else (args.out or ""),
        }
        # What is nobody's choice is left to the model: its own default size, and to the task: its own default model.
        if args.size or self.size != DEFAULT_RATIO:
            options["sizes"] = " ".join(args.size) if args.size else self.size
        if args.model or self.model != DEFAULT_MODEL.name:
            options["models"] = " ".join(args.model) if args.model else self.model
        if args.image:
            options["images"] = [given_by_name(" ".join(words), self._namespace) for words in args.image]
            options["fit"] = args.fit
        elif args.fit:
            raise UsageError("--fit: there is no picture to scale; give one with -i.")
        if args.format:
            options["output_format"] = args.format
        if args.input:
            options["inputs"] = _inputs(args.input)
        if args.seeds:
            options["seeds"] = " ".join(args.seeds)
        if args.count is not None:
            options["count"] = _number("--count", args.count, int)
        if args.max_cost is not None:
            options["max_cost"] = _number("--max-cost", args.max_cost.lstrip("$"), float)
        if args.enhance is not None:
            options["enhance"] = args.enhance
        if args.vars is not None:
            options["variables"] = self._variables(args.vars)
        return options

    def _variables(self, names: list[str]) -> dict[str, object]:
        known = self._namespace
        names = [part for name in names for part in name.split(",") if part]
        for name in names:
            if name not in known:
                raise UsageError(f"--vars {name}: there is no variable of that name.")
        return {name: known[name] for name in names} if names else dict(known)

    @no_var_expand
    @line_magic
    def qwen(self, line: str) -> None:
        """Look around: %qwen status, models, balance, usage, history and more; %qwen alone lists them."""
        command, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if command not in ("", *_SUBCOMMANDS):
            raise UsageError(f"%qwen {line.strip()}: it takes one of {', '.join(_SUBCOMMANDS)}.")
        if rest and command not in _WITH_WORDS:
            raise UsageError(f"%qwen {command}: it takes nothing more, and {rest!r} was given.")
        try:
            action = getattr(self, f"_{command or 'help'}")
            lines = action(rest) if command in _WITH_WORDS else action()
        except QwenError as error:
            raise UsageError(error.sentence) from None
        sys.stdout.write("".join(f"{text}\n" for text in lines))

    def _help(self) -> list[str]:
        return [f"%qwen {name:<8} {text}" for name, text in _SUBCOMMANDS.items()]

    def _status(self) -> list[str]:
        return account.status_lines()

    def _models(self, words: str) -> list[str]:
        if words == "--refresh":
            return catalogue.refresh_catalogue()
        if words.startswith("-") or len(words.split()) > 1:
            raise UsageError(f"%qwen models {words}: it takes --refresh, or part of a model's id.")
        return catalogue.model_lines(words)

    def _sizes(self) -> list[str]:
        # Models that want larger pictures have sizes of their own for a ratio.
        families: dict[tuple[Size | None, ...], list[str]] = {}
        for model in MODELS:
            if model.takes_size:
                families.setdefault(tuple(map(model.preset, PRESETS)), []).append(model.name)
        lines = [f"{'':<5} {' '.join(f'{names[0]:<16}' for names in families.values())}"]
        for at, ratio in enumerate(PRESETS):
            lines.append(f"{ratio:<5} {' '.join(f'{sizes[at]!s:<16}' for sizes in families)}")
        return [line.rstrip() for line in lines]

    def _doctor(self) -> list[str]:
        report = doctor_report()
        width = max(len(name) for name, _ in report)
        return [f"{name:<{width}}  {value}" for name, value in report]

    def _panel(self, words: str) -> list[str]:
        display(Panel(words, size=self.size, models=self.model))
        return []

    def _budget(self, words: str) -> list[str]:
        if words:
            studio().set_budget(None if words == "off" else _number("%qwen budget", words.lstrip("$"), float))
        return account.budget_lines()

    def _balance(self) -> list[str]:
        return account.balance_lines()

    def _usage(self) -> list[str]:
        return account.usage_lines()

    def _adopt(self, words: str) -> list[str]:
        if not words:
            raise UsageError("%qwen adopt: say what, all or an id of %qwen history --remote.")
        return account.adopt_lines(words)

    def _history(self, words: str) -> list[str]:
        if words == "--remote":
            return account.remote_lines()
        if words.startswith("--"):
            raise UsageError(f"%qwen history {words}: it takes --remote, or part of a prompt.")
        return archive.history_lines(words)

    def _resume(self) -> list[str]:
        waiting = archive.waiting()
        if not waiting:
            return ["Nothing waits: all that is paid for is here."]
        archive.resume()
        return [f"{waiting - archive.waiting()} of {waiting} are here now; %qwen history shows all."]

    def _forget(self, words: str) -> list[str]:
        if not words:
            raise UsageError("%qwen forget: say what: all, the number of a row in %qwen history, or inputs.")
        if words == "inputs":
            return archive.forget_inputs()
        return [f"{archive.forget(words)} given up; %qwen history still shows them."]

    def _ledger(self, words: str) -> list[str]:
        if words not in ("", "accept"):
            raise UsageError(f"%qwen ledger {words}: it takes accept, or nothing.")
        return archive.ledger_lines(words)

    def _login(self, words: str) -> list[str]:
        if words not in ("", "--keyring"):
            raise UsageError("%qwen login: the key is asked for, never typed behind it; --keyring keeps it.")
        from getpass import getpass  # noqa: PLC0415  (the kernel replaces it when it starts)

        try:
            text = getpass("WaveSpeed API key (hidden): ")
        except Exception:  # noqa: BLE001  (each front end without a prompt has an error of its own)
            raise UsageError(
                "%qwen login needs a front end that can ask; set WAVESPEED_API_KEY in its place."
            ) from None
        try:
            if words:
                studio().save_key(text)
                return ["The key is kept in the system's keyring."]
            studio().login(text)
            return ["The key is kept until the kernel ends."]
        finally:
            del text


def _inputs(texts: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--input {text!r}: write NAME=VALUE.")
        found[name] = value
    return found


def _number(option: str, text: str, kind: type[int | float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: it is not a number.") from None


def _words(line: str) -> list[str]:
    """Split options at blanks; quotes hold a value together and are dropped, a backslash is only itself."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.escape = ""
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        raise UsageError(f"options: a quote is open in {line.strip()!r}; close it.") from None


def _split(line: str) -> tuple[list[str], str]:
    """Split a line magic into the words of its options and the prompt behind them, which stays as it is."""
    rest = line.strip()
    words: list[str] = []
    while rest.startswith("-") and not rest.startswith(("- ", "-- ")):
        option, _, rest = rest.partition(" ")
        words += _words(option)
        rest = rest.lstrip()
        if option in _SWITCHES or "=" in option:
            continue
        if option in _OPTIONAL and rest.split(" ", 1)[0].lower() not in _WISHES:
            continue
        quote = rest[:1] if rest[:1] in ("'", '"') else ""
        end = rest.find(quote, 1) + 1 if quote else len(rest.split(" ", 1)[0])
        if quote and end == 0:
            raise UsageError(f"options: a quote is open in {rest!r}; close it.")
        words += _words(rest[:end])
        rest = rest[end:].lstrip()
    return words, rest


# --- completion -------------------------------------------------------------------------------------------

_OPTIONS = (
    "--seeds", "--count", "--size", "--ratio", "--model", "--image", "--fit", "--format", "--input", "--out", "--lines",
    "--vars", "--enhance", "--fresh", "--dry-run",
    "--max-cost", "--title", "--save",
)  # fmt: skip
_VALUES = {
    **dict.fromkeys(("-r", "--size", "--ratio"), tuple(PRESETS)),
    **dict.fromkeys(("-m", "--model"), tuple(model.name for model in MODELS)),
    **dict.fromkeys(("-s", "--seeds"), ("1-4", "random", "random*4")),
    **dict.fromkeys(("-n", "--count"), ("2", "4", "8")),
    **dict.fromkeys(("-f", "--format"), ("png", "jpeg", "webp")),
    **dict.fromkeys(_OPTIONAL, _WISHES),
}


def complete_image(_shell: object, event: Any) -> list[str]:
    """Complete the options of %%qwenimage and their values."""
    before = event.line[: len(event.line)].split()
    typed = event.symbol
    previous = before[-2] if typed and len(before) > 1 else (before[-1] if before else "")
    if previous in _VALUES and not typed.startswith("-"):
        return [value for value in _VALUES[previous] if value.startswith(typed)]
    return (
        [option for option in _OPTIONS if option.startswith(typed)]
        if typed.startswith("-") or not typed
        else []
    )


def complete_qwen(_shell: object, _event: object) -> list[str]:
    """Complete the words of %qwen."""
    return list(_SUBCOMMANDS)


# --- the extension ----------------------------------------------------------------------------------------

_COMPLETED = {"%%qwenimage": complete_image, "%qwenimage": complete_image, "%qwen": complete_qwen}


def load(shell: InteractiveShell) -> None:
    """Register the magics and their completion; prints nothing and patches nothing."""
    instance("shell", shell, InteractiveShell, _BY_IPYTHON)
    shell.register_magics(QwenMagics)
    for command, completer in _COMPLETED.items():
        shell.set_hook("complete_command", completer, str_key=command)


def unload(shell: InteractiveShell) -> None:
    """Take away what `load` registered, and nothing else."""
    instance("shell", shell, InteractiveShell, _BY_IPYTHON)
    manager = shell.magics_manager
    for kind, name in (("cell", "qwenimage"), ("line", "qwenimage"), ("line", "qwen")):
        registered = manager.magics[kind].get(name)
        if isinstance(getattr(registered, "__self__", None), QwenMagics):
            del manager.magics[kind][name]
    manager.registry.pop("QwenMagics", None)
    completers = shell.strdispatchers.get("complete_command")
    if completers is not None:
        for command in _COMPLETED:
            completers.strs.pop(command, None)
