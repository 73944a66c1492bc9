"""The AWS emulator as a child process: start it, wait for it, talk to it, stop it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config

REGION = "us-east-1"
ACCOUNT = "000000000000"
# One access key per emulator: the CDK CLI remembers which account a key belongs to.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
READY_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
ENGINE = Path(__file__).with_name("engine.py")


class LocalError(Exception):
    """Something a person has to put right before the local stack can run."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_taken(port: int) -> bool:
    """Whether something already listens on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Environment variables that point any AWS SDK or the CDK CLI at the emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_S3": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        **CREDENTIALS,
    }


@dataclass(frozen=True)
class Aws:
    """Clients for one emulator."""

    endpoint_url: str

    def client(self, service: str, read_timeout_seconds: int = 60, pool: int = 10) -> Any:
        """A boto3 client; it does not retry, so that failures are seen where they happen."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                read_timeout=read_timeout_seconds,
                max_pool_connections=pool,
                retries={"total_max_attempts": 1},
            ),
        )


@dataclass(frozen=True)
class Emulator:
    """One emulator: its port, and the folder that holds its state and temporary files."""

    port: int
    home: Path
    persist: bool = True
    enforce_iam: bool = True

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def aws(self) -> Aws:
        return Aws(self.endpoint_url)

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The emulator's whole environment.

        Functions inherit it, so nothing of the developer's shell may pass but the paths that
        processes need to start.
        """
        flag = {True: "1", False: "0"}
        return {
            **{name: inherited[name] for name in ("PATH", "HOME", "LANG") if name in inherited},
            **aws_environment(self.endpoint_url),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AUTH": "true" if self.enforce_iam else "false",
            "PERSIST_STATE": flag[self.persist],
            "STATE_DIR": str(self.home / "state"),
            "S3_PERSIST": flag[self.persist],
            "S3_DATA_DIR": str(self.home / "state" / "s3"),
            # Killed emulators leave temporary folders behind: give them a place we can empty.
            "TMPDIR": str(self.home / "tmp"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Functions stay warm while somebody tries things out: a start costs seconds here.
            "LAMBDA_WARM_TTL_SECONDS": "3600",
            "LOG_LEVEL": "WARNING",
        }

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the emulator in a session of its own, logging to `log`, without waiting."""
        for folder in (self.home / "state", self.home / "tmp", log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", str(ENGINE)],
                cwd=self.home,
                env=self.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the emulator answers; raise LocalError when it ends or takes too long."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LocalError(f"the AWS emulator ended with status {process.returncode}")
            try:
                urllib3.request(
                    "GET", f"{self.endpoint_url}/_ministack/health", retries=False, timeout=5
                )
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise LocalError(f"the AWS emulator did not answer within {READY_TIMEOUT_SECONDS} s")

    def remove_temporary_files(self) -> None:
        shutil.rmtree(self.home / "tmp", ignore_errors=True)


def stop_child(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end (an emulator saves its state), and insist when it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
