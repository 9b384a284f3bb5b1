"""Fresh access tokens from t2-cred, long after the user has gone home.

    import t2cred

    token = t2cred.get(profile="gep")
    session.auth = t2cred.Auth("https://api.example.org", profile="gep")

Every call runs the command t2-cred, which keeps the refresh token, refreshes under a
lock, and serves all processes of the user from one cache. Importing this module
imports nothing outside of the standard library. The adapters import their library
when they are used: t2cred.aws, t2cred.gdal, t2cred.obstore, t2cred.pystac.
"""

from ._auth import Auth
from ._command import Account, Error, erase, exchange, get, status
from ._token import Token
from ._version import __version__

__all__ = ["Account", "Auth", "Error", "Token", "__version__", "erase", "exchange", "get", "status"]
