"""A STAC API behind a token, by pystac-client.

    catalog = t2cred.pystac.open("https://stac.example.org", profile="eo")
"""

from typing import TYPE_CHECKING, Any, Optional

from ._auth import Auth
from ._command import Seconds

if TYPE_CHECKING:
    import pystac_client


def open(
    url: str,
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    min_valid: Optional[Seconds] = None,
    **client_options: Any,
) -> "pystac_client.Client":
    """pystac_client.Client.open with the token for the origin of url, and for no other.

    The further options go there, except request_modifier, which carries the token.
    """
    from pystac_client import Client

    auth = Auth(url, profile=profile, account=account, min_valid=min_valid)
    return Client.open(url, request_modifier=auth, **client_options)
