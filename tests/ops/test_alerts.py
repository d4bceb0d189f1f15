"""Each alert has a cause that a test shows, a section of the manual, and rules that are made of what we promise."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ops.alerts.__main__ import HERE, OBJECTIVES, RULES, generated, mark
from ops.dashboards.boards import metrics_in
from stack import Stack
from tests.docs.test_pages import MANUAL, anchors
from tests.ops.test_dashboards import ours, unknown_to_temporals_sdk
from tests.prometheus import promtool

FILES = sorted((HERE / "rules").glob("*.yaml"))
CASES = sorted((HERE / "tests").glob("*.yaml"))
WRITTEN: list[dict[str, Any]] = [
    rule for path in FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in WRITTEN if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})


def cases() -> dict[str, list[list[bool]]]:
    """Whether promtool expects each alert to fire, one time after another: by its name, for each of its cases."""
    found: dict[str, list[list[bool]]] = {}
    for path in CASES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            name, *others = {expected["alertname"] for expected in test["alert_rule_test"]}
            assert not others
            found.setdefault(name, []).append([bool(each.get("exp_alerts")) for each in test["alert_rule_test"]])
    return found


def test_the_objectives_rules_are_made_of_the_objectives_as_they_stand() -> None:
    assert RULES.read_text().startswith(mark()), "run `python -m ops.alerts`"


def test_we_promise_what_the_manual_says() -> None:
    promised = [slo["objective"] for slo in yaml.safe_load(OBJECTIVES.read_text())["slos"]]
    told = re.search(r"^\| objective, over 30 days .*\n\|.*\n((?:\|.*\n)+)", MANUAL.read_text(), re.MULTILINE)
    assert told
    assert [float(each) for each in re.findall(r"([\d.]+)%", told[1])] == promised


@pytest.mark.parametrize("rule", WRITTEN, ids=lambda rule: rule.get("alert") or rule["record"])
def test_each_rule_is_promql_of_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert {name for name in metrics_in(rule["expr"]) if name.startswith("seatwright_")} <= set(ours())
    assert unknown_to_temporals_sdk(metrics_in(rule["expr"])) == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_each_alert_leads_to_its_section_of_the_manual(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert anchor in anchors(MANUAL)
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_the_manual_describes_no_alert_that_does_not_exist() -> None:
    manual = MANUAL.read_text()
    assert sorted(re.findall(r"^### Alert: (\w+)$", manual, re.MULTILINE)) == NAMES
    table = "".join(re.findall(r"^\| `\w+-metrics` \|.*$", manual, re.MULTILINE))
    named = set(re.findall(r"`([A-Z][a-z]\w+)`", table)) - {"PaymentDeclined", "PaymentUnknown"}
    assert named <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_case_in_which_it_fires_and_clears(name: str) -> None:
    assert all(fires == [False, True, False] for fires in cases()[name])


@pytest.mark.thorough  # Prometheus and sloth are built for it; the tests above see what is missing
def test_promtool_and_sloth_agree(stack: Stack) -> None:
    stack.up("victoria-metrics", "prometheus")
    stack.stop("prometheus")
    stack.stop("victoria-metrics")
    promtool(stack, "check", "rules", *map(str, FILES))
    promtool(stack, "test", "rules", *map(str, CASES))
    assert generated() == RULES.read_text()
