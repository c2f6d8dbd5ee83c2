"""Real remotes on this machine: an SFTP server, an S3 server, and one that never answers."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import boto3
import requests
from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"
USER, PASSWORD = "somebody", "right"
BUCKET = "shop"


@dataclass
class Sftp:
    """root: what clients see as /. pause_s: before each piece that is read or written."""

    root: Path
    port: int = 0
    pause_s: float = 0.0
    keys: list[str] = field(default_factory=list)
    """Public ones that may log in, in OpenSSH's format."""

    def url(self, folder: str) -> str:
        return f"ssh://{USER}@{HOST}:{self.port}/{folder}"


@contextmanager
def sftp(root: Path) -> Iterator[Sftp]:
    server = Sftp(root)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(_listen(server), loop).result()
    server.port = listening.get_port()
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


async def _listen(server: Sftp) -> Any:
    class Login(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return key.export_public_key().decode() in server.keys

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(channel, chroot=str(server.root))

        async def read(self, file: Any, offset: int, size: int) -> bytes:
            await asyncio.sleep(server.pause_s)
            return super().read(file, offset, size)

        async def write(self, file: Any, offset: int, data: bytes) -> int:
            await asyncio.sleep(server.pause_s)
            return super().write(file, offset, data)

    return await asyncssh.listen(
        HOST,
        0,
        server_factory=Login,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=Files,
    )


@dataclass(frozen=True)
class S3:
    endpoint: str
    key: str
    secret: str

    def objects(self) -> dict[str, int]:
        """Name and size of all."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


@contextmanager
def s3() -> Iterator[S3]:
    """With one bucket, and one user who may do anything with it. Signatures are checked."""
    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    boss = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    boss |= {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    boto3.client("s3", **boss).create_bucket(Bucket=BUCKET)
    iam = boto3.client("iam", **boss)
    iam.create_user(UserName=USER)
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=policy)
    made = iam.create_access_key(UserName=USER)["AccessKey"]
    _check_signatures_from("0", endpoint)
    yield S3(endpoint, made["AccessKeyId"], made["SecretAccessKey"])
    _check_signatures_from("inf", endpoint)
    server.stop()


def _check_signatures_from(request: str, endpoint: str) -> None:
    requests.post(f"{endpoint}/moto-api/reset-auth", data=request.encode(), timeout=10)


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes every connection and never says a word."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen(64)
        yield listening.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        return int(unused.getsockname()[1])
