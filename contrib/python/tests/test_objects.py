"""boto3, botocore and obstore at a MinIO that trusts the issuer."""

import os
import threading
from datetime import datetime, timedelta, timezone

import boto3
import obstore
import pytest
import t2cred
import t2cred.aws
import t2cred.obstore
from obstore.store import S3Store

MINIO = os.environ["T2_TEST_MINIO"]
ROLE = {"role_arn": os.environ["T2_TEST_MINIO_ROLE"]}


@pytest.fixture
def client():
    session = t2cred.aws.session(MINIO, **ROLE, region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=MINIO)
    try:
        s3.create_bucket(Bucket="results")
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    return s3


def test_keys_do_not_show_themselves():
    got = t2cred.aws.keys(MINIO, **ROLE)
    assert got.secret_access_key not in repr(got) and got.session_token not in repr(got)
    assert timedelta(minutes=58) < got.expires_at - datetime.now(timezone.utc) <= timedelta(minutes=61)
    assert t2cred.aws.keys(MINIO, **ROLE).access_key_id == got.access_key_id


def test_boto3(client):
    client.put_object(Bucket="results", Key="a.txt", Body=b"by boto3")
    assert client.get_object(Bucket="results", Key="a.txt")["Body"].read() == b"by boto3"


def test_the_environment_does_not_win(client, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "v7Lq2Xc9Tm4Kz8Wn")
    session = t2cred.aws.session(MINIO, **ROLE, region_name="us-east-1")
    assert session.get_credentials().method == "t2-cred"
    assert session.client("s3", endpoint_url=MINIO).list_buckets()["Buckets"]


def test_botocore_asks_again_in_time(monkeypatch):
    """By a clock that runs ahead: real keys live fifteen minutes at least."""
    asked = []
    real = t2cred.aws.keys

    def keys(endpoint, **options):
        got = real(endpoint, **options)
        asked.append(got)
        return got._replace(expires_at=datetime.now(timezone.utc) + timedelta(seconds=4))

    monkeypatch.setattr(t2cred.aws, "keys", keys)
    credentials = t2cred.aws.credentials(MINIO, **ROLE)
    for _ in range(3):
        credentials.get_frozen_credentials()
    assert len(asked) == 1
    threading.Event().wait(3)
    frozen = credentials.get_frozen_credentials()
    assert len(asked) == 2 and frozen.access_key == asked[1].access_key_id


def test_obstore(client):
    store = S3Store(
        "results",
        endpoint=MINIO,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        credential_provider=t2cred.obstore.S3Credentials(MINIO, **ROLE),
    )
    obstore.put(store, "b.txt", b"by obstore")
    assert bytes(obstore.get(store, "b.txt").bytes()) == b"by obstore"
    assert client.get_object(Bucket="results", Key="b.txt")["Body"].read() == b"by obstore"


def test_what_the_sts_refuses():
    with pytest.raises(t2cred.Error) as caught:
        t2cred.aws.keys(MINIO, role_arn="arn:minio:iam:::role/none")
    assert caught.value.exit == 8
    with pytest.raises(t2cred.Error) as caught:
        t2cred.aws.session("https://sts.example.org")
    assert (caught.value.exit, caught.value.code) == (3, "not_mine")
    assert isinstance(boto3.Session(), boto3.Session)
