"""S3 keys for boto3 and botocore, from an STS by `t2-cred aws`.

    s3 = t2cred.aws.session("https://minio.example.org", profile="eo").client(
        "s3", endpoint_url="https://minio.example.org")

The STS must be among the profile's hosts. t2-cred keeps the keys and renews them.
"""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional

from ._command import Seconds, parse, run

if TYPE_CHECKING:
    import boto3
    import botocore.credentials

# botocore's own, for keys that live an hour.
ADVISORY, MANDATORY = 15 * 60, 10 * 60


class Keys(NamedTuple):
    """Temporary keys. repr() does not show the secret ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"<t2cred.aws.Keys {self.access_key_id}, expires_at={self.expires_at}>"


def keys(
    endpoint: str,
    *,
    role_arn: Optional[str] = None,
    duration: Optional[Seconds] = None,
    profile: Optional[str] = None,
    account: Optional[str] = None,
) -> Keys:
    """Keys of an STS: the cached ones, or new ones shortly before those end."""
    command = ["aws", f"--endpoint={endpoint}"]
    if role_arn is not None:
        command.append(f"--role-arn={role_arn}")
    if duration is not None:
        command.append(f"--duration={duration:.0f}")
    answer = parse(run(command, profile, account, None))
    expires_at = datetime.fromisoformat(str(answer["Expiration"]).replace("Z", "+00:00"))
    return Keys(str(answer["AccessKeyId"]), str(answer["SecretAccessKey"]), str(answer["SessionToken"]), expires_at)


def credentials(endpoint: str, **options: Any) -> "botocore.credentials.RefreshableCredentials":
    """botocore's credentials that renew themselves. The options are those of keys."""
    from botocore.credentials import RefreshableCredentials

    def metadata() -> Dict[str, str]:
        got = keys(endpoint, **options)
        return {
            "access_key": got.access_key_id,
            "secret_key": got.secret_access_key,
            "token": got.session_token,
            "expiry_time": got.expires_at.isoformat(),
        }

    first = metadata()
    life = (datetime.fromisoformat(first["expiry_time"]) - datetime.now(timezone.utc)).total_seconds()
    # With its own figures botocore would renew shorter-lived keys at every call.
    return RefreshableCredentials.create_from_metadata(
        first,
        metadata,
        "t2-cred",
        advisory_timeout=int(min(ADVISORY, life / 2)),
        mandatory_timeout=int(min(MANDATORY, life / 3)),
    )


def session(
    endpoint: str,
    *,
    role_arn: Optional[str] = None,
    duration: Optional[Seconds] = None,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    **boto3_options: Any,
) -> "boto3.Session":
    """A boto3.Session with these keys. boto3_options go to boto3.Session, as region_name."""
    import boto3
    from botocore.credentials import CredentialProvider
    from botocore.session import get_session

    got = credentials(endpoint, role_arn=role_arn, duration=duration, profile=profile, account=account)

    class Provider(CredentialProvider):  # type: ignore[misc,unused-ignore]
        METHOD = "t2-cred"

        def load(self) -> Any:
            return got

    base = get_session()
    base.get_component("credential_provider").insert_before("env", Provider())
    return boto3.Session(botocore_session=base, **boto3_options)
