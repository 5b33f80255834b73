"""What the texts of the vendor's description say of requests beyond names and types: most items, allowed words, and what
goes only together.

Numbers and words are looked for in the texts themselves. Used by judge.py; mistakes.py breaks each rule once.
"""

import re
from datetime import datetime, timedelta

# "At most", as the texts write it for lists and for `Limit`.
MOST = r"(?:最大可设置为|最大值：|最大值为|最大为|最大查询条目为|上限：|Values 的上限为|Values的上限为|最多可一次性查询|最多传入|每次最多可提交) *(\d+)"
# Members whose values are words of the vendor's, each of which its text lists with a colon behind it.
WORDS = {
    ("cdn", None): {"Area", "AreaType", "Filter", "FlushType", "Interval", "LogType", "Metric", "PurgeType", "Status"},
    ("cdn", "DescribeMapInfo"): {"Name"},
    ("teo", None): {"Direction", "Interval", "Match", "Method", "MetricName", "MetricNames", "Mode", "Order", "Type"},
}
TARGETS = {"Urls", "Paths", "Targets"}
ENCODERS = {"cdn": "UrlEncode", "teo": "EncodeUrl"}
# The longest spans of time, in days, by action and interval.
SPANS = {
    ("DescribeCdnData", "min"): 1,
    ("DescribeCdnData", "5min"): 31,
    ("DescribeCdnData", "hour"): 31,
    ("DescribeCdnData", None): 90,
    ("ListTopData", None): 90,
    ("DescribeTimingL7AnalysisData", None): 31,
    ("DescribeTopL7AnalysisData", None): 31,
}


def most(text):
    """The greatest number that a text allows, if it names one."""
    found = re.search(MOST, text)
    return int(found.group(1)) if found else None


def lists(text, word):
    """Whether a text lists a word."""
    return re.search(rf"(?<![\w-]){re.escape(word)} *[:：]", text) is not None


def judge(description, action, request):
    """Complains of whatever breaks a rule, in a request whose names and types are right."""
    for rule in (sizes, words, filters, targets, times, combinations):
        rule(description, action, request)


def sizes(description, action, request):
    members = description.input(action)
    for name in request.keys() & members.keys():
        value, text = request[name], members[name]["document"]
        if name in TARGETS:
            text += description.actions[action]["document"]
        allowed = most(text) if name != "Filters" else None
        size = len(value) if isinstance(value, list) else value
        if allowed is not None and size > allowed:
            description.complain(f"{description.service} {action}.{name}: {size} is more than {allowed}")
        if isinstance(value, list) and not value and name != "Filters":
            description.complain(f"{description.service} {action}.{name}: empty")
        if name in ("Offset", "Limit") and value < (name == "Limit"):
            description.complain(f"{description.service} {action}.{name}: {value} is too little")


def words(description, action, request):
    members = description.input(action)
    named = WORDS[description.service, None] | WORDS.get((description.service, action), set())
    for name in request.keys() & members.keys() & named:
        values = request[name] if isinstance(request[name], list) else [request[name]]
        for value in values:
            if not lists(members[name]["document"], value):
                description.complain(f"{description.service} {action}.{name}: no such word: {value}")


def filters(description, action, request):
    """A filter's name stands in the text of `Filters`, or in that of its own member."""
    member = description.input(action).get("Filters")
    for item in request.get("Filters", []):
        name, values = item.get("Name", item.get("Key")), item.get("Value", item.get("Values"))
        described = description.members(member["member"])
        place, text = f"{description.service} {action}.Filters", member["document"]
        if "Operator" in described and not lists(described["Operator"]["document"], item["Operator"]):
            description.complain(f"{place}: no such operator: {item['Operator']}")
        # The keys of these conditions stand on a page of the documentation that is not in the description.
        if "Name" in described and not lists(text + described["Name"]["document"], name):
            description.complain(f"{place}: no such filter: {name}")
        line = next((line for line in re.split(r"\n|<li>", text) if line.startswith(f"{name}：")), "")
        if "暂不支持多值" in line:
            allowed = 1
        else:
            allowed = most(text) or (5 if description.service == "cdn" else 20)
        if not 0 < len(values) <= allowed:
            description.complain(f"{place}: {name} has {len(values)} values, of 1 to {allowed}")
        if name in ("type", "statuses"):
            for value in values:
                if not lists(line, value):
                    description.complain(f"{place}: no such word for {name}: {value}")


def targets(description, action, request):
    place = f"{description.service} {action}"
    for name in request.keys() & TARGETS:
        if request.get("Type") in ("purge_host", "purge_cache_tag"):
            continue
        for url in request[name]:
            if not re.match("https?://[^/]", url):
                description.complain(f"{place}.{name}: no URL with its protocol: {url}")
            if (name == "Paths" or request.get("Type") == "purge_prefix") and not url.endswith("/"):
                description.complain(f"{place}.{name}: no directory: {url}")
            if not url.isascii() and not request.get(ENCODERS[description.service]):
                description.complain(f"{place}.{name}: not ASCII, and not to be encoded: {url}")


def times(description, action, request):
    place = f"{description.service} {action}"
    if ("StartTime" in request) != ("EndTime" in request):
        return description.complain(f"{place}: one of the two times is missing")
    if "StartTime" not in request:
        return None
    begin, end = (datetime.fromisoformat(request[name].replace("Z", "+00:00")) for name in ("StartTime", "EndTime"))
    days = SPANS.get((action, request.get("Interval")), SPANS.get((action, None)))
    if begin > end:
        description.complain(f"{place}: it ends before it begins")
    elif days is not None and end - begin > timedelta(days=days):
        description.complain(f"{place}: longer than {days} days")
    return None


def combinations(description, action, request):
    place = f"{description.service} {action}"
    jobs = [item for item in request.get("Filters", []) if item.get("Name") == "job-id"]
    if re.fullmatch(r"Describe(Purge|Push|Prefetch)Tasks", action):
        if "StartTime" not in request and not jobs and "TaskId" not in request:
            description.complain(f"{place}: neither a task nor a time")
    if description.service == "teo" and "ZoneId" in description.input(action) and not request.get("ZoneId"):
        description.complain(f"{place}.ZoneId: needed since May 2024, by its text")
    if action in ("CreatePurgeTask", "CreatePrefetchTask"):
        if not request.get("Targets") and request.get("Type") != "purge_all":
            description.complain(f"{place}.Targets: needed, by its text")
    if "Method" in request and request.get("Type") not in ("purge_prefix", "purge_host", "purge_all"):
        description.complain(f"{place}.Method: has no effect for this type, by its text")
    if "AreaType" in request and request.get("Area") != "overseas":
        description.complain(f"{place}.AreaType: for overseas only, by its text")
