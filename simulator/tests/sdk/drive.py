#!/usr/bin/env python3
"""Drives the simulator's Tencent Cloud CDN and EdgeOne with the vendor's own SDKs, and judges each answer twice.

    drive.py http://127.0.0.1:PORT

The simulator has to run with its demonstration data and to be nobody else's: quotas are spent, its time is moved on.
Each action is called by POST and by GET, through `tencentcloud-sdk-python-cdn` and `-teo`, whose models must know
each member of each answer. Each raw answer is then held against `api.json` of `tccli`, the vendor's description of
names, types and what is always there; each error code against the SDK's list. Then the other way round: what the
description lets a client send must be known to the simulator, and nothing else. Exits with 1 and a line for each
complaint.
"""

import gzip
import json
import re
import sys
import urllib.error
import urllib.request
import warnings
from datetime import datetime, timedelta, timezone

from description import Description
from tencentcloud.cdn.v20180606 import cdn_client, errorcodes as cdn_errors, models as cdn_models
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.teo.v20220901 import errorcodes as teo_errors, models as teo_models, teo_client

# The SDK mutes its own warnings about members that its models do not know, when it is imported.
warnings.simplefilter("error", UserWarning)

CDN_KEYS = ("AKIDEXAMPLEcdn0123456789", "EXAMPLEcdnKey0123456789")
TEO_KEYS = ("AKIDEXAMPLEteo0123456789", "EXAMPLEteoKey0123456789")
ZONE = "zone-2examplesite01"
UTC_8 = timezone(timedelta(hours=8))
# The vendor's page on error codes that all services have; the SDKs list only those of their own.
COMMON_ERRORS = {
    "AuthFailure.InvalidAuthorization",
    "AuthFailure.SecretIdNotFound",
    "AuthFailure.SignatureExpire",
    "AuthFailure.SignatureFailure",
    "InvalidAction",
    "InvalidParameter",
    "MissingParameter",
    "NoSuchVersion",
    "UnknownParameter",
    "UnsupportedProtocol",
}

complaints = []


def complain(text):
    complaints.append(text)


def expect(what, found, wanted):
    if found != wanted:
        complain(f"{what}: {found!r} instead of {wanted!r}")


class Described(Description):
    """The vendor's description of a service, and the error codes that its SDK knows."""

    def __init__(self, service, version, errors):
        super().__init__(service, version, complain)
        self.errors = {value for name, value in vars(errors).items() if name.isupper()} | COMMON_ERRORS


def watched(client_class, description):
    """The SDK's client, with each raw answer judged on its way to the models."""

    class Watched(client_class):
        def call(self, action, params, *args, **kwargs):
            body = super().call(action, params, *args, **kwargs)
            description.judge_answer(action, json.loads(body)["Response"])
            return body

    return Watched


class Service:
    """One service as one client sees it."""

    def __init__(self, address, client_class, models, description, keys, method):
        profile = ClientProfile(
            httpProfile=HttpProfile(protocol="http", endpoint=address, reqMethod=method, keepAlive=True)
        )
        self.models, self.description = models, description
        self.client = watched(client_class, description)(Credential(*keys), "", profile)

    def __call__(self, action, **params):
        """Calls an action and answers the SDK's model of its answer."""
        request = getattr(self.models, f"{action}Request")()
        request.from_json_string(json.dumps(params))
        return getattr(self.client, action)(request)

    def refused(self, action, code, **params):
        """Calls an action that has to be refused with a code."""
        expect(f"{action} {str(params)[:120]}", self.code(action, params), code)

    def code(self, action, params):
        """The error code of an action, called past the models."""
        try:
            self.client.call(action, params)
        except TencentCloudSDKException as error:
            if error.get_code() not in self.description.errors:
                complain(f"{action}: the SDK does not know the code {error.get_code()}")
            if "documented type" in error.get_message():
                return "wrong type"
            return error.get_code()
        return None


class Control:
    """The simulator's control endpoints."""

    def __init__(self, url):
        self.url = f"{url}/_control/"

    def post(self, resource, body):
        request = urllib.request.Request(self.url + resource, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def advance(self, seconds):
        """Moves the simulated time on, and answers it."""
        return datetime.fromtimestamp(self.post("advance", {"seconds": seconds})["now_ms"] / 1000, timezone.utc)


def naive(time):
    return time.astimezone(UTC_8).strftime("%Y-%m-%d %H:%M:%S")


def iso(time):
    return time.astimezone(UTC_8).isoformat(timespec="seconds")


def download(url):
    with urllib.request.urlopen(url) as answer:
        return gzip.decompress(answer.read()).decode()


def status_of(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def drive_cdn_tasks(cdn, control):
    domains = cdn("DescribeDomains")
    names = [domain.Domain for domain in domains.Domains]
    expect(
        "domains",
        names,
        ["shop.example.com", "cn.example.com", "sea.example.com", "old.shop.example.com", "cdn.example.com"],
    )
    expect("number of domains", domains.TotalNumber, 5)
    expect("origin", domains.Domains[0].Origin.Origins, ["origin.shop.example.com"])
    shops = cdn("DescribeDomains", Limit=1, Offset=1, Filters=[{"Name": "domain", "Value": ["shop"], "Fuzzy": True}])
    expect(
        "second page of shops", ([d.Domain for d in shops.Domains], shops.TotalNumber), (["old.shop.example.com"], 2)
    )
    before = cdn("DescribePurgeQuota")
    urls = ["https://shop.example.com/a.jpg", "https://cn.example.com/图.jpg?x=1&y=%20"]
    url_task = cdn("PurgeUrlsCache", Urls=urls, UrlEncode=True).TaskId
    path_task = cdn("PurgePathCache", Paths=["https://sea.example.com/a/"], FlushType="flush").TaskId
    push_task = cdn(
        "PushUrlsCache", Urls=["https://shop.example.com/a.jpg"], Area="global", Headers=[{"Name": "a", "Value": "b"}]
    ).TaskId
    after = cdn("DescribePurgeQuota")
    spent = {q.Area: was.Available - q.Available for was, q in zip(before.UrlPurge, after.UrlPurge)}
    expect("spent for URLs", spent, {"mainland": 2, "overseas": 1})
    expect("left for paths", after.PathPurge[1].Available, before.PathPurge[1].Available - 1)
    pushes = {quota.Area: quota.Total - quota.Available for quota in cdn("DescribePushQuota").UrlPush}
    expect("spent for prefetches in both areas", pushes["mainland"] == pushes["overseas"] > 0, True)
    rows = cdn("DescribePurgeTasks", TaskId=url_task)
    expect(
        "rows",
        [(row.Url, row.Status, row.PurgeType) for row in rows.PurgeLogs],
        [(url, "process", "url") for url in urls],
    )
    expect("an unfinished prefetch", cdn("DescribePushTasks", TaskId=push_task).PushLogs[0].Status, "process")
    now = control.advance(60)
    span = {"StartTime": naive(now - timedelta(hours=1)), "EndTime": naive(now)}
    one = cdn("DescribePurgeTasks", Keyword=urls[1], Status="done", **span)
    expect("by URL", [row.Url for row in one.PurgeLogs][:1], urls[1:])
    path = cdn("DescribePurgeTasks", PurgeType="path", Keyword="sea.example.com", **span).PurgeLogs[0]
    expect("a directory", (path.TaskId, path.FlushType, path.Status), (path_task, "flush", "done"))
    push = cdn("DescribePushTasks", TaskId=push_task, Area="global", Status="done")
    expect(
        "a prefetch",
        [(r.Status, r.Percent, r.Area, bool(r.UpdateTime)) for r in push.PushLogs],
        [("Done", 100, "global", True)],
    )


def drive_cdn_data(cdn, control):
    now = control.advance(0)
    day = now.astimezone(UTC_8).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    span = {"StartTime": naive(day), "EndTime": naive(day + timedelta(hours=23, minutes=59, seconds=59))}
    both = {"Domains": ["shop.example.com", "cn.example.com"]}
    sums = {}
    for interval, points in [("min", 1440), ("5min", 288), ("hour", 24), ("day", 1)]:
        data = cdn("DescribeCdnData", Metric="flux", Interval=interval, **both, **span)
        detail = data.Data[0].CdnData[0]
        expect(
            f"points of {interval}",
            (data.Interval, data.Data[0].Resource, len(detail.DetailData)),
            (interval, "multiDomains", points),
        )
        expect(f"first of {interval}", detail.DetailData[0].Time, naive(day))
        expect(f"sum of {interval}", sum(point.Value for point in detail.DetailData), detail.SummarizedData.Value)
        sums[interval] = detail.SummarizedData.Value
    expect("one sum for all intervals", len(set(sums.values())), 1)
    for area, some in [("mainland", True), ("overseas", False)]:
        data = cdn("DescribeCdnData", Metric="request", Area=area, Detail=True, Interval="5min", **both, **span)
        expect("resources", [resource.Resource for resource in data.Data], both["Domains"])
        expect(f"traffic of cn in {area}", data.Data[1].CdnData[0].SummarizedData.Value > 0, some)
    peak = cdn("DescribeCdnData", Metric="bandwidth", Interval="5min", **span).Data[0]
    expect("the account's bandwidth", (peak.Resource, peak.CdnData[0].SummarizedData.Name), ("all", "max"))
    kept = {item.Name for item in cdn("DescribeMapInfo", Name="district").MapInfoList}
    expect(
        "Tietong",
        [item.Id for item in cdn("DescribeMapInfo", Name="isp").MapInfoList if item.Name == "中国铁通"],
        [3947],
    )
    for area in ["mainland", "overseas"]:
        top = cdn(
            "ListTopData",
            Metric="district",
            Filter="flux",
            Area=area,
            AreaType="client",
            Domains=["shop.example.com"],
            **span,
        )
        expect(f"districts of {area}", {row.Name for row in top.Data[0].DetailData} <= kept, True)
        whole = cdn("DescribeCdnData", Metric="flux", Area=area, Interval="day", Domains=["shop.example.com"], **span)
        expect(
            f"sum over districts of {area}",
            sum(row.Value for row in top.Data[0].DetailData),
            whole.Data[0].CdnData[0].SummarizedData.Value,
        )
    logs = cdn("DescribeCdnDomainLogs", Domain="shop.example.com", Area="global", Limit=10, Offset=2, **span)
    expect("logs", (len(logs.DomainLogs), logs.TotalCount), (10, 48))
    for log in logs.DomainLogs[:2]:
        lines = download(log.LogPath).splitlines()
        expect("hours of the lines", {line[:10] for line in lines}, {log.LogName})
    expect("a changed link", status_of(logs.DomainLogs[0].LogPath.replace("&e=", "&e=9")), 403)


def refuse_cdn(cdn, control):
    now = control.advance(0)
    span = {"StartTime": naive(now - timedelta(hours=1)), "EndTime": naive(now)}
    long_span = {"StartTime": naive(now - timedelta(days=40)), "EndTime": naive(now)}
    url = "https://shop.example.com/"
    for action, code, params in [
        ("PurgeUrlsCache", "ResourceNotFound.CdnHostNotExists", {"Urls": [url, "https://foreign.example.net/"]}),
        ("PurgeUrlsCache", "InvalidParameter.CdnPurgeWildcardNotAllowed", {"Urls": [url + "*.jpg"]}),
        ("PurgePathCache", "LimitExceeded.CdnPurgePathExceedDayLimit", {"Paths": [url] * 101, "FlushType": "flush"}),
        ("PurgePathCache", "LimitExceeded.CdnPurgePathExceedBatchLimit", {"Paths": [url] * 501, "FlushType": "flush"}),
        ("PurgePathCache", "InvalidParameter", {"Paths": [url], "FlushType": "wipe"}),
        ("PushUrlsCache", "ResourceUnavailable.CdnHostIsNotOnline", {"Urls": ["https://old.shop.example.com/"]}),
        ("PushUrlsCache", "InvalidParameter.CdnPushWildcardNotAllowed", {"Urls": [url + "*"]}),
        ("PushUrlsCache", "LimitExceeded.CdnPushExceedBatchLimit", {"Urls": [url] * 501}),
        ("DescribePurgeTasks", "MissingParameter", {}),
        ("DescribePushTasks", "MissingParameter", {"StartTime": span["StartTime"]}),
        (
            "DescribeCdnData",
            "InvalidParameter.CdnStatInvalidDate",
            {"Metric": "flux", "StartTime": span["EndTime"], "EndTime": span["StartTime"]},
        ),
        ("DescribeCdnData", "InvalidParameter.CdnStatInvalidMetric", {"Metric": "flow", **span}),
        (
            "DescribeCdnData",
            "InvalidParameter.CdnStatTooManyDomains",
            {"Metric": "flux", "Domains": ["shop.example.com"] * 31, **span},
        ),
        (
            "DescribeCdnData",
            "InvalidParameter.CdnInvalidParamInterval",
            {"Metric": "flux", "Interval": "5min", **long_span},
        ),
        ("ListTopData", "InvalidParameter.CdnStatInvalidFilter", {"Metric": "district", "Filter": "bandwidth", **span}),
        ("DescribeNothing", "InvalidAction", {}),
    ]:
        cdn.refused(action, code, **params)


def drive_teo_tasks(teo, control):
    zones = teo("DescribeZones")
    expect(
        "zones", [(zone.ZoneId, zone.ZoneName, zone.Status) for zone in zones.Zones][0], (ZONE, "example.org", "active")
    )
    one = teo("DescribeZones", Filters=[{"Name": "zone-name", "Values": ["example.com"]}])
    expect("by name", (one.TotalCount, one.Zones[0].ZoneId), (1, "zone-2examplesite02"))
    domains = teo("DescribeAccelerationDomains", ZoneId=ZONE, Limit=2, Offset=1)
    expect(
        "domains",
        ([(d.DomainName, d.DomainStatus) for d in domains.AccelerationDomains], domains.TotalCount),
        ([("old.example.org", "offline"), ("www.example.org", "online")], 3),
    )
    before = {quota.Type: quota.DailyAvailable for quota in teo("DescribeContentQuota", ZoneId=ZONE).PurgeQuota}
    purge = teo(
        "CreatePurgeTask",
        ZoneId=ZONE,
        Type="purge_url",
        Targets=["https://www.example.org/a", "https://foreign.example.net/b"],
    )
    expect("refused in part", [failed.Targets for failed in purge.FailedList], [["https://foreign.example.net/b"]])
    for kind, targets in [
        ("purge_prefix", ["https://img.example.org/x/"]),
        ("purge_host", ["img.example.org"]),
        ("purge_all", None),
    ]:
        given = {} if targets is None else {"Targets": targets}
        job = teo("CreatePurgeTask", ZoneId=ZONE, Type=kind, Method="delete", **given)
        expect(f"{kind} is taken", job.FailedList, [])
        rows = teo("DescribePurgeTasks", ZoneId=ZONE, Filters=[{"Name": "job-id", "Values": [job.JobId]}])
        expect(
            f"rows of {kind}",
            [(row.Type, row.Method, row.Status) for row in rows.Tasks],
            [(kind, "delete", "processing")],
        )
    quota = teo("DescribeContentQuota", ZoneId=ZONE)
    after = {quota.Type: quota.DailyAvailable for quota in quota.PurgeQuota}
    expect(
        "spent",
        {kind: before[kind] - after[kind] for kind in before},
        {"purge_url": 1, "purge_prefix": 1, "purge_host": 1, "purge_all": 1},
    )
    expect("a quota for prefetches", quota.PrefetchQuota[0].Type, "prefetch_url")
    wide = teo(
        "CreatePurgeTask",
        ZoneId="*",
        Type="purge_url",
        Targets=["https://www.example.org/c", "https://edge.example.com/d"],
    )
    expect("over all zones", wide.FailedList, [])
    fetch = teo(
        "CreatePrefetchTask",
        ZoneId=ZONE,
        Targets=["https://www.example.org/a", "https://www.example.org/bad", "https://old.example.org/a"],
    )
    expect("prefetches refused", [failed.Targets for failed in fetch.FailedList], [["https://old.example.org/a"]])
    now = control.advance(60)
    control.post("tencent", {"fail_urls": ["/bad"]})
    span = {"ZoneId": ZONE, "StartTime": iso(now - timedelta(hours=1)), "EndTime": iso(now)}
    rows = teo("DescribePrefetchTasks", Filters=[{"Name": "job-id", "Values": [fetch.JobId]}], **span)
    expect(
        "ends",
        [(row.Status, row.FailType, bool(row.UpdateTime)) for row in rows.Tasks],
        [("success", None, True), ("failed", "originPullFailed", True)],
    )
    control.post("tencent", {"fail_urls": []})
    rows = teo(
        "DescribePurgeTasks",
        Limit=1000,
        Filters=[
            {"Name": "domains", "Values": ["www.example.org"]},
            {"Name": "statuses", "Values": ["success"]},
            {"Name": "target", "Values": ["/c"], "Fuzzy": True},
            {"Name": "type", "Values": ["purge_url"]},
        ],
        **span,
    )
    expect("by all filters", rows.Tasks[0].Target, "https://www.example.org/c")


def drive_teo_data(teo, control):
    now = control.advance(0)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    span = {"StartTime": iso(day), "EndTime": iso(day + timedelta(hours=23, minutes=59)), "ZoneIds": [ZONE]}
    filters = [{"Key": "domain", "Operator": "equals", "Value": ["www.example.org"]}]
    names = ["l7Flow_outFlux", "l7Flow_outBandwidth", "l7Flow_request"]
    series = (
        teo("DescribeTimingL7AnalysisData", MetricNames=names, Interval="5min", Filters=filters, **span)
        .Data[0]
        .TypeValue
    )
    expect("metrics", [value.MetricName for value in series], names)
    expect("points", (len(series[0].Detail), series[0].Detail[0].Timestamp), (288, int(day.timestamp())))
    expect("sum", sum(point.Value for point in series[0].Detail), series[0].Sum)
    for name, value in [("l7Flow_outFlux_country", series[0]), ("l7Flow_request_country", series[2])]:
        top = teo("DescribeTopL7AnalysisData", MetricName=name, Filters=filters, **span).Data[0].DetailData
        expect(f"sum of {name}", sum(row.Value for row in top), value.Sum)
        expect(f"codes of {name}", all(re.fullmatch("[A-Z]{2}", row.Key) for row in top), True)
    logs = teo("DownloadL7Logs", Domains=["www.example.org"], Limit=3, **span)
    expect("logs", (len(logs.Data), logs.TotalCount), (3, 48))
    text = download(logs.Data[0].Url)
    expect("size of a log", len(text.encode()), logs.Data[0].Size)
    expect("hosts of the lines", {json.loads(line)["RequestHost"] for line in text.splitlines()}, {"www.example.org"})


def refuse_teo(teo, control):
    now = control.advance(0)
    span = {"StartTime": iso(now - timedelta(days=32)), "EndTime": iso(now), "ZoneIds": ["*"]}
    url = "https://www.example.org/"
    for action, code, params in [
        (
            "CreatePurgeTask",
            "InvalidParameter.ZoneNotFound",
            {"ZoneId": "zone-none", "Type": "purge_url", "Targets": [url]},
        ),
        ("CreatePurgeTask", "InvalidParameter", {"ZoneId": ZONE, "Type": "purge_some", "Targets": [url]}),
        ("CreatePurgeTask", "InvalidParameter", {"ZoneId": "*", "Type": "purge_all"}),
        (
            "CreatePurgeTask",
            "LimitExceeded.BatchQuota",
            {"ZoneId": ZONE, "Type": "purge_prefix", "Targets": [url] * 201},
        ),
        ("CreatePrefetchTask", "MissingParameter", {"ZoneId": ZONE}),
        ("DescribePurgeTasks", "MissingParameter", {"ZoneId": ZONE}),
        ("DescribePurgeTasks", "InvalidFilter", {"ZoneId": ZONE, "Filters": [{"Name": "colour", "Values": ["red"]}]}),
        (
            "DescribeTimingL7AnalysisData",
            "LimitExceeded.QueryTimeLimitExceeded",
            {"MetricNames": ["l7Flow_outFlux"], **span},
        ),
        ("DescribeTimingL7AnalysisData", "InvalidParameter.InvalidMetric", {"MetricNames": ["l7Flow_none"], **span}),
        ("DescribeTopL7AnalysisData", "InvalidParameter.InvalidMetric", {"MetricName": "l7Flow_none", **span}),
    ]:
        teo.refused(action, code, **params)


def offer_everything(service, actions):
    """Sends each parameter that is described, one that is not, and leaves each needed one out."""
    for action in actions:
        members = service.description.input(action)
        needed = {
            name: service.description.sample(member) for name, member in members.items() if member.get("required")
        }
        service.refused(action, "UnknownParameter", **needed, Nonsense=1)
        for name in needed:
            rest = {other: value for other, value in needed.items() if other != name}
            service.refused(action, "MissingParameter", **rest)
        for name, member in members.items():
            code = service.code(action, {**needed, name: service.description.sample(member)})
            if code in ("UnknownParameter", "wrong type"):
                complain(f"{action}: {name} is described, but the answer is {code}")


def refuse_strangers(address, client_class, models, description, keys):
    for stranger, code in [
        ((keys[0] + "x", keys[1]), "AuthFailure.SecretIdNotFound"),
        ((keys[0], keys[1] + "x"), "AuthFailure.SignatureFailure"),
    ]:
        service = Service(address, client_class, models, description, stranger, "POST")
        service.refused(next(iter(description.actions)), code)


def main(url):
    address = url.removeprefix("http://")
    control = Control(url)
    cdn_description = Described("cdn", "v20180606", cdn_errors)
    teo_description = Described("teo", "v20220901", teo_errors)
    of_cdn = (address, cdn_client.CdnClient, cdn_models, cdn_description, CDN_KEYS)
    of_teo = (address, teo_client.TeoClient, teo_models, teo_description, TEO_KEYS)
    for method in ["POST", "GET"]:
        cdn, teo = Service(*of_cdn, method), Service(*of_teo, method)
        # A day of its own for each method, with whole quotas.
        control.advance(86_400)
        for step, service in [
            (drive_cdn_tasks, cdn),
            (drive_cdn_data, cdn),
            (drive_teo_tasks, teo),
            (drive_teo_data, teo),
        ]:
            step(service, control)
    cdn, teo = Service(*of_cdn, "POST"), Service(*of_teo, "POST")
    refuse_cdn(cdn, control)
    refuse_teo(teo, control)
    offer_everything(
        cdn,
        [
            "DescribeDomains",
            "PurgeUrlsCache",
            "PurgePathCache",
            "PushUrlsCache",
            "DescribePurgeTasks",
            "DescribePushTasks",
            "DescribePurgeQuota",
            "DescribePushQuota",
            "DescribeCdnData",
            "ListTopData",
            "DescribeMapInfo",
            "DescribeCdnDomainLogs",
        ],
    )
    offer_everything(
        teo,
        [
            "DescribeZones",
            "DescribeAccelerationDomains",
            "CreatePurgeTask",
            "CreatePrefetchTask",
            "DescribePurgeTasks",
            "DescribePrefetchTasks",
            "DescribeContentQuota",
            "DescribeTimingL7AnalysisData",
            "DescribeTopL7AnalysisData",
            "DownloadL7Logs",
        ],
    )
    refuse_strangers(*of_cdn)
    refuse_strangers(*of_teo)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/")))
