"""Alpaca's REST interface: one method a question, plain JSON or ``RestProblem`` as the answer.

alpaca-py knows the paths and the fields; what it leaves open is closed here: every request has a timeout and
a place in the request budget, none is ever sent twice, and an answer that is no answer (HTML, an empty body,
a redirect) is a problem of a known kind and not an exception from somewhere inside.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tui_trader.core.orders import OrderSpec, OrderType, Role, Side, TimeInForce
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.budget import Priority, RequestBudget
from tui_trader.venues.alpaca.orders import time_of
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem, problem_of

if TYPE_CHECKING:  # half a second and 65 MB, paid by the first worker thread that connects
    from alpaca.common.rest import RESTClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.trading.client import TradingClient
    from alpaca.trading.requests import OrderRequest

Json = dict[str, Any]

#: Seconds to connect, and of silence before an answer is given up.
_TIMEOUTS_S: Final = (3.0, 10.0)
_ORDERS_A_PAGE: Final = 500
_FILLS_A_PAGE: Final = 100
_BARS_A_PAGE: Final = 10_000
#: More than an account has in a day; no answer without end.
_MOST_PAGES: Final = 100
_SHORTEST_PAUSE_S: Final = 1.0
_USUAL_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
#: Keys that were refused will be refused again; only exits are tried all the same.
_PAUSE_WITHOUT_KEYS_S: Final = 30.0
#: Its modules import each other in circles, and several threads begin at once.
_IMPORTING: Final = threading.Lock()


class AlpacaRest:
    """Blocks; for one thread at a time. alpaca-py is imported by the first request.

    ``heard`` is called after every request to the trading API with the kind of its problem, None when there
    was none; a request that the budget did not let out is not mentioned. Market data
    is counted apart, by ``data_budget``, as Alpaca does.
    """

    def __init__(
        self,
        access: AlpacaAccess,
        budget: RequestBudget | None = None,
        heard: Callable[[ProblemKind | None], None] = lambda _: None,
        timeouts_s: tuple[float, float] = _TIMEOUTS_S,
        data_budget: RequestBudget | None = None,
    ) -> None:
        self._access = access
        self._budget = budget or RequestBudget()
        self._data_budget = data_budget or RequestBudget()
        self._heard = heard
        self._timeouts_s = timeouts_s
        self._priority = Priority.QUERY  # of the request that is being made
        self._sent = False  # whether it has left
        self._trading: TradingClient | None = None
        self._data: StockHistoricalDataClient | None = None

    def close(self) -> None:
        """Close the connections that were kept open for the next request."""
        for client in (self._trading, self._data):
            if client is not None:
                client._session.close()

    # ---- the account and the market --------------------------------------------------------------

    def account(self) -> Json:
        with self._trading_api() as api:
            return _object(api.get_account())

    def clock(self) -> Json:
        with self._trading_api() as api:
            return _object(api.get_clock())

    def calendar(self, start: date, end: date) -> list[Json]:
        """The sessions from ``start`` to ``end``, both included; their times are naive Eastern."""
        with self._trading_api() as api:
            from alpaca.trading.requests import GetCalendarRequest

            return _objects(api.get_calendar(GetCalendarRequest(start=start, end=end)))

    def assets(self) -> list[Json]:
        """Every active US equity."""
        with self._trading_api(Priority.BACKGROUND) as api:
            from alpaca.trading.enums import AssetClass, AssetStatus
            from alpaca.trading.requests import GetAssetsRequest

            wanted = GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY)
            return _objects(api.get_all_assets(wanted))

    def asset(self, symbol: str) -> Json:
        with self._trading_api(Priority.BACKGROUND) as api:
            return _object(api.get_asset(symbol))

    def positions(self) -> list[Json]:
        with self._trading_api() as api:
            return _objects(api.get_all_positions())

    # ---- orders ----------------------------------------------------------------------------------

    def orders(
        self, status: str, after: datetime | None = None, symbols: Sequence[str] | None = None
    ) -> list[Json]:
        """Orders submitted after ``after``, oldest first, legs inside their parents.

        ``status`` is "open", "closed" or "all".
        """
        found: dict[str, Json] = {}
        for _ in range(_MOST_PAGES):
            with self._trading_api() as api:
                from alpaca.common.enums import Sort
                from alpaca.trading.enums import QueryOrderStatus
                from alpaca.trading.requests import GetOrdersRequest

                wanted = GetOrdersRequest(
                    status=QueryOrderStatus(status), limit=_ORDERS_A_PAGE, after=after, direction=Sort.ASC,
                    nested=True, symbols=list(symbols) if symbols is not None else None,
                )  # fmt: skip
                page = _objects(api.get_orders(wanted))
            known = len(found)
            # Times are cut to microseconds on the way back, so the last order of a page opens the next, too.
            found.update((str(order.get("id")), order) for order in page)
            after = time_of(page[-1].get("submitted_at")) if page else None
            if len(page) < _ORDERS_A_PAGE or len(found) == known or after is None:
                return list(found.values())
        raise RestProblem(ProblemKind.UNCLEAR, "the pages of its answer do not end")

    def order(self, order_id: str) -> Json:
        """By the broker's id."""
        with self._trading_api() as api:
            return _object(api.get_order_by_id(order_id))

    def order_by_client_id(self, client_order_id: str, priority: Priority = Priority.QUERY) -> Json:
        """By our own id."""
        with self._trading_api(priority) as api:
            return _object(api.get_order_by_client_id(client_order_id))

    def submit(self, spec: OrderSpec) -> Json:
        with self._trading_api(Priority.ENTRY if spec.role is Role.ENTRY else Priority.EXIT) as api:
            return _object(api.submit_order(order_request(spec)))

    def cancel(self, order_id: str) -> None:
        """Ask for the end of an order; that it has ended is told later."""
        with self._trading_api(Priority.EXIT) as api:
            api.cancel_order_by_id(order_id)

    def replace(self, order_id: str, spec: OrderSpec) -> Json:
        """Put ``spec`` in the place of an order: the new order, which works once the old one is replaced."""
        with self._trading_api(Priority.EXIT) as api:
            from alpaca.trading.requests import ReplaceOrderRequest

            # The quantity is always named: without it the new order asks for filled shares again.
            terms = ReplaceOrderRequest(
                qty=spec.qty, limit_price=_number(spec.limit_price), stop_price=_number(spec.stop_price),
                client_order_id=spec.client_order_id,
            )  # fmt: skip
            return _object(api.replace_order_by_id(order_id, terms))

    def fills(self, after: datetime, order_id: str | None = None) -> list[Json]:
        """Executions after ``after``, oldest first: all of them, or those of one order."""
        found: list[Json] = []
        token: str | None = None
        for _ in range(_MOST_PAGES):
            wanted: Json = {
                "after": _stamp(after), "direction": "asc", "page_size": _FILLS_A_PAGE,
                "page_token": token, "order_id": order_id,
            }  # fmt: skip
            with self._trading_api() as api:
                page = _objects(api.get("/account/activities/FILL", wanted))
            found.extend(page)
            last = page[-1].get("id") if page else None
            if len(page) < _FILLS_A_PAGE or not isinstance(last, str) or last == token:
                # A server that does not know the filter tells of all orders.
                return [row for row in found if order_id in (None, row.get("order_id"))]
            token = last
        raise RestProblem(ProblemKind.UNCLEAR, "the pages of its answer do not end")

    def close_all(self, cancel_orders: bool) -> list[Json]:
        """Sell every position at market, whoever bought it."""
        with self._trading_api(Priority.EXIT) as api:
            return _objects(api.close_all_positions(cancel_orders=cancel_orders))

    # ---- market data -----------------------------------------------------------------------------

    def bars_page(
        self, symbols: Sequence[str], start: datetime, end: datetime, feed: str, page_token: str | None
    ) -> tuple[dict[str, list[Json]], str | None]:
        """Minute bars adjusted for splits, at most 10,000, and the token of the next page."""
        wanted: Json = {
            "symbols": ",".join(symbols), "timeframe": "1Min", "start": _stamp(start), "end": _stamp(end),
            "limit": _BARS_A_PAGE, "adjustment": "split", "feed": feed, "page_token": page_token,
        }  # fmt: skip
        with self._data_api() as api:
            # Not get_stock_bars: it reads all pages at once and keeps the token for itself.
            answer = _object(api.get("/stocks/bars", wanted))
        token = answer.get("next_page_token")
        pages = {symbol: _objects(rows or []) for symbol, rows in _object(answer.get("bars") or {}).items()}
        return pages, token if isinstance(token, str) and token else None

    def latest_trade(self, symbols: Sequence[str]) -> dict[str, Json]:
        """The latest trade of each symbol on the feed that is configured."""
        wanted = {"symbols": ",".join(symbols), "feed": self._access.feed}
        with self._data_api() as api:
            answer = _object(api.get("/stocks/trades/latest", wanted))
        trades = _object(answer.get("trades") or {})
        return {symbol: trade for symbol, trade in trades.items() if isinstance(trade, dict)}

    # ---- the line --------------------------------------------------------------------------------

    @contextmanager
    def _trading_api(self, priority: Priority = Priority.QUERY) -> Iterator[TradingClient]:
        if self._trading is None:
            with _IMPORTING:
                from alpaca.trading.client import TradingClient

            key, secret = self._access.secrets
            self._trading = TradingClient(
                key, secret, paper=self._access.paper, raw_data=True,
                url_override=self._access.trading_url.rstrip("/"),
            )  # fmt: skip
            self._guard(self._trading, trading=True)
        with self._asking(priority):
            yield self._trading

    @contextmanager
    def _data_api(self) -> Iterator[StockHistoricalDataClient]:
        if self._data is None:
            with _IMPORTING:
                from alpaca.data.historical.stock import StockHistoricalDataClient

            key, secret = self._access.secrets
            self._data = StockHistoricalDataClient(
                key, secret, raw_data=True, url_override=self._access.data_url.rstrip("/")
            )
            self._guard(self._data, trading=False)
        with self._asking(Priority.QUERY):
            yield self._data

    @contextmanager
    def _asking(self, priority: Priority) -> Iterator[None]:
        self._priority, self._sent = priority, False
        try:
            yield
        except RestProblem:
            raise
        except Exception as error:  # noqa: BLE001 - what alpaca-py makes of bad arguments, or of an answer
            kind = ProblemKind.UNCLEAR if self._sent else ProblemKind.REFUSED
            # The error's own text may quote headers, and those hold the keys.
            raise RestProblem(kind, f"alpaca-py cannot do this ({type(error).__name__})") from None

    def _guard(self, client: RESTClient, *, trading: bool) -> None:
        """Send whatever ``client`` sends through ``_send``.

        The session is private to alpaca-py, but it offers no other way to a timeout. It retries on 429 and
        504, POST included, so its retries are switched off, and no such answer gets as far as that.
        """
        client._retry = 0
        bare = client._session.request
        budget = self._budget if trading else self._data_budget

        def request(method: str, url: str, **options: Any) -> _Answer:
            if not budget.try_take(self._priority):
                raise RestProblem(ProblemKind.RATE_LIMITED, "not sent: the broker takes no more for now")
            self._sent = True
            try:
                answer = self._send(bare, method, url, options, trading=trading)
            except RestProblem as problem:
                if trading:
                    self._heard(problem.kind)
                if problem.kind is ProblemKind.UNAUTHORIZED:
                    budget.limited_for(_PAUSE_WITHOUT_KEYS_S)
                raise
            if trading:
                self._heard(None)
            return answer

        client._session.request = request  # type: ignore[method-assign, assignment]

    def _send(
        self, bare: Callable[..., Any], method: str, url: str, options: Mapping[str, Any], *, trading: bool
    ) -> _Answer:
        try:
            response = bare(method, url, **options, timeout=self._timeouts_s)
        except Exception as error:  # noqa: BLE001 - what requests raises is not all of one family
            raise self._line_problem(error) from None
        status, body = response.status_code, response.content
        left = _requests_left(response.headers) if trading else None
        if left is not None:
            self._budget.told(left)
        if status == 429 and trading:
            self._budget.limited_for(_pause_s(response.headers))
        if not 200 <= status < 300:
            raise problem_of(status, body, self._access.secrets)
        return _Answer(status, body)

    def _line_problem(self, error: Exception) -> RestProblem:
        """Told in our own words: those of ``error`` may quote headers."""
        from requests import exceptions
        from urllib3.exceptions import NewConnectionError

        connect_s, read_s = self._timeouts_s
        cause = getattr(error.args[0], "reason", None) if error.args else None
        match error:
            case exceptions.ConnectTimeout():
                return RestProblem(ProblemKind.UNREACHABLE, f"no connection within {connect_s:g} s")
            case exceptions.Timeout():
                return RestProblem(ProblemKind.UNCLEAR, f"no answer within {read_s:g} s")
            case exceptions.ConnectionError() if isinstance(cause, NewConnectionError):
                unknown = type(cause).__name__ == "NameResolutionError"
                text = "the host's name cannot be resolved" if unknown else "the host cannot be reached"
                return RestProblem(ProblemKind.UNREACHABLE, text)
            case exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(cause):
                return RestProblem(ProblemKind.UNREACHABLE, "the host's certificate is not to be trusted")
            case exceptions.ConnectionError() | exceptions.ChunkedEncodingError():
                return RestProblem(ProblemKind.UNCLEAR, "the connection was lost before the answer came")
            case _:
                return RestProblem(ProblemKind.UNCLEAR, f"the request failed ({type(error).__name__})")


class _Answer:
    """A good answer, as far as alpaca-py looks at it. Raises ``RestProblem`` when it is not JSON."""

    def __init__(self, status: int, body: bytes) -> None:
        self.text = "" if not body.strip() else "json"
        self._data: object = None
        if self.text:
            try:
                # NaN and its like are no JSON, and no number to trade by.
                self._data = json.loads(body, parse_constant=lambda _: None)
            except (ValueError, RecursionError):
                raise RestProblem(
                    ProblemKind.UNCLEAR, f"HTTP {status} with an answer that is not JSON", status=status
                ) from None

    def raise_for_status(self) -> None:
        """Anything but success was raised before."""

    def json(self) -> object:
        return self._data


def order_request(spec: OrderSpec) -> OrderRequest:
    """``spec`` in alpaca-py's words. Prices become the float that prints as the same decimal."""
    from alpaca.trading import enums, requests

    common: Json = {
        "symbol": spec.symbol,
        "qty": spec.qty,
        "side": enums.OrderSide.BUY if spec.side is Side.BUY else enums.OrderSide.SELL,
        "time_in_force": enums.TimeInForce.GTC
        if spec.time_in_force is TimeInForce.GTC
        else enums.TimeInForce.DAY,
        "client_order_id": spec.client_order_id,
    }
    if spec.side is Side.SELL:
        # So that the broker itself refuses what would open a short position.
        common["position_intent"] = enums.PositionIntent.SELL_TO_CLOSE
    limit, stop = _number(spec.limit_price), _number(spec.stop_price)
    match spec.order_type:
        case OrderType.MARKET:
            return requests.MarketOrderRequest(**common)
        case OrderType.LIMIT:
            return requests.LimitOrderRequest(**common, limit_price=limit)
        case OrderType.STOP:
            return requests.StopOrderRequest(**common, stop_price=stop)
        case OrderType.STOP_LIMIT:
            return requests.StopLimitOrderRequest(**common, limit_price=limit, stop_price=stop)


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _object(answer: object) -> Json:
    if not isinstance(answer, dict):
        raise RestProblem(ProblemKind.UNCLEAR, "an answer of another shape than asked for")
    return answer


def _objects(answer: object) -> list[Json]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise RestProblem(ProblemKind.UNCLEAR, "an answer of another shape than asked for")
    return answer


def _requests_left(headers: Mapping[str, str]) -> int | None:
    """How many requests the broker still takes this minute; None when it does not say, or does not count."""
    try:
        return int(headers["X-RateLimit-Remaining"]) if int(headers["X-RateLimit-Limit"]) > 0 else None
    except (KeyError, ValueError):
        return None


def _pause_s(headers: Mapping[str, str]) -> float:
    """How long to leave the broker alone after a 429."""
    try:
        seconds = float(headers["Retry-After"])
    except (KeyError, ValueError):
        try:
            seconds = float(headers["X-RateLimit-Reset"]) - time.time()
        except (KeyError, ValueError):
            seconds = _USUAL_PAUSE_S
    # Comparisons in this order, so that a NaN becomes the shortest pause.
    return min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, seconds))
