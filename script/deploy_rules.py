"""Rules about the files for deployment that no tool knows. Called by script/check-deploy, from the repository's root:

    python3 script/deploy_rules.py COMPOSE DASHBOARD

COMPOSE is docker-compose.yml as Compose understands it. The dashboard's queries are written to DASHBOARD as recording
rules, since promtool can check those. Prints each rule that is broken with the places, and exits 1.
"""

import json
import re
import sys
from pathlib import Path

import yaml

# Added by Prometheus: `exported_job` is what it makes of our label `job`.
ADDED = {"alertname", "alertstate", "exported_job", "instance", "job", "le"}
SEVERITIES = {"critical", "warning"}
broken = []


def rule(words, places):
    """A rule is broken when there are places."""
    if places := sorted(set(places)):
        broken.append("\n  ".join([words, *places]))


def documented(text):
    """The metrics that stand in the document in backticks, each with its labels."""
    metrics = {}
    for name, labels in re.findall(r"`(overseas_[a-z_]+)(?:\{([^}`]*)\})?`", text):
        metrics.setdefault(name, set()).update(re.findall(r"([a-z_]+)\s*(?:=[^,]*)?(?:,|$)", labels))
    return metrics


def base(name, metrics):
    """A histogram's name without what Prometheus adds for its parts."""
    stem = re.sub(r"_(bucket|count|sum)$", "", name)
    return stem if name not in metrics and stem in metrics else name


def check_queries(place, queries, metrics):
    """Holds PromQL to the documented names and labels."""
    known = ADDED.union(*metrics.values())
    names, labels = [], []
    for query in queries:
        # A value may have braces of its own, as a route does.
        query = re.sub(r'"[^"]*"', '""', query)
        for name, selector in re.findall(r"\b(overseas_[a-z_]+)(?:\{([^}]*)\})?", query):
            name = base(name, metrics)
            if name not in metrics:
                names.append(f"{place}: {name}")
                continue
            selected = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", selector))
            labels += [f"{place}: {name}{{{label}}}" for label in selected - metrics[name] - ADDED]
        for grouped in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", query):
            labels += [f"{place}: ({grouped})" for label in re.findall(r"\w+", grouped) if label not in known]
    rule("Each metric stands in docs/OPERATIONS.md, in backticks.", names)
    rule("Each label of a metric stands in docs/OPERATIONS.md.", labels)


def anchors(text):
    """Where links into the document lead, as its headings make them."""
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_alerts(document, metrics):
    file = "deploy/prometheus/alerts.yml"
    groups = yaml.safe_load(Path(file).read_text())["groups"]
    alerts = {entry["alert"]: entry for group in groups for entry in group["rules"]}
    check_queries(file, [entry["expr"] for entry in alerts.values()], metrics)
    targets, wanted = anchors(document), set()
    labels, links, sections = [], [], []
    for name, entry in alerts.items():
        annotations = entry.get("annotations", {})
        if entry.get("labels", {}).get("severity") not in SEVERITIES:
            labels.append(f"{name}: severity")
        labels += [f"{name}: {each}" for each in ("summary", "description") if not annotations.get(each)]
        anchor = "alert-" + re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        wanted.add(anchor)
        if not annotations.get("runbook_url", "").endswith(f"/docs/OPERATIONS.md#{anchor}"):
            links.append(f"{name}: expected /docs/OPERATIONS.md#{anchor}")
        if anchor not in targets:
            sections.append(f"{name}: no heading for #{anchor}")
    rule("Each alert has a severity (critical, warning), a summary and a description.", labels)
    rule("Each alert links to its section of docs/OPERATIONS.md.", links)
    rule("Each alert has its section in docs/OPERATIONS.md.", sections)
    stale = [anchor for anchor in targets if anchor.startswith("alert-overseas-") and anchor not in wanted]
    rule("Each section about an alert in docs/OPERATIONS.md has its alert.", stale)
    check_alert_tests(alerts, metrics)


def check_alert_tests(alerts, metrics):
    file = "deploy/prometheus/alerts_test.yml"
    tests = yaml.safe_load(Path(file).read_text())["tests"]
    check_queries(file, [series["series"] for test in tests for series in test["input_series"]], metrics)
    checks = [check for test in tests for check in test.get("promql_expr_test", [])]
    for words, expected in (("fires", True), ("does not fire", False)):
        tried = {
            name
            for check in checks
            if bool(check["exp_samples"]) == expected
            for name in re.findall(r'alertname="(\w+)"', check["expr"])
        }
        rule(f"A test in {file} shows when an alert {words}.", set(alerts) - tried)


def check_dashboard(path, metrics):
    file = "deploy/grafana/overseas.json"
    dashboard = json.loads(Path(file).read_text())
    panels = dashboard["panels"]
    shown = [panel for panel in panels if panel["type"] != "row"]
    queries = [target["expr"] for panel in shown for target in panel["targets"]]
    variables = [entry["definition"] for entry in dashboard["templating"]["list"] if "definition" in entry]
    check_queries(file, queries + variables, metrics)
    ids = [panel["id"] for panel in panels]
    rule(f"Each panel of {file} has an id of its own.", [f"id {each}" for each in ids if ids.count(each) > 1])
    sources = [each for panel in shown for each in [panel, *panel["targets"]]]
    fixed = [json.dumps(each["datasource"]) for each in sources if each["datasource"]["uid"] != "${datasource}"]
    rule(f"The data source of {file} is its variable, so that it can be imported anywhere.", fixed)
    unseen = {base(name, metrics) for query in queries for name in re.findall(r"overseas_[a-z_]+", query)}
    rule(f"Each metric is somewhere in {file}.", set(metrics) - unseen)
    plain = [query.replace("$__rate_interval", "5m").replace("$cdn", ".*") for query in queries]
    rules = [{"record": f"dashboard:query:{number}", "expr": query} for number, query in enumerate(plain)]
    Path(path).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))


def check_compose(path):
    services = yaml.safe_load(Path(path).read_text())["services"]
    published = [name for name, service in services.items() if service.get("ports") and name != "api"]
    rule("docker-compose.yml publishes the API's port only.", published)
    raised = [name for name, service in services.items() if "no-new-privileges:true" not in service["security_opt"]]
    rule("No service in docker-compose.yml can gain rights.", raised)
    writable = [name for name, service in services.items() if name != "mariadb" and not service.get("read_only")]
    rule("No service in docker-compose.yml but the database writes to its own file system.", writable)


def check_image():
    crates = re.search(r"^members = \[(.*)\]$", Path("Cargo.toml").read_text(), re.MULTILINE)[1]
    crates = re.findall(r'"([^"]+)"', crates)
    dockerfile = Path("Dockerfile").read_text().splitlines()
    wanted = [line for crate in crates for line in (f"COPY {crate}/Cargo.toml {crate}/", f"COPY {crate} {crate}")]
    rule("Dockerfile copies each crate, its manifest first.", [line for line in wanted if line not in dockerfile])
    let_in = Path(".dockerignore").read_text().splitlines()
    rule(".dockerignore lets each crate in.", [f"!{crate}" for crate in crates if f"!{crate}" not in let_in])


def main():
    compose, dashboard = sys.argv[1:]
    document = Path("docs/OPERATIONS.md").read_text()
    metrics = documented(document)
    check_alerts(document, metrics)
    check_dashboard(dashboard, metrics)
    check_compose(compose)
    check_image()
    print("\n".join(broken), end="\n" if broken else "")
    sys.exit(1 if broken else 0)


main()
