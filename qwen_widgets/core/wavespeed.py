"""WaveSpeed: the client of the REST API.

Imports httpx, as `transport` and `download` do and nobody else. Two httpx clients: one for the API, which carries
the key, and one for pictures, which never has one. The class of a submit's outcome (not sent, accepted, refused,
unknown) decides what may be paid for again, so a submit is sent exactly once by this module, whatever happens.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from qwen_widgets.core import answers, catalogue, wire_numbers
from qwen_widgets.core.answers import BadAnswerError, HistoryPage, Prediction
from qwen_widgets.core.download import Downloaded, Downloads
from qwen_widgets.core.errors import (
    NotSentError,
    QwenError,
    RejectedError,
    SettingsError,
    UnavailableError,
    UnknownOutcomeError,
    clean,
)
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.request import Order
from qwen_widgets.core.transport import Broken, Timeouts, contained, is_loopback, new_client

DEFAULT_BASE_URL = "https://api.wavespeed.ai/api/v3"
#: An answer of the API is a few hundred bytes; more than this is not one.
LARGEST_ANSWER = 1 << 20
LARGEST_CATALOGUE = 16 << 20
#: Answers that prove that nothing was created. Every other answer that isn't a 2xx leaves it open.
_REFUSED = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
_KEPT_OF_ANSWER = 4096
#: Entries asked for with one page of the history.
_PAGE = 100
#: A Date is cut to whole seconds, and its answer was some time on its way; seconds.
_DATE_BLUR = 2.0
#: Dates further apart than this are of two clocks; seconds.
_DATES_APART = 15.0


@dataclass(slots=True)
class _Heard:
    """What was heard of an answer, kept while it arrives: a broken one may still prove what became of the call."""

    sent: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    async def watch(self, event: str, info: dict[str, Any]) -> None:
        """Follow httpcore's trace: nothing left the machine before the headers of the call itself were begun."""
        if event.endswith("send_request_headers.started"):
            # A proxy's CONNECT fires the same event; it carries nothing of the call.
            self.sent = self.sent or info["request"].method != b"CONNECT"
        elif event.endswith("receive_response_headers.complete") and self.sent:
            # httpx may stumble over a header (a Location that is no address) after the status is known.
            self.status = info["return_value"][1]


class WaveSpeed:
    """A client of one API at one address, bound to the event loop that first uses it.

    Parameters
    ----------
    base_url : str
        Address of the API; without a path, ``/api/v3`` is meant. Plain http only on loopback.
    key : ApiKey or None
        Sent to this origin and to no other.
    app : ASGI application, optional
        Answers in place of the network (the embedded service).
    timeouts : Timeouts, optional
    monotonic : callable
        Seconds on a clock that nobody sets.

    Raises
    ------
    SettingsError
        The address can't be used.
    """

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        app: Any = None,
        timeouts: Timeouts | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = check_base_url(base_url, in_process=app is not None)
        self.timeouts = timeouts or Timeouts()
        self._key = key
        #: Whose history it sees, as the ledger notes it: another key's may lack what this one has bought.
        self.account = f"key {key.fingerprint}" if key else ""
        self._app = app
        #: Whether the API is on this machine, so that pictures may be, too.
        self.loopback = is_loopback(self.base_url.host)
        self._api: httpx.AsyncClient | None = None
        self._downloads = Downloads(
            self.timeouts, loopback=self.loopback, app=app, app_host=self.base_url.host
        )
        self._monotonic = monotonic
        #: The service's clock less the monotonic one, seconds; None until an answer carries a Date.
        self._ahead: float | None = None
        #: How often a Date has contradicted the ones before it.
        self.contradictions = 0
        #: Called when an answer has told the service's time.
        self.on_date: Callable[[], None] = lambda: None

    @property
    def origin(self) -> str:
        """Scheme, host and port, the name under which the ledger keeps what was bought here."""
        return str(self.base_url.copy_with(path="/", query=None)).rstrip("/")

    def now(self) -> float | None:
        """Return the service's time, seconds since the epoch; None while no answer has told it.

        From the Dates of the answers and a monotonic clock: setting this machine's clock changes nothing.
        """
        return None if self._ahead is None else self._monotonic() + self._ahead

    def forget_time(self) -> None:
        """Take it that the monotonic clock has stood still: the service's time is known again by the next Date."""
        self._ahead = None

    # --- the calls of the API -------------------------------------------------------------------------

    async def submit(self, request: Order, addresses: Sequence[str] = ()) -> Prediction:
        """Buy one picture or text. Sends one POST, never two.

        Raises
        ------
        NotSentError
            Nothing left this machine: may be asked again.
        RateLimitedError
            HTTP 429, nothing was created: may be asked again later.
        KeyRefusedError, NoCreditError, RejectedError
            The API refused it, nothing was created.
        UnknownOutcomeError
            It was sent and the answer was lost or can't be read: it may exist and may be charged.
        SettingsError
            The address answered with a redirect, which is never followed.
        """
        heard = _Heard()
        call = self._call(heard, "POST", self._path(request.model.id), request.body(addresses))
        outcome = await contained(call, self.timeouts.whole_call)
        broken = outcome.words if isinstance(outcome, Broken) else ""
        if heard.status is not None:
            return self._read_submit(heard, heard.status, broken)
        if heard.sent or self._app is not None:
            raise UnknownOutcomeError(f"The answer to the order was lost ({broken}).")
        raise NotSentError(f"The API can't be reached ({broken}).")

    def _read_submit(self, heard: _Heard, status: int, broken: str) -> Prediction:
        """Judge the answer to a submit. One that broke off counts by its status, or where its JSON is whole."""
        if 300 <= status < 400:
            raise _redirected(status)
        body = bytes(heard.body)
        if status in _REFUSED:
            raise answers.refusal(status, body, heard.headers)
        if not 200 <= status < 300:
            said = answers.error_text(body)
            raise _unknown(f"The service answered HTTP {status}" + (f": {said}" if said else "."), body)
        unreadable = ""
        try:
            envelope = answers.read_envelope(body)
            if not envelope.refused:
                return answers.read_prediction(envelope.data)
        except BadAnswerError as error:
            unreadable = str(error)
        if unreadable:
            raise _unknown(f"The order was sent, but {broken or unreadable}.", body)
        raise answers.refusal(envelope.as_status, body, heard.headers)

    async def result(self, prediction_id: str) -> Prediction | None:
        """Ask how a prediction stands; None where the service does not know it (yet).

        Raises
        ------
        UnavailableError
            No usable answer; safe to ask again.
        KeyRefusedError, RateLimitedError
        """
        place = "/predictions/" + quote(answers.check_prediction_id(prediction_id), safe="")
        # Both paths are documented; the one with /result is the usual one.
        for path in (place + "/result", place):
            heard = await self._ask("GET", path)
            if heard.status == 404:
                continue
            envelope = self._read_envelope(heard)
            if envelope.refused and envelope.code == 404:
                continue
            try:
                return answers.read_prediction(self._data(envelope, heard), asked=prediction_id)
            except BadAnswerError as error:
                words = str(error)
            raise UnavailableError(f"The service answered, but {words}.")
        return None

    async def history_page(self, number: int, *, model: str = "") -> HistoryPage:
        """Return a page of the account's predictions, newest first.

        Parameters
        ----------
        number : int
            From 1; a page behind the last one is empty.
        model : str
            Id of the model whose predictions are asked for; empty for all.

        Raises
        ------
        UnavailableError, RateLimitedError
            The page could not be had; safe to ask again.
        """
        body: dict[str, Any] = {"page": number, "page_size": _PAGE}
        if model:
            body["model"] = model
        data = await self._get("POST", "/predictions", body)
        try:
            return answers.read_history_page(data)
        except BadAnswerError as error:
            words = str(error)
        raise UnavailableError(f"The service answered, but {words}.")

    async def models(self) -> catalogue.Catalogue:
        """Return the account's catalogue; its answer alone may be of megabytes."""
        heard = await self._ask("GET", "/models", largest=LARGEST_CATALOGUE)
        if heard.status == 200 and heard.body.lstrip().startswith(b"["):
            # Without an envelope; a list is nothing that any other call could answer with.
            with suppress(BadAnswerError):
                return catalogue.read_catalogue(answers.read_json(bytes(heard.body)))
        return catalogue.read_catalogue(self._data(self._read_envelope(heard), heard))

    async def balance(self) -> Decimal:
        """Return the account's balance in US dollars."""
        return self._money(
            await self._get("GET", "/balance", older="/account/balance"), "balance", read=wire_numbers.balance
        )

    async def price(self, request: Order) -> Decimal:
        """Return what the API would charge for a request, US dollars, more than nothing; asking is free."""
        body = {"model_id": request.model.id, "inputs": request.body()}
        data = await self._get("POST", "/model/price", body, older="/model/pricing")
        # The older call names a currency; what a run may cost is in US dollars.
        currency = data.get("currency") if isinstance(data, dict) else None
        named = currency.upper() if isinstance(currency, str) else "an unknown currency"
        if currency is not None and named != "USD":
            raise UnavailableError(f"The price is in {clean(named, longest=20)} and not in US dollars.")
        # A discounted price of 0 says that there is no discount, and not that a picture costs nothing.
        return self._money(data, "discounted_price", "price", "unit_price", read=wire_numbers.price)

    @staticmethod
    def _money(data: Any, *names: str, read: Callable[[Any], Decimal | None]) -> Decimal:
        for name in names:
            amount = read(data.get(name)) if isinstance(data, dict) else None
            if amount is not None:
                return amount
        raise UnavailableError("The answer names no amount.")

    # --- pictures ---------------------------------------------------------------------------------------

    async def download(self, address: str, into: Path) -> Downloaded:
        """Fetch a picture into a file; errors as in `Downloads.download`."""
        return await self._downloads.download(address, into)

    async def upload(self, data: bytes, filename: str, content_type: str) -> str:
        """Bring a file to the service and return its address; free, and safe to repeat.

        By a ticket and a PUT, which carries no key and goes through the client for pictures; where the service or its
        storage takes no such upload, by `upload_form`.

        Raises
        ------
        UnavailableError, RateLimitedError
            Safe to ask again.
        RejectedError, KeyRefusedError
            The service takes it in neither way.
        """
        with suppress(RejectedError, BadAnswerError):
            order = {"filename": filename, "size": len(data), "content_type": content_type}
            ticket = answers.read_ticket(await self._get("POST", "/media/uploads", order))
            await self._downloads.put(ticket.put_to, data, ticket.headers)
            return ticket.address
        return await self.upload_form(data, filename, content_type)

    async def upload_form(self, data: bytes, filename: str, content_type: str) -> str:
        """Bring a file to the API itself, by the older way, a form; errors as in `upload`."""
        heard = _Heard()
        call = self._call(heard, "POST", "/media/upload/binary", file=(filename, data, content_type))
        outcome = await contained(call, self.timeouts.whole_upload)
        if isinstance(outcome, Broken):
            raise UnavailableError(f"The picture could not be uploaded ({outcome.words}).")
        try:
            return answers.read_upload(self._data(self._read_envelope(heard), heard))
        except BadAnswerError as error:
            words = str(error)
        raise UnavailableError(f"The picture could not be uploaded: {words}.")

    async def read_text(self, address: str) -> str:
        """Fetch a text that an output names by its address; errors as in `Downloads.read_text`."""
        return await self._downloads.read_text(address)

    # --- transport --------------------------------------------------------------------------------------

    def _path(self, model_id: str) -> str:
        return "/" + quote(model_id, safe="/-._~")

    def _api_client(self) -> httpx.AsyncClient:
        if self._api is None:
            auth = _KeyAuth(self._key, self.base_url) if self._key else None
            self._api = new_client(self.timeouts, loopback=self.loopback, app=self._app, auth=auth)
        return self._api

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        client, self._api = self._api, None
        if client is not None:
            await client.aclose()
        await self._downloads.aclose()

    async def _call(
        self,
        heard: _Heard,
        method: str,
        path: str,
        json_body: Mapping[str, object] | None = None,
        *,
        largest: int = LARGEST_ANSWER,
        file: tuple[str, bytes, str] | None = None,
    ) -> None:
        """Make one call; what is heard of its answer is in `heard`, whatever becomes of it."""
        content = None if json_body is None else json.dumps(json_body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        client = self._api_client()
        request = client.build_request(
            method,
            str(self.base_url) + path,
            content=content,
            files={"file": file} if file is not None else None,
            headers=headers,
        )
        request.extensions["trace"] = heard.watch
        response = await client.send(request, stream=True)
        try:
            heard.status = response.status_code
            heard.headers = dict(response.headers)
            self._note_clock(heard.headers)
            # Without a chunk size, so that what came before a break is heard.
            async for chunk in response.aiter_bytes():
                heard.body += chunk
                if len(heard.body) > largest:
                    raise BadAnswerError(f"the answer is larger than {largest >> 20} MB")
        finally:
            await response.aclose()

    def _note_clock(self, headers: Mapping[str, str]) -> None:
        moment = answers.read_http_date(headers.get("date", ""))
        if moment is None:
            return
        ahead = moment.timestamp() - self._monotonic()
        if self._ahead is not None and abs(ahead - self._ahead) > _DATES_APART:
            self.contradictions += 1
        # What is behind by less than the blur is the same time, told less closely.
        if self._ahead is None or not self._ahead - _DATE_BLUR <= ahead <= self._ahead:
            self._ahead = ahead
        self.on_date()

    async def _ask(
        self,
        method: str,
        path: str,
        json_body: Mapping[str, object] | None = None,
        *,
        largest: int = LARGEST_ANSWER,
    ) -> _Heard:
        """Make a call that is free and safe to repeat."""
        heard = _Heard()
        outcome = await contained(
            self._call(heard, method, path, json_body, largest=largest), self.timeouts.whole_call
        )
        if isinstance(outcome, Broken):
            raise UnavailableError(f"The API gave no answer ({outcome.words}).")
        return heard

    async def _get(
        self, method: str, path: str, json_body: Mapping[str, object] | None = None, *, older: str = ""
    ) -> Any:
        """Make a free call and return the `data` of its answer; where there is no such call, of the older one."""
        heard = await self._ask(method, path, json_body)
        if older and _no_such_call(heard):
            heard = await self._ask(method, older, json_body)
        return self._data(self._read_envelope(heard), heard)

    def _read_envelope(self, heard: _Heard) -> answers.Envelope:
        assert heard.status is not None
        body = bytes(heard.body)
        if 300 <= heard.status < 400:
            raise _redirected(heard.status)
        if heard.status in _REFUSED:
            raise answers.refusal(heard.status, body, heard.headers)
        if not 200 <= heard.status < 300:
            said = answers.error_text(body)
            raise UnavailableError(
                f"The service answered HTTP {heard.status}" + (f": {said}" if said else ".")
            )
        try:
            return answers.read_envelope(body)
        except BadAnswerError as error:
            words = str(error)
        raise UnavailableError(f"The service answered, but {words}.")

    @staticmethod
    def _data(envelope: answers.Envelope, heard: _Heard) -> Any:
        if not envelope.refused:
            return envelope.data
        body = bytes(heard.body)
        if envelope.as_status in _REFUSED and envelope.as_status == envelope.code:
            raise answers.refusal(envelope.as_status, body, heard.headers)
        said = answers.error_text(body)
        raise UnavailableError(
            f"The service answered with code {envelope.code}" + (f": {said}" if said else ".")
        )


class _KeyAuth(httpx.Auth):
    """Puts the key on requests to one origin; asked for anything else, it leaves it out."""

    def __init__(self, key: ApiKey, base: httpx.URL) -> None:
        self._key = key
        self._origin = (base.scheme, base.host, base.port)

    def auth_flow(self, request: httpx.Request) -> Any:
        if (request.url.scheme, request.url.host, request.url.port) == self._origin:
            request.headers["Authorization"] = self._key.authorization()
        yield request


def check_base_url(text: str, *, in_process: bool = False) -> httpx.URL:
    """Return the API's address, with its path and without a slash at the end.

    Raises
    ------
    SettingsError
        Not an address, carries a user name, or plain http that is not on loopback.
    """
    url: httpx.URL | None = None
    with suppress(httpx.InvalidURL, ValueError):
        url = httpx.URL(text.strip().rstrip("/"))
    # Shown only where it can hold no password and no key: people paste into the wrong field.
    shown = f" {clean(text, longest=80)!r}" if re.fullmatch(r"\s*\w+://[^@?#]*", text) else ""
    # httpx escapes what can't be in a name instead of refusing it.
    if (
        url is None
        or url.scheme not in ("http", "https")
        or not re.fullmatch(r"[\w.:-]+", url.raw_host.decode("ascii"))
    ):
        raise SettingsError(f"base URL{shown}: write an address such as {DEFAULT_BASE_URL}.")
    if url.userinfo:
        raise SettingsError(
            "base URL: it must not carry a user name or password; set WAVESPEED_API_KEY instead."
        )
    if url.query or url.fragment:
        raise SettingsError(f"base URL: it ends with the path, as {DEFAULT_BASE_URL} does.")
    if url.scheme == "http" and not in_process and not is_loopback(url.host):
        raise SettingsError(f"base URL{shown}: plain http is taken only on loopback; use https.")
    return url.copy_with(path="/api/v3") if url.path in ("", "/") else url


def _unknown(message: str, body: bytes) -> UnknownOutcomeError:
    """Return the error of an answer that can't be read, with its beginning, for whoever has to find out."""
    error = UnknownOutcomeError(message)
    error.answer = clean(body[:_KEPT_OF_ANSWER].decode("utf-8", "replace"), longest=_KEPT_OF_ANSWER)
    return error


def _no_such_call(heard: _Heard) -> bool:
    """Return whether an answer says that the service doesn't know what was asked of it."""
    if heard.status == 404:
        return True
    with suppress(BadAnswerError):
        envelope = answers.read_envelope(bytes(heard.body))
        return envelope.refused and envelope.code == 404
    return False


def _redirected(status: int) -> QwenError:
    error = SettingsError(
        f"The API's address answered with a redirect (HTTP {status}), which is not followed."
    )
    error.next_step = "Check QWEN_WIDGETS_BASE_URL."
    error.stops_run = True
    return error
