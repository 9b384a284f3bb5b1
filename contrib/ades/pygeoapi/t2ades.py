"""Jobs that act for their users, in pygeoapi: a manager, a base for processors, and an example.

The manager exchanges the request's access token when a job is accepted. The account has
the job's id. While the job runs, the processor asks for fresh tokens by that account,
also when the user has logged out and the request's token has expired. When the job is
done, has failed or is dismissed, the manager erases the account.

server:
  manager:
    name: t2ades.Manager
    connection: /var/lib/ades/jobs.db
    output_dir: /var/lib/ades/results
resources:
  count:
    type: process
    processor: {name: t2ades.Count, store: "https://results.example.org"}
"""

import base64
import json
import logging
import threading
from http import HTTPStatus

import requests
import t2cred
from flask import has_request_context, request
from pygeoapi.process.base import BaseProcessor, ProcessorExecuteError
from pygeoapi.process.manager.tinydb_ import TinyDBManager

log = logging.getLogger("t2ades")


class NotAccepted(ProcessorExecuteError):
    """The job is not accepted: the user's token cannot be exchanged."""

    def __init__(self, status, message):
        super().__init__(message, user_msg=message)
        self.http_status_code, self.ogc_exception_code = status, "NotAuthorized"


class Dismissed(ProcessorExecuteError):
    """The user has dismissed the job."""


class Job:
    """What a processor may do for its user. It holds no token."""

    def __init__(self, job_id, login):
        self.id, self.login = job_id, login
        self.dismissed = threading.Event()

    def auth(self, server):
        """For requests and httpx: the user's fresh token for one server."""
        return t2cred.Auth(server, account=self.id)

    def sleep(self, seconds):
        """Waits, and ends the job at once when it is dismissed."""
        if self.dismissed.wait(seconds):
            raise Dismissed(f"job {self.id} was dismissed")


class Manager(TinyDBManager):
    """Begins a grant when a job is accepted, and ends it with the job.

    It knows the jobs of its own process. Run one process with threads.
    """

    def __init__(self, manager_def):
        super().__init__(manager_def)
        self._jobs, self._lock = {}, threading.Lock()

    def _execute_handler_async(self, p, job_id, *args, **options):
        # Still in the request. The thread of the job has no request any more.
        self._begin(p, job_id)
        return super()._execute_handler_async(p, job_id, *args, **options)

    def _execute_handler_sync(self, p, job_id, *args, **options):
        # In the request, or in the thread of the job, which the method above has begun.
        if has_request_context():
            self._begin(p, job_id)
        try:
            return super()._execute_handler_sync(p, job_id, *args, **options)
        finally:
            self._end(job_id)

    def delete_job(self, job_id):
        # pygeoapi forgets the job, and its thread runs on.
        self._end(job_id)
        return super().delete_job(job_id)

    def _begin(self, processor, job_id):
        if not isinstance(processor, UserProcessor):
            return
        try:
            self._exchange(processor, job_id)
        except NotAccepted:
            super().delete_job(job_id)  # pygeoapi has noted it already
            raise

    def _exchange(self, processor, job_id):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotAccepted(HTTPStatus.UNAUTHORIZED, "an access token is needed: Authorization: Bearer …")
        # Under the lock, so that no other job of this login ends and revokes meanwhile.
        with self._lock:
            try:
                t2cred.exchange(token.strip(), account=job_id)
            except t2cred.Error as error:
                log.error("job %s is not accepted: %s", job_id, error)
                if error.exit in (4, 7, 8):  # about the token
                    raise NotAccepted(HTTPStatus.UNAUTHORIZED, "the access token cannot be exchanged") from None
                raise NotAccepted(HTTPStatus.SERVICE_UNAVAILABLE, "the access token cannot be exchanged now") from None
            processor.job = self._jobs[job_id] = Job(job_id, login_of(token))

    def _end(self, job_id):
        """Erases the account of a job, once."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
            if job is None:
                return
            # Keycloak revokes all grants of a login with the first of them, and the other
            # jobs of this login still need theirs. The last job revokes.
            others = any(j.login == job.login for j in self._jobs.values())
            job.dismissed.set()
            try:
                t2cred.erase(account=job_id, local_only=others)
            except t2cred.Error as error:
                # The issuer is away: the account stays, and the operator erases it later.
                log.error("the account of job %s is not erased: %s", job_id, error)


def login_of(token):
    """The login that a token comes from: its claim sid, or the token itself.

    The token has been exchanged, so the issuer has checked it.
    """
    try:
        part = token.strip().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return claims["iss"], claims["sid"]
    except (IndexError, KeyError, TypeError, ValueError):
        return object()


class UserProcessor(BaseProcessor):
    """A processor that acts for the user of the request. self.job is its Job."""

    job: Job


class Count(UserProcessor):
    """The example: counts for a while, and sends the result to a store that wants the user's token."""

    def __init__(self, processor_def):
        super().__init__(processor_def, DESCRIPTION)
        self.store, self.s3 = processor_def.get("store"), processor_def.get("s3")

    def execute(self, data, outputs=None):
        for _ in range(int(data.get("seconds", 1))):
            self.job.sleep(1)
        content = f"counted to {data.get('seconds', 1)} for {data.get('name', 'nobody')}\n"
        self.stage_out(f"{self.job.id}.txt", content.encode())
        return "application/json", {"id": "result", "value": f"{self.job.id}.txt"}

    def stage_out(self, name, content):
        if self.store:
            url = f"{self.store}/files/{name}"
            requests.put(url, data=content, auth=self.job.auth(self.store), timeout=60).raise_for_status()
        if self.s3:
            import t2cred.aws

            options = {"role_arn": self.s3.get("role_arn"), "account": self.job.id, "region_name": "us-east-1"}
            session = t2cred.aws.session(self.s3["endpoint"], **options)
            session.client("s3", endpoint_url=self.s3["endpoint"]).put_object(Bucket=self.s3["bucket"], Key=name, Body=content)


DESCRIPTION = {
    "version": "1.0.0",
    "id": "count",
    "title": "Count",
    "description": "Counts for a while, and stores the result for the user",
    "jobControlOptions": ["sync-execute", "async-execute"],
    "keywords": ["example"],
    "links": [],
    "inputs": {
        "seconds": {"title": "Seconds", "schema": {"type": "integer"}, "minOccurs": 0, "maxOccurs": 1},
        "name": {"title": "Name", "schema": {"type": "string"}, "minOccurs": 0, "maxOccurs": 1},
    },
    "outputs": {"result": {"title": "Name of the stored result", "schema": {"type": "object", "contentMediaType": "application/json"}}},
    "example": {"inputs": {"seconds": 5, "name": "alice"}},
}
