#!/usr/bin/env python3
"""Makes each mistake once, and looks whether judge.py notices it; and that it has nothing against what is right.

    mistakes.py ADDRESS cdn|teo SECRET_ID SECRET_KEY

The requests are signed by the vendor's own SDK, so that each has the one mistake only. Exits with 1 and a line for each
mistake that was passed over, or that was taken for another.
"""

import copy
import http.client
import json
import sys
import time
import urllib.request

from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

URL = "http://www.test.com/a"
DAY = {"StartTime": "2024-05-01 00:00:00", "EndTime": "2024-05-01 23:59:59"}
ISO_DAY = {"StartTime": "2024-05-01T00:00:00Z", "EndTime": "2024-05-01T23:59:59+00:00"}
ZONE = {"ZoneId": "zone-1"}
DATA = {"Metric": "flux", "Interval": "5min", "Area": "overseas", "Domains": ["a.com"], **DAY}
TOP = {"Metric": "district", "Filter": "flux", "Domains": ["www.test.com"], "AreaType": "client", **DAY}
TIMING = {"MetricNames": ["l7Flow_outFlux"], "ZoneIds": ["zone-1"], "Interval": "5min", **ISO_DAY}

RIGHT = {
    "cdn": [
        ("PurgeUrlsCache", {"Urls": [URL]}),
        ("PurgeUrlsCache", {"Urls": [URL + "图"], "UrlEncode": True}),
        ("DescribeCdnData", DATA),
        ("ListTopData", {**TOP, "Area": "overseas"}),
    ],
    "teo": [
        ("CreatePurgeTask", {**ZONE, "Type": "purge_prefix", "Targets": [URL + "/"], "Method": "delete"}),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_all"}),
        ("DescribePurgeTasks", {**ZONE, "Filters": [{"Name": "job-id", "Values": ["1"]}]}),
        ("DescribeTimingL7AnalysisData", TIMING),
    ],
}
# Each with a part of what is to be said of it.
WRONG = {
    "cdn": [
        ("PurgeUrlsCash", {"Urls": [URL]}, "no action PurgeUrlsCash"),
        ("PurgeUrlsCache", {"Urls": [URL], "Colour": "red"}, "Colour is not described"),
        ("PurgeUrlsCache", {"Area": "mainland"}, "Urls: missing"),
        ("PurgeUrlsCache", {"Urls": URL}, "Urls: no list"),
        ("PurgeUrlsCache", {"Urls": [1]}, "1 is no string"),
        ("PurgeUrlsCache", {"Urls": [URL], "Area": None}, "Area: null"),
        ("PurgeUrlsCache", {"Urls": [URL], "UrlEncode": 1}, "1 is no bool"),
        ("PurgeUrlsCache", {"Urls": []}, "Urls: empty"),
        ("PurgeUrlsCache", {"Urls": [URL] * 1001}, "1001 is more than 1000"),
        ("PurgeUrlsCache", {"Urls": ["www.test.com/a"]}, "no URL with its protocol"),
        ("PurgeUrlsCache", {"Urls": [URL + "图"]}, "not to be encoded"),
        ("PurgePathCache", {"Paths": [URL + "/"], "FlushType": "all"}, "no such word: all"),
        ("PurgePathCache", {"Paths": [URL], "FlushType": "delete"}, "no directory"),
        ("PurgePathCache", {"Paths": [URL + "/"] * 501, "FlushType": "flush"}, "501 is more than 500"),
        ("PushUrlsCache", {"Urls": [URL] * 501}, "501 is more than 500"),
        ("DescribeDomains", {"Limit": 1001}, "1001 is more than 1000"),
        ("DescribeDomains", {"Offset": "0"}, "'0' is no int64"),
        ("DescribeDomains", {"Offset": -1}, "-1 is too little"),
        ("DescribeDomains", {"Filters": [{"Name": "domain"}]}, "Filters.Value: missing"),
        ("DescribeDomains", {"Filters": [{"Name": "colour", "Value": ["red"]}]}, "no such filter: colour"),
        ("DescribePurgeTasks", {"Limit": 20}, "neither a task nor a time"),
        ("DescribePurgeTasks", {"StartTime": DAY["StartTime"]}, "one of the two times"),
        ("DescribePurgeTasks", {**DAY, "StartTime": "2024-05-01T00:00:00Z"}, "is no datetime"),
        ("DescribePurgeTasks", {**DAY, "StartTime": "2024-05-32 00:00:00"}, "is no datetime"),
        ("DescribePurgeTasks", {**DAY, "EndTime": "2024-04-01 00:00:00"}, "ends before it begins"),
        ("DescribeCdnData", {**DATA, "Domains": ["a.com"] * 31}, "31 is more than 30"),
        ("DescribeCdnData", {**DATA, "EndTime": "2024-07-01 00:00:00"}, "longer than 31 days"),
        ("ListTopData", {**TOP, "Area": "mainland"}, "for overseas only"),
        ("DescribeMapInfo", {"Name": "planet"}, "no such word: planet"),
    ],
    "teo": [
        ("DescribeZones", {"Limit": 101}, "101 is more than 100"),
        ("DescribeAccelerationDomains", {**ZONE, "Limit": 201}, "201 is more than 200"),
        ("CreatePurgeTask", {"Type": "purge_url", "Targets": [URL]}, "ZoneId: missing"),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_some", "Targets": [URL]}, "no such word: purge_some"),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_prefix", "Targets": [URL]}, "no directory"),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_url", "Targets": [URL], "Method": "delete"}, "has no effect"),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_url", "Targets": [URL], "CacheTag": []}, "is no object"),
        ("CreatePurgeTask", {**ZONE, "Type": "purge_url"}, "Targets: needed"),
        ("CreatePrefetchTask", {**ZONE, "Targets": [URL + "图"]}, "not to be encoded"),
        ("DescribePurgeTasks", ISO_DAY, "ZoneId: needed"),
        ("DescribePurgeTasks", {**ZONE, "Limit": 1001, **ISO_DAY}, "1001 is more than 1000"),
        ("DescribePurgeTasks", {**ZONE, **ISO_DAY, "EndTime": DAY["EndTime"]}, "is no datetime_iso"),
        ("DescribePurgeTasks", {**ZONE, "Filters": [{"Name": "job-id", "Values": ["1", "2"]}]}, "has 2 values"),
        (
            "DescribePurgeTasks",
            {**ZONE, **ISO_DAY, "Filters": [{"Name": "type", "Values": ["url"]}]},
            "no such word for type: url",
        ),
        ("DescribePrefetchTasks", ZONE, "neither a task nor a time"),
        ("DescribeTimingL7AnalysisData", {**TIMING, "MetricNames": ["l7Flow_none"]}, "no such word: l7Flow_none"),
        (
            "DescribeTimingL7AnalysisData",
            {**TIMING, "Filters": [{"Key": "domain", "Operator": "is", "Value": ["a.com"]}]},
            "no such operator: is",
        ),
        ("DescribeTimingL7AnalysisData", {**TIMING, "EndTime": "2024-07-01T00:00:00Z"}, "longer than 31 days"),
        ("DownloadL7Logs", {**ISO_DAY, "ZoneIds": ["zone-1"], "Limit": 301}, "301 is more than 300"),
    ],
}

complaints = []


class Client:
    """The vendor's SDK, and what the judge says after each request."""

    def __init__(self, url, service, secret_id, secret_key, version=None):
        self.url, self.address = url, url.removeprefix("http://")
        self.service, self.version = service, version or {"cdn": "2018-06-06", "teo": "2022-09-01"}[service]
        profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=self.address))
        self.sdk = CommonClient(service, self.version, Credential(secret_id, secret_key), "", profile)
        self.heard = 0

    def new_violations(self):
        with urllib.request.urlopen(f"{self.url}/_judge/report") as answer:
            violations = json.load(answer)["violations"]
        new, self.heard = violations[self.heard :], len(violations)
        return new

    def call(self, action, request):
        """Calls an action through the SDK."""
        try:
            self.sdk.call_json(action, request)
        except TencentCloudSDKException:
            pass
        return self.new_violations()

    def signed(self, action, request):
        """A request as the SDK would send it."""
        internal = RequestInternal(self.address, "POST", "/", header={})
        self.sdk._build_req_inter(action, request, internal)
        return internal.header, internal.data.encode()

    def send(self, headers, body, method="POST", path="/"):
        connection = http.client.HTTPConnection(self.address)
        connection.request(method, path, body, headers)
        connection.getresponse().read()
        connection.close()
        return self.new_violations()


def expect(what, found, wanted):
    """Exactly one complaint, which says what is wanted; or none."""
    right = not found if wanted is None else len(found) == 1 and wanted in found[0]
    if not right:
        complaints.append(f"{what}: the judge said {found} instead of {wanted!r}")


def break_the_envelope(client, action, request):
    """What no SDK would send, made out of what it does send."""
    headers, body = client.signed(action, request)
    expect("unchanged", client.send(headers, body), None)
    expect("another body", client.send(headers, body + b" "), "the signature is wrong")
    expect("no object", client.send(*client.signed(action, [])), "is no object")
    for name, value, wanted in [
        ("Host", "cdn.tencentcloudapi.com", ["Host is", "signature is wrong"]),
        ("Content-Type", "application/json; charset=utf-8", ["Content-Type is", "signature is wrong"]),
        ("X-TC-Timestamp", str(int(time.time()) - 400), ["X-TC-Timestamp is", "signature is wrong"]),
        ("X-TC-Version", "2017-03-12", ["X-TC-Version is"]),
        ("X-TC-Language", "tlh", ["X-TC-Language is"]),
        ("X-TC-Colour", "red", ["x-tc-colour is not documented"]),
        ("Authorization", headers["Authorization"].replace(f"/{client.service}/", "/cvm/"), ["Credential is of"]),
        ("Authorization", headers["Authorization"].replace("content-type;", ""), ["Authorization is not"]),
    ]:
        changed = copy.copy(headers)
        changed[name] = value
        found = client.send(changed, body)
        if len(found) != len(wanted) or not all(part in text for part, text in zip(wanted, found)):
            complaints.append(f"{name}: the judge said {found} instead of {wanted}")
    for text, wanted in [(body[:-1], "cannot be read"), (b'{"A":1,"A":1}', "A stands there 2 times")]:
        found = client.send(headers, text)
        expect("a broken body", found[1:], wanted)
    found = client.send(headers, body, method="PUT", path="/v3")
    expect("another method and path", found[:1], "PUT /v3 instead of POST /")


def main(url, service, secret_id, secret_key):
    client = Client(url, service, secret_id, secret_key)
    for action, request in RIGHT[service]:
        expect(f"{action} {request}", client.call(action, request), None)
    for action, request, wanted in WRONG[service]:
        expect(f"{action} {str(request)[:120]}", client.call(action, request), wanted)
    action, request = RIGHT[service][0]
    break_the_envelope(client, action, request)
    for keys, wanted in [
        ((secret_id, secret_key + "x"), "the signature is wrong"),
        ((secret_id + "x", secret_key), "Credential is of"),
    ]:
        stranger = Client(url, service, *keys)
        stranger.new_violations()
        expect("a stranger", stranger.call(action, request), wanted)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
