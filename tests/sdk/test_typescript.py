"""The TypeScript client: its types are the API's, it compiles, and it makes round trips."""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.sdk.stub_server import Stub

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "clients" / "typescript"
TSC = REPOSITORY / "node_modules" / ".bin" / "tsc"

RIGHT_AND_WRONG = """
import { Meterline } from "./client.js";
const client = new Meterline("http://stub", "key");
const { accepted } = await client.sendEvents({ source: "s", type: "t", subject: "acme" });
const count: number = accepted;
const path = { customer: "acme" };
const invoice = await client.call("get", "/v1/customers/{customer}/invoices/upcoming", { path });
const total: string = invoice.total;
const body = { name: "Acme" };
const { key } = await client.call("put", "/v1/customers/{customer}", { path, body });
console.log(count, total, key.length);
const nothing: undefined = await client.call("delete", "/v1/segments/{segment}", {
  path: { segment: "gold" },
});
console.log(nothing);
// @ts-expect-error an event needs a customer
await client.sendEvents({ source: "s", type: "t" });
// @ts-expect-error the path's parameter is missing
await client.call("get", "/v1/customers/{customer}", {});
// @ts-expect-error there is no such route
await client.call("get", "/v1/nothing", {});
// @ts-expect-error there is no such member
console.log(invoice.sum);
"""


def compiled(sources: Path, to: Path) -> Path:
    """The compiled client; every complaint of the compiler fails the test."""
    project = to / "tsconfig.json"
    settings = {"extends": str(FOLDER / "tsconfig.json"), "include": [str(sources)]}
    project.write_text(json.dumps(settings | {"compilerOptions": {"outDir": str(to / "dist")}}))
    (to / "package.json").write_text('{"type": "module"}')
    done = subprocess.run([TSC, "-p", project], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    return to / "dist" / "client.js"


def play(module: Path, url: str, key: str, customer: str, bad: object) -> dict[str, Any]:
    """What the compiled client saw at this address."""
    return _played("typescript_calls.mjs", module, url, key, customer, json.dumps(bad))


def _played(script: str, *arguments: Path | str) -> dict[str, Any]:
    command = ["node", Path(__file__).parent / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_its_types_are_those_of_the_api() -> None:
    specification = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert specification
    assert specification.loader
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    up_to_date = (FOLDER / "src" / "api.ts").read_text() == generate.generated()
    assert up_to_date, "the API has changed: run `make clients` and commit clients/typescript"


def test_the_compiler_tells_right_from_wrong(tmp_path: Path) -> None:
    sources = tmp_path / "src"
    sources.mkdir()
    for file in (FOLDER / "src").iterdir():
        (sources / file.name).write_text(file.read_text())
    (sources / "use.ts").write_text(RIGHT_AND_WRONG)
    compiled(sources, tmp_path)


def test_what_it_makes_of_answers(tmp_path: Path) -> None:
    assert _played("typescript_answers.mjs", compiled(FOLDER / "src", tmp_path)) == {
        "nothing": {"found": None, "requests": 1},
        "later": {"found": None, "requests": 2},
        "muchLater": {"kind": 429, "requests": 1},
        "words": {"kind": "SyntaxError", "requests": 3},
    }


def test_round_trips_through_faults(stub: Stub, url: str, tmp_path: Path) -> None:
    draws = iter(["lost-reply", "unavailable", "too-many-requests", "reset-before-storing"])
    stub.draw = lambda: next(draws, "")  # type: ignore[method-assign]
    module = compiled(FOLDER / "src", tmp_path)
    seen = play(module, url, "ml_key", "acme", {"bad": True})
    assert seen["sent"] == {"accepted": 0, "duplicates": 3, "unmetered": 0}
    assert seen["again"]["duplicates"] == 1
    assert seen["refused"] == {"status": 422, "pointers": ["/0/data/bad"]}
    assert stub.store.tally()["stored"] == 2
