"""Real kernels for the tests: an ipykernel of a chosen version, and what a front end would hear from it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ("6.31.0", "7.2.0", "7.4.0")
NEWEST = VERSIONS[-1]
START_TIMEOUT = 120.0  # seconds; it takes 1 to 2 on an idle machine
# These now and then leave queued requests unread when a reply goes out at the same moment (seen in 1 of 30 to 1 of
# 1,000 rounds of five cells, with nothing of ours loaded); the next connection wakes them. Mended in 7.4.0.
# https://github.com/ipython/ipykernel/issues/1554
SLEEPY = {"7.2.0"}
NUDGE_AFTER = 2.0  # seconds without a message


class NoOverlay(Exception):  # noqa: N818 - it is a reason to skip
    """This version of ipykernel can't be had here."""


def overlay(version: str) -> Path:
    """Return a folder with nothing but this ipykernel, to be put first on a kernel's PYTHONPATH.

    It is made once, beside its final name, and renamed: it is complete or absent, whoever else is making it.
    """
    cache = Path(os.environ.get("QWEN_TEST_CACHE") or ROOT / ".cache" / "ipykernels").resolve()
    folder = cache / f"ipykernel-{version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".ipykernel-{version}-", dir=cache))
    try:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "--target", str(making / "site"), f"ipykernel=={version}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
            raise NoOverlay(f"ipykernel {version} can't be installed into {cache}: {last}")
        try:
            (making / "site").rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise somebody else was faster, with the same contents
                raise
    except subprocess.TimeoutExpired:
        raise NoOverlay(f"ipykernel {version} can't be installed into {cache}: pip took too long") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Message:
    """One message of a kernel on iopub, shell or stdin."""

    channel: str
    type: str
    parent: str  # msg_id of the request it belongs to, "" for none
    content: dict[str, Any]
    metadata: dict[str, Any]
    buffers: list[bytes]
    time: float  # seconds since the epoch at which the kernel made it
    received: float  # the same at which it was read here

    @property
    def comm_id(self) -> str | None:
        return self.content.get("comm_id")


@dataclass(frozen=True)
class Failure:
    """The exception a cell ended with."""

    ename: str
    evalue: str
    traceback: list[str]  # as it was sent, with ANSI colours

    def __str__(self) -> str:
        text = "\n".join(self.traceback) or f"{self.ename}: {self.evalue}"
        return re.sub(r"\x1b\[[0-9;]*m", "", text)


@dataclass
class Result:
    """What the kernel said about one request. It is a live view: what comes later is in it, too."""

    kernel: Kernel = field(repr=False)
    msg_id: str
    code: str
    answers: list[str] = field(default_factory=list, repr=False)
    wants_reply: bool = field(default=True, repr=False)  # a comm_msg gets none
    start: int = field(default=0, repr=False)  # the length of the kernel's log when it was sent
    heard: list[Message] = field(default_factory=list, repr=False)  # all that belongs to it, on any channel
    reply: dict[str, Any] | None = field(default=None, repr=False)  # the content of the execute_reply
    idle: bool = False

    @property
    def done(self) -> bool:
        return self.idle and (self.reply is not None or not self.wants_reply)

    def hear(self, message: Message) -> None:
        """Take in a message that belongs to it; the reading thread calls this."""
        self.heard.append(message)
        if message.type == "execute_reply":
            self.reply = message.content
        elif message.type == "status" and message.content["execution_state"] == "idle":
            self.idle = True

    @property
    def order(self) -> list[Message]:
        """All iopub messages since this request was sent, whatever request they belong to."""
        return [m for m in self.kernel.log[self.start :] if m.channel == "iopub"]

    @property
    def messages(self) -> list[Message]:
        """The iopub messages that belong to this request."""
        return [m for m in self.heard if m.channel == "iopub"]

    def of(self, *types: str) -> list[Message]:
        """Return this request's iopub messages of these types."""
        return [m for m in self.messages if m.type in types]

    @property
    def status(self) -> str:
        """`ok`, `error`, `aborted`, or `pending`."""
        return (self.reply or {}).get("status", "pending")

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def _stream(self, name: str) -> str:
        return "".join(m.content["text"] for m in self.of("stream") if m.content["name"] == name)

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    def _display(self, *types: str) -> list[dict[str, Any]]:
        return [
            {
                "type": m.type,
                "data": m.content["data"],
                "metadata": m.content["metadata"],
                "display_id": m.content.get("transient", {}).get("display_id"),
            }
            for m in self.of(*types)
        ]

    @property
    def displays(self) -> list[dict[str, Any]]:
        """display_data and execute_result, in order: type, data, metadata, display_id (or None)."""
        return self._display("display_data", "execute_result")

    @property
    def updates(self) -> list[dict[str, Any]]:
        """update_display_data, in order, as `displays`."""
        return self._display("update_display_data")

    @property
    def comms(self) -> list[Message]:
        """comm_open, comm_msg and comm_close, with their buffers."""
        return self.of("comm_open", "comm_msg", "comm_close")

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """What input() and getpass() asked: prompt, password (bool)."""
        return [m.content for m in self.heard if m.type == "input_request"]

    @property
    def error(self) -> Failure | None:
        for message in self.of("error"):
            return Failure(**{k: message.content[k] for k in ("ename", "evalue", "traceback")})
        return None

    @property
    def started(self) -> float:
        """When the kernel became busy with it, seconds since the epoch."""
        return self.of("status")[0].time

    @property
    def ended(self) -> float:
        """When the kernel was idle again, seconds since the epoch."""
        return next(m.time for m in self.of("status") if m.content["execution_state"] == "idle")

    def check(self) -> Result:
        """Return itself, or fail with the cell's own traceback."""
        assert self.ok, f"the cell ended with {self.status}:\n{self.error}"
        return self


class Kernel:
    """A kernel process and a front end for it. Everything it says is read at once, by a thread, into `log`.

    The thread polls plain sockets. zmq.asyncio is of no use here: a send consumes the wake-up of a reply that
    comes at the same moment, and that reply is then never read (seen after 1,530 cells).
    """

    def __init__(self, version: str, *, env: Mapping[str, str], cwd: Path, folder: Path) -> None:
        self.version = version
        self.cwd = cwd
        self.folder = folder
        self.log: list[Message] = []
        self.nudges = 0
        self._news = threading.Condition()
        self._results: dict[str, Result] = {}
        self._subshell: str | None = None
        self._client: BlockingKernelClient | None = None
        self._manager: KernelManager | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None  # of the reading thread
        self._outbox: deque[tuple[str, dict[str, Any]]] = deque()
        self._stopping = threading.Event()
        self._bell, self._ring = socket.socketpair()
        cwd.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start(dict(env))
        except BaseException:
            self.close()
            raise

    # --- the process

    def _start(self, env: dict[str, str]) -> None:
        for attempt in (1, 2, 3):
            # jupyter_client looks for free ports and lets go of them again, so another process may be faster.
            try:
                self._launch(env)
                break
            except KernelDied:
                if attempt == 3:
                    raise
                self._kill()
        self._thread = threading.Thread(target=self._pump, name="front end", daemon=True)
        self._thread.start()
        info = self._request("control", "kernel_info_request", {})
        self.features: list[str] = info.content.get("supported_features", [])
        self.pid = int(self._ask("__import__('os').getpid()"))
        running = self._ask("__import__('ipykernel').__version__").strip("'")
        assert running == self.version, f"the kernel runs ipykernel {running}, not {self.version}"

    def _launch(self, env: dict[str, str]) -> None:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager = KernelManager(
            connection_file=str(self.folder / f"connection-{time.monotonic_ns()}.json"),
        )
        # Without a look into kernelspecs: they are the machine's, and may name another Python.
        manager._kernel_spec = KernelSpec(argv=argv, display_name="test", language="python")
        self._manager = manager
        with (self.folder / "kernel.log").open("ab") as log:
            manager.start_kernel(env=env, cwd=str(self.cwd), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._client = manager.client()
        self._client.start_channels(hb=False)
        try:
            self._client.wait_for_ready(timeout=START_TIMEOUT)
        except RuntimeError as error:
            if manager.is_alive():
                raise
            raise KernelDied(f"{error}:\n{self.process_log}") from None

    @property
    def alive(self) -> bool:
        return self._manager is not None and self._manager.is_alive()

    @property
    def process_log(self) -> str:
        """What the process wrote to its own stdout and stderr, the last 4,000 characters."""
        file = self.folder / "kernel.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def interrupt(self) -> None:
        """Send SIGINT, as the stop button does."""
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        """End the process at once, with SIGKILL, as a crash or a machine that is taken away does."""
        self._manager.shutdown_kernel(now=True)

    def shutdown(self) -> None:
        """Ask the kernel to end, as "Shut Down Kernel" does, so that its exit handlers run."""
        self._manager.shutdown_kernel(now=False)

    def close(self) -> None:
        """End process, sockets and thread. Safe to call twice."""
        self._kill()
        self._bell.close()
        self._ring.close()

    def _kill(self) -> None:
        manager, self._manager = self._manager, None
        thread, self._thread = self._thread, None
        client, self._client = self._client, None
        try:
            if manager is not None and manager.has_kernel:
                manager.shutdown_kernel(now=True)
        finally:
            if thread is not None:
                self._stopping.set()
                self._ring.send(b"!")
                thread.join(10)
            if client is not None:
                client.stop_channels()
                client.context.destroy(linger=0)

    # --- reading

    def _pump(self) -> None:
        """Send and read until it is told to stop: all sockets belong to this thread."""
        client = self._client
        names = ("iopub", "shell", "stdin", "control")
        sockets = {name: getattr(client, f"{name}_channel").socket for name in names}
        poller = zmq.Poller()
        poller.register(self._bell, zmq.POLLIN)
        for one in sockets.values():
            poller.register(one, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                if self._bell.fileno() in dict(poller.poll()):
                    self._bell.recv(4096)
                while self._outbox:
                    name, message = self._outbox.popleft()
                    client.session.send(sockets[name], message)
                for name, one in sockets.items():
                    while one.poll(0):
                        _, frames = client.session.feed_identities(one.recv_multipart())
                        self._read(name, client.session.deserialize(frames))
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            with self._news:
                self._failure = error
                self._news.notify_all()

    def _read(self, name: str, raw: dict[str, Any]) -> None:
        message = Message(
            channel=name,
            type=raw["header"]["msg_type"],
            parent=raw["parent_header"].get("msg_id", ""),
            content=raw["content"],
            metadata=raw["metadata"],
            buffers=[bytes(b) for b in raw["buffers"]],
            time=raw["header"]["date"].timestamp(),
            received=time.time(),
        )
        if message.type == "input_request":
            self._answer(message)
        with self._news:
            self.log.append(message)
            if message.parent in self._results:
                self._results[message.parent].hear(message)
            self._news.notify_all()

    def _answer(self, request: Message) -> None:
        """Type the next of the answers that came with the cell. Without one: Enter, so that nothing hangs."""
        result = self._results.get(request.parent)
        value = result.answers.pop(0) if result and result.answers else ""
        self._post("stdin", self._client.session.msg("input_reply", {"value": value}))

    def until(self, predicate: Callable[[], Any], timeout: float = 60, what: str = "it") -> Any:
        """Wait until the predicate is true of what has been read so far, and return its value."""
        end = time.monotonic() + timeout
        quiet = time.monotonic()
        with self._news:
            while True:
                if value := predicate():
                    return value
                if self._failure:
                    raise RuntimeError("the reading thread has failed") from self._failure
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {what} within {timeout:g} s; {self._latest()}")
                # The bound is for a kernel that has died: then no message comes to wake anybody.
                if self._news.wait(min(left, 0.5)):
                    quiet = time.monotonic()
                elif not self.alive:
                    raise KernelDied(f"the kernel died before {what}:\n{self.process_log}")
                elif self.version in SLEEPY and time.monotonic() - quiet > NUDGE_AFTER:
                    self._nudge()
                    quiet = time.monotonic()

    def _nudge(self) -> None:
        """Connect to the shell's port and leave again, which makes the kernel look at its socket."""
        self.nudges += 1
        with zmq.Context() as context, context.socket(zmq.DEALER) as visitor:
            visitor.linger = 0
            visitor.connect(f"tcp://127.0.0.1:{self._manager.shell_port}")
            visitor.poll(200)  # nothing comes; it is the time for the handshake

    def iopub_until(
        self, predicate: Callable[[Message], Any], timeout: float = 60, *, since: int | Result = 0
    ) -> Message:
        """Wait for an iopub message for which the predicate is true, and return the first one.

        Messages already in the log count, from the index `since`, or from the moment the result was asked for.
        """
        seen = since.start if isinstance(since, Result) else since

        def found() -> Message | None:
            nonlocal seen
            while seen < len(self.log):
                seen += 1
                message = self.log[seen - 1]
                if message.channel == "iopub" and predicate(message):
                    return message
            return None

        return self.until(found, timeout, "such iopub message")

    def _latest(self) -> str:
        own = [m for m in self.log if m.channel != "control"][-15:]
        lines = [f"  {m.channel} {m.type} parent={m.parent[-8:]} {str(m.content)[:160]}" for m in own]
        return "the last messages:\n" + "\n".join(lines) + f"\nthe process's log:\n{self.process_log}"

    # --- asking

    def _post(self, channel: str, message: dict[str, Any]) -> str:
        """Hand a message to the thread that has the sockets, and return its id."""
        self._outbox.append((channel, message))
        self._ring.send(b"!")
        return message["header"]["msg_id"]

    def _post_noted(self, message: dict[str, Any], code: str, **more: Any) -> str:
        msg_id = message["header"]["msg_id"]
        self._results[msg_id] = Result(self, msg_id, code, start=len(self.log), **more)
        return self._post("shell", message)

    def _request(self, channel: str, type_: str, content: dict[str, Any], timeout: float = 60) -> Message:
        start = len(self.log)
        msg_id = self._post(channel, self._client.session.msg(type_, content))
        return self.until(
            lambda: next((m for m in self.log[start:] if m.parent == msg_id and m.channel == channel), None),
            timeout,
            f"reply to {type_}",
        )

    def _ask(self, expression: str) -> str:
        """Evaluate an expression without a trace in the history, and return its repr."""
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"it": expression},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        answer = self._request("shell", "execute_request", content, START_TIMEOUT).content
        return answer["user_expressions"]["it"]["data"]["text/plain"]

    def send(
        self, code: str, *, allow_stdin: bool = True, stop_on_error: bool = True, answers: Iterable[str] = ()
    ) -> str:
        """Queue a cell without waiting, and return its msg_id. `answers` are typed where it asks for input."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": stop_on_error,
        }
        message = self._client.session.msg("execute_request", content)
        return self._post_noted(message, code, answers=list(answers))

    def result(self, msg_id: str) -> Result:
        """Return the live view of a request, finished or not."""
        return self._results[msg_id]

    def wait(self, msg_id: str, timeout: float = 120) -> Result:
        """Wait until the request is answered and its idle has come."""
        result = self._results[msg_id]
        what = f"reply and idle for {result.code[:60]!r} (status: {result.status}, idle: {result.idle})"
        self.until(lambda: result.done, timeout, what)
        return result

    def run(
        self, code: str, timeout: float = 120, allow_stdin: bool = True, answers: Iterable[str] = ()
    ) -> Result:
        """Run a cell to its end. An error is in the result, not raised; `.check()` raises it."""
        return self.wait(self.send(code, allow_stdin=allow_stdin, answers=answers), timeout)

    def complete(self, code: str) -> list[str]:
        """Return what the Tab key offers at the end of some code."""
        answer = self._request("shell", "complete_request", {"code": code, "cursor_pos": len(code)})
        return list(answer.content["matches"])

    def run_all(self, codes: Sequence[str], timeout: float = 120) -> list[Result]:
        """Queue all cells at once, as "Run All" does, and wait until each is answered: ok, error or aborted."""
        ids = [self.send(code) for code in codes]
        results = [self._results[i] for i in ids]
        try:
            self.until(lambda: all(r.done for r in results), timeout, "end of all cells")
        except TimeoutError as error:
            lost = [r.code[:60] for r in results if not r.done]
            raise TimeoutError(f"never answered: {lost}; {error}") from None
        return results

    def comm_msg(
        self, comm_id: str, data: dict[str, Any], *, buffers: Sequence[bytes] = (), subshell: bool = False
    ) -> str:
        """Send a front end's comm message, and return its msg_id, for `result` and `wait`.

        `subshell` sends it as JupyterLab does to a kernel that has subshells, where this one has them.
        """
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        message["buffers"] = list(buffers)
        if subshell and self.has_subshells:
            message["header"]["subshell_id"] = self.subshell()
        return self._post_noted(message, f"comm_msg {data!r}", wants_reply=False)

    @property
    def has_subshells(self) -> bool:
        return "kernel subshells" in self.features

    def subshell(self) -> str:
        """Return the id of the one subshell of this front end, made on the first call."""
        if self._subshell is None:
            self._subshell = self._request("control", "create_subshell_request", {}).content["subshell_id"]
        return self._subshell


class KernelDied(RuntimeError):  # noqa: N818 - says what happened
    """The kernel's process has ended by itself."""
