"""`meterline catalog`: the file's lines, what would change, and the order of publishing."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import catalog
from cli.__main__ import main
from cli.catalogue_file import CatalogueFile
from cli.client import ApiError
from functions._http import Router
from functions.routes import add_ons, catalogue, costs, coupons, earned_shares, rewards
from tests.unit.catalogue.fakes import MemoryCatalogueStore, fake_runtime
from tests.unit.http.events import api_event

REPOSITORY = Path(__file__).parents[3]
FILE = """\
# Prices of our AI app.
plans:
  free: {name: Free, currency: USD, default: true}
  pro:
    name: Pro
    currency: USD
    fee: 20.00
    credits: [{unit: sparks, amount: 500}]
    rates:
      - meter: tokens
        price: {model: per_unit, unit_price: 0.000002}
credit_units:
  sparks:
    name: Sparks
    values: [{effective_at: 2026-01-01T00:00:00Z, currency: USD, value: 0.01}]
meters:
  tokens:
    event_type: completion
    aggregation: sum
    value: tokens
    filter: {tier: [paid, "1"]}
cost_rates:
  tokens:
    currency: EUR
    rates: [{price: {model: per_unit, unit_price: 0.0000004}}]
"""


RULES = (rewards.router, earned_shares.router)
ROUTER = Router((catalogue.router, costs.router, add_ons.router, coupons.router, *RULES))


class RouterClient:
    """A client whose requests go straight to the routes, over a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryCatalogueStore()
        self.puts: list[str] = []

    def call(self, method: str, path: str, *, body: object = None, query: str = "") -> Any:
        runtime = fake_runtime(self.store)
        event = api_event(method, path, body, query=query)
        answer = ROUTER.serve(event, lambda: runtime)
        document = json.loads(answer["body"])
        if answer["statusCode"] >= 400:
            raise ApiError(answer["statusCode"], document)
        if method == "PUT":
            self.puts.append(path.removeprefix("/v1/"))
        return document

    def pages(self, path: str) -> Any:
        return self.call("GET", path)["data"]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> RouterClient:
    client = RouterClient()
    monkeypatch.setattr(catalog.Client, "from_environment", lambda: client)
    return client


def run(
    action: str, directory: Path, text: str, *options: str, name: str = "catalogue.yaml"
) -> int:
    file = directory / name
    file.write_text(text)
    return main(["catalog", action, str(file), *options])


def test_apply_publishes_in_the_order_of_dependence_and_once(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("apply", tmp_path, FILE) == 0
    assert client.puts == [
        "meters/tokens",
        "cost-rates/tokens",
        "credit-units/sparks",
        "plans/pro",
        "plans/free",
    ]
    assert capsys.readouterr().out.endswith("5 of 5 entries published\n")
    assert run("apply", tmp_path, FILE) == 0
    assert capsys.readouterr().out == "0 of 5 entries published\n"
    assert client.store.catalogue.version == 5


def test_diff_shows_what_would_change_and_changes_nothing(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("diff", tmp_path, FILE) == 1
    assert (
        capsys.readouterr().out
        == "+ meter tokens\n+ cost rates of tokens\n+ credit unit sparks\n+ plan pro\n+ plan free\n"
    )
    assert client.store.catalogue.version == 0
    run("apply", tmp_path, FILE)
    capsys.readouterr()
    run("diff", tmp_path, FILE.replace("20.00", "25"))
    assert capsys.readouterr().out == '~ plan pro\n    fee: "20" -> "25"\n'
    dearer = FILE.replace("0.000002", "0.000003").replace(", amount: 500}]", ", amount: 500}, {}]")
    run("diff", tmp_path, dearer.replace("{}", "{unit: USD, amount: 1}"))
    added = '{"unit": "USD", "amount": "1", "expires": "period_end", "rollover_max": "0"}'
    assert capsys.readouterr().out == (
        f"~ plan pro\n    credits/1: null -> {added}\n"
        '    rates/0/price/unit_price: "0.000002" -> "0.000003"\n'
    )
    assert run("diff", tmp_path, FILE) == 0
    assert capsys.readouterr().out == "nothing to change\n"


def test_the_default_moves_in_one_go(client: RouterClient, tmp_path: Path) -> None:
    run("apply", tmp_path, FILE)
    moved = FILE.replace(", default: true", "").replace(
        "    fee: 20", "    default: true\n    fee: 20"
    )
    assert run("apply", tmp_path, moved) == 0
    assert client.store.catalogue.default_plan().key == "pro"


def test_json_is_read_too(client: RouterClient, tmp_path: Path) -> None:
    body = {"event_type": "call", "aggregation": "count", "value": None, "dimensions": ["1"]}
    text = json.dumps({"meters": {"calls": body}}, indent="\t")
    assert run("apply", tmp_path, text, name="catalogue.json") == 0
    assert client.store.catalogue.meters["calls"].dimensions == ("1",)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (("fee: 20.00", "fee: 20.001"), "7: plans/pro/fee: too-many-decimals"),
        (("per_unit", "flat"), "11: plans/pro/rates/0/price/amount: required"),
        (("name: Pro\n", "nam: Pro\n"), "5: plans/pro/nam: unknown-member"),
        (("    name: Pro\n", ""), "4: plans/pro/name: required"),
        (("sum", "count"), "20: meters/tokens/value: not-for-count"),
        (("meters:", "metres:"), "16: metres: unknown-section"),
        (("value: tokens", "aggregation: sum"), "20: meters/tokens/aggregation: repeated"),
        (("  free: {", "  free: "), "3: "),
        (("unit: sparks", "unit: stars"), "8: plans/pro/credits/0/unit: unknown-unit"),
    ],
)
def test_mistakes_are_named_by_line(
    client: RouterClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: tuple[str, str],
    complaint: str,
) -> None:
    assert run("apply", tmp_path, FILE.replace(*edit)) == 1
    assert f"catalogue.yaml:{complaint}" in capsys.readouterr().err


def test_a_changed_meter_is_refused_at_its_line(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("apply", tmp_path, FILE)
    client.puts.clear()
    changed = FILE.replace("value: tokens", "value: words").replace("20.00", "21.00")
    assert run("apply", tmp_path, changed) == 1
    assert "catalogue.yaml:17: meters/tokens: meter-immutable: " in capsys.readouterr().err
    assert client.puts == []


def test_everything_that_would_be_refused_is_told_before_anything_is_published(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = FILE.replace("unit: sparks", "unit: stars").replace("meter: tokens", "meter: words")
    for options in ([], ["--dry-run"]):
        assert run("apply", tmp_path, wrong, *options) == 1
        complaints = capsys.readouterr().err
        assert "catalogue.yaml:8: plans/pro/credits/0/unit: unknown-unit" in complaints
        assert "catalogue.yaml:10: plans/pro/rates/0/meter: unknown-meter" in complaints
    assert client.puts == []


def test_a_dry_run_publishes_nothing(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("apply", tmp_path, FILE, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("+ meter tokens\n+ cost rates of tokens\n")
    assert printed.endswith("5 of 5 entries would be published\n")
    assert client.puts == []


@pytest.mark.parametrize("name", ["pulled.yaml", "pulled.json"])
def test_what_is_pulled_is_what_is_published(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    demo = REPOSITORY / "local" / "demo_catalogue.yaml"
    assert main(["catalog", "apply", str(demo)]) == 0
    pulled = tmp_path / name
    assert main(["catalog", "pull", str(pulled)]) == 0
    capsys.readouterr()
    assert main(["catalog", "diff", str(pulled)]) == 0
    assert capsys.readouterr().out == "nothing to change\n"
    assert len(CatalogueFile(pulled).entries) == len(CatalogueFile(demo).entries)

    client.store = MemoryCatalogueStore()
    assert main(["catalog", "apply", str(pulled)]) == 0
    assert main(["catalog", "diff", str(demo)]) == 0


def test_coupons_are_published_after_their_plans_and_pulled_again(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coupon = {"name": "Launch", "percentage": "20", "duration": "periods", "periods": 3}
    text = FILE + f"coupons: {json.dumps({'launch': {**coupon, 'plans': ['pro']}})}\n"
    assert run("apply", tmp_path, text) == 0
    assert client.puts[-1] == "coupons/launch"
    assert run("apply", tmp_path, text) == 0
    capsys.readouterr()
    assert run("diff", tmp_path, text.replace('"periods": 3', '"periods": 6')) == 1
    assert capsys.readouterr().out == "~ coupon launch\n    periods: 3 -> 6\n"
    pulled = tmp_path / "pulled.yaml"
    assert main(["catalog", "pull", str(pulled)]) == 0
    assert yaml.safe_load(pulled.read_text())["coupons"]["launch"] == {**coupon, "plans": ["pro"]}
    wrong = text.replace('["pro"]', '["none"]')
    assert run("apply", tmp_path, wrong) == 1
    assert "coupons/launch/plans/0: unknown-plan" in capsys.readouterr().err


def test_a_file_is_not_overwritten_unasked(
    client: RouterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("apply", tmp_path, FILE)
    file = tmp_path / "catalogue.yaml"
    assert main(["catalog", "pull", str(file)]) == 1
    assert file.read_text() == FILE
    assert main(["catalog", "pull", str(file), "--force"]) == 0
    assert file.read_text().startswith("meters:\n  tokens:\n    event_type: completion\n")
    capsys.readouterr()
    assert main(["catalog", "pull", "-"]) == 0
    assert capsys.readouterr().out == file.read_text()


def test_reward_and_earning_rules_are_published_once_and_pulled_again(
    client: RouterClient, tmp_path: Path
) -> None:
    reward = {"meter": "tokens", "every": "5", "unit": "sparks", "amount": "1", "expires": "P90D"}
    chats = "  chats: {event_type: chat, aggregation: count, dimensions: [owner]}\n"
    file = FILE.replace("meters:\n", f"meters:\n{chats}")
    share = {"unit_price": "0.1", "percentage": "30"}
    earning = {"meter": "chats", "beneficiary": "owner", "share": share, "unit": "sparks"}
    rules = {"reward_rules": {"five": reward}, "earning_rules": {"owners": earning}}
    lines = "".join(f"{section}: {json.dumps(body)}\n" for section, body in rules.items())
    assert run("apply", tmp_path, file + lines) == 0
    assert client.puts[-2:] == ["reward-rules/five", "earning-rules/owners"]
    assert run("diff", tmp_path, file + lines) == 0
    pulled = tmp_path / "pulled.yaml"
    assert main(["catalog", "pull", str(pulled)]) == 0
    found = yaml.safe_load(pulled.read_text())
    assert {section: found[section] for section in rules} == rules
