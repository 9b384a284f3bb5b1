"""The access token that a caller gets."""

from datetime import datetime, timezone
from typing import Any, Dict, NoReturn, Optional


class Hidden(str):
    """A secret in one of our variables. Error trackers and debuggers print each variable by repr()."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class Token:
    """An access token and what is known of it.

    access_token  the token itself; repr() and str() do not show it
    token_type    how it is sent, "Bearer"
    expires_at    its end, an aware datetime in UTC, or None if the issuer named none
    scope         the scopes, with a space between two
    subject       the user, by the issuer's own id
    profile, account, issuer
    """

    __slots__ = ("access_token", "account", "expires_at", "issuer", "profile", "scope", "subject", "token_type")

    access_token: str
    token_type: str
    expires_at: Optional[datetime]
    scope: str
    subject: str
    profile: str
    account: str
    issuer: str

    def __init__(self, answer: Dict[str, Any]) -> None:
        """Takes what `t2-cred get --format json` prints."""
        for name in self.__slots__:
            if name != "expires_at":
                setattr(self, name, str(answer.get(name) or ""))
        ends = answer.get("expires_at")
        # Before Python 3.11 fromisoformat does not know the Z.
        self.expires_at = datetime.fromisoformat(ends.replace("Z", "+00:00")) if ends else None

    @property
    def expires_in(self) -> float:
        """The seconds that are left, by this machine's clock. Zero for a token without an end."""
        if self.expires_at is None:
            return 0.0
        return (self.expires_at - datetime.now(timezone.utc)).total_seconds()

    @property
    def authorization(self) -> str:
        """The value of the header Authorization."""
        return f"{self.token_type} {self.access_token}"

    def __repr__(self) -> str:
        return f"<t2cred.Token for {self.profile}/{self.account}, expires_at={self.expires_at}>"

    def __reduce__(self) -> NoReturn:
        # A pickle may end up on disk or in another process's log.
        raise TypeError("a token cannot be pickled; call t2cred.get where it is needed")
