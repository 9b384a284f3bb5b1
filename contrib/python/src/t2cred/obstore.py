"""S3 keys for obstore, and for what is built on it, from an STS by `t2-cred aws`.

    S3Store("results", endpoint="https://minio.example.org",
            credential_provider=t2cred.obstore.S3Credentials("https://minio.example.org", profile="eo"))

obstore asks again shortly before the keys end. Its HTTPStore takes fixed headers
alone, so a store of that kind lives as long as one token.
"""

from datetime import datetime
from typing import Any, Dict, Union

from .aws import keys


class S3Credentials:
    """A credential_provider of obstore's S3Store. The options are those of t2cred.aws.keys."""

    def __init__(self, endpoint: str, **options: Any) -> None:
        self._endpoint, self._options = endpoint, options

    def __call__(self) -> Dict[str, Union[str, datetime]]:
        got = keys(self._endpoint, **self._options)
        return {
            "access_key_id": got.access_key_id,
            "secret_access_key": got.secret_access_key,
            "token": got.session_token,
            "expires_at": got.expires_at,
        }
