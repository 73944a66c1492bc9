"""What `up` leaves for people and programs: addresses, keys, a signed-in link, a catalogue."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from cli.client import ApiError, Client, path
from local.deploy import outputs
from local.emulator import Aws, LocalError, aws_environment
from local.home import REPOSITORY, Home

SCOPES = ("admin", "ingest", "read")
CATALOGUE = REPOSITORY / "local" / "demo_catalogue.yaml"
# Someone to look at in the portal before anything else has happened.
CUSTOMER = "demo"
CUSTOMER_NAME = "Demo customer"
PORTAL_SECONDS = 86_400
BALANCE = "/v1/customers/{key}/balance"

Stack = dict[str, str]


def read_stack(home: Home) -> Stack:
    """What the last `up` left; empty when there was none."""
    try:
        stack: Stack = json.loads(home.stack_json.read_text())
    except FileNotFoundError:
        return {}
    return stack


def open_access(home: Home, aws: Aws, url: str) -> Stack:
    """Write stack.json. Keys are made once, and again only when the system refuses them."""
    before = read_stack(home)
    keys = {name: before.get(name, "") for name in (f"{scope}_key" for scope in SCOPES)}
    if not _accepts(url, keys["admin_key"], "/v1/customers?limit=1"):
        keys = {f"{scope}_key": _create_key(aws, scope) for scope in SCOPES}
    admin = Client(url, keys["admin_key"])
    _run(["catalog", "apply", str(CATALOGUE)], _as_client(url, keys["admin_key"]))
    admin.call("PUT", path("/v1/customers/{key}", key=CUSTOMER), body={"name": CUSTOMER_NAME})
    stack = {
        "url": url,
        **keys,
        "console_url": f"{url}/console",
        "portal_url": _portal_url(admin, url, before),
        "aws_endpoint": aws.endpoint_url,
    }
    home.stack_json.write_text(json.dumps(stack, indent=2) + "\n")
    home.stack_json.chmod(0o600)
    return stack


def is_open(stack: Stack, url: str) -> bool:
    """Whether what the last `up` left still holds: address, keys and the portal's link."""
    return (
        stack.get("url") == url
        and _accepts(url, stack["admin_key"], "/v1/customers?limit=1")
        and _accepts(url, _portal_token(stack), path(BALANCE, key=CUSTOMER))
    )


def describe(stack: Stack) -> str:
    """What a person wants to know once the system is up."""
    return "\n".join(
        (
            f"API         {stack['url']}",
            f"console     {stack['console_url']}",
            f"portal      {stack['portal_url']}",
            f"admin key   {stack['admin_key']}",
            f"ingest key  {stack['ingest_key']}",
            f"read key    {stack['read_key']}",
            f"AWS         {stack['aws_endpoint']}",
        )
    )


def _accepts(url: str, token: str, target: str) -> bool:
    if not token:
        return False
    try:
        Client(url, token).call("GET", target)
    except ApiError as error:
        if error.status == 401:
            return False
        raise
    return True


def _portal_token(stack: Stack) -> str:
    return stack.get("portal_url", "").partition("#token=")[2]


def _portal_url(admin: Client, url: str, before: Stack) -> str:
    """A link that is signed in as the demo customer; the one from before while it still works."""
    token = _portal_token(before)
    if not _accepts(url, token, path(BALANCE, key=CUSTOMER)):
        session = {"customer": CUSTOMER, "ttl_seconds": PORTAL_SECONDS}
        token = admin.call("POST", "/v1/portal/sessions", body=session)["token"]
    return f"{url}/portal#token={token}"


def _create_key(aws: Aws, scope: str) -> str:
    """A new API key of one scope, made by the application's own command on the deployed table."""
    deployed = outputs(aws)
    environment = {
        **aws_environment(aws.endpoint_url),
        "STAGE": "local",
        "BILLING_TABLE": deployed["BillingTableName"],
        "SECRET_ARN": deployed["SecretArn"],
    }
    return _run(["keys", "create", "--scope", scope], environment).strip()


def _as_client(url: str, key: str) -> dict[str, str]:
    return {"METERLINE_URL": url, "METERLINE_API_KEY": key}


def _run(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run one command of the command line and return what it printed; raises LocalError."""
    finished = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise LocalError(f"meterline {' '.join(arguments)} failed: {finished.stderr.strip()}")
    return finished.stdout
