"""Where Alpaca is, and who asks."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from tui_trader.errors import RefusedToStart
from tui_trader.settings import AlpacaSettings


@dataclass(frozen=True, slots=True)
class AlpacaAccess:
    """Keys, addresses and the market data feed. The keys never show in its ``repr``."""

    key_id: SecretStr
    secret_key: SecretStr
    paper: bool
    feed: str
    trading_url: str
    data_url: str
    data_stream_url: str
    trading_stream_url: str

    @classmethod
    def of(cls, settings: AlpacaSettings) -> AlpacaAccess:
        """Raises ``RefusedToStart`` when a key is missing."""
        if settings.key_id is None or settings.secret_key is None:
            raise RefusedToStart(
                "there are no Alpaca keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY in the environment"
            )
        return cls(
            settings.key_id, settings.secret_key, settings.paper, settings.feed, settings.trading_url,
            settings.data_url, settings.data_stream_url, settings.trading_stream_url,
        )  # fmt: skip

    @property
    def secrets(self) -> tuple[str, str]:
        """What must never be shown: both keys in the clear."""
        return self.key_id.get_secret_value(), self.secret_key.get_secret_value()
