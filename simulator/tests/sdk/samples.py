"""What judge.py answers: the official samples of `examples.json`, made to be about what was asked.

A list is handed out one item a page, so that a client has to ask for the next one. Usage is the same in each five minutes,
SLOT, so that a client's sums can be foretold; so are their parts by district and by country.
"""

import gzip
import json
from datetime import datetime, timedelta
from urllib.parse import quote

# The sample's own domain, which is switched off in it, and one for each other area.
DOMAINS = {
    "www.test.com": {"Area": "mainland", "Status": "offline"},
    "www.test.org": {"Area": "overseas", "Status": "online"},
    "www.test.net": {"Area": "global", "Status": "processing"},
}
STEP = timedelta(minutes=5)
# Bytes and requests of five minutes in one area, and their parts.
SLOT = {"flux": (10, (6, 4)), "request": (5, (3, 2))}
# Ids in mainland China, names elsewhere: which of them the vendor writes is not documented.
DISTRICTS = {"mainland": {"22": "北京", "4": "广东"}, "overseas": {"Japan": "Japan", "Brazil": "Brazil"}}
COUNTRIES = ("CN", "US")
FEIGNED_LOGS = "/_judge/logs/"


def figures(metric):
    return SLOT["flux" if "flux" in metric.lower() else "request"]


def span(asked):
    """The begins of the five minutes that were asked for; the end is included."""
    begin, end = (datetime.fromisoformat(asked[name].replace("Z", "+00:00")) for name in ("StartTime", "EndTime"))
    begin -= timedelta(minutes=begin.minute % 5, seconds=begin.second)
    return [begin + STEP * step for step in range((end - begin) // STEP + 1)] if begin <= end else []


def log_file(name):
    """The content of a feigned package of logs."""
    return gzip.compress(f"a line of {name}\n".encode())


class Samples:
    """The answers of one service; `address` is where packages of logs can be had."""

    def __init__(self, description, address):
        self.description, self.address = description, address

    def answer(self, action, asked):
        answer = self.official(action, asked)
        adapt = getattr(self, f"{self.description.service}_{action}", None)
        if adapt is not None:
            adapt(answer, asked)
        return self.page(answer, asked)

    def official(self, action, asked):
        """Of several samples the one whose request is most like what was asked."""

        def likeness(example):
            _, brace, rest = example["input"].partition("{")
            described = json.loads(brace + rest) if brace else {}
            return sum(described.get(name) == value for name, value in asked.items())

        example = max(self.description.examples[action], key=likeness)
        return json.loads(example["output"])["Response"]

    @staticmethod
    def page(answer, asked):
        if "Offset" in asked:
            total = next(name for name in ("TotalCount", "TotalNumber") if name in answer)
            name = next(name for name, value in answer.items() if isinstance(value, list))
            answer[total] = len(answer[name])
            answer[name] = answer[name][asked["Offset"] :][: min(asked.get("Limit", 20), 1)]
        return answer

    def link(self, name):
        return f"{self.address}{FEIGNED_LOGS}{quote(name)}?st=abc&e=3135214538"

    def cdn_DescribeDomains(self, answer, asked):
        wanted = [value for item in asked.get("Filters", []) for value in item["Value"]] or list(DOMAINS)
        row = answer["Domains"][0]
        # The sample is older than the description, which has this one in each answer.
        row.setdefault("AppId", 1251000004)
        answer["Domains"] = [
            {**row, "Domain": domain, **DOMAINS[domain]} for domain in wanted if domain in DOMAINS
        ]

    def cdn_DescribePushQuota(self, answer, asked):
        answer["UrlPush"].append({**answer["UrlPush"][0], "Area": "overseas"})

    def cdn_DescribePurgeTasks(self, answer, asked):
        self.cdn_tasks(answer["PurgeLogs"], asked)
        for row in answer["PurgeLogs"]:
            row["PurgeType"] = asked.get("PurgeType", row["PurgeType"])

    def cdn_DescribePushTasks(self, answer, asked):
        self.cdn_tasks(answer["PushLogs"], asked)

    @staticmethod
    def cdn_tasks(rows, asked):
        for row in rows:
            row["TaskId"] = asked.get("TaskId", row["TaskId"])
            row["Url"] = f"http://{asked['Keyword']}/" if "Keyword" in asked else row["Url"]

    def cdn_DescribeCdnData(self, answer, asked):
        value, times = figures(asked["Metric"])[0], span(asked)
        detail = [{"Time": time.strftime("%Y-%m-%d %H:%M:%S"), "Value": value} for time in times]
        summary = {"Name": "sum", "Value": value * len(times)}
        data = {"Metric": asked["Metric"], "DetailData": detail, "SummarizedData": summary}
        answer["Interval"] = asked["Interval"]
        answer["Data"] = [{"Resource": asked["Domains"][0], "CdnData": [data]}]

    def cdn_ListTopData(self, answer, asked):
        parts, slots = figures(asked["Filter"])[1], len(span(asked))
        rows = [{"Name": name, "Value": part * slots} for name, part in zip(DISTRICTS[asked["Area"]], parts)]
        answer["Data"] = [{"Resource": asked["Domains"][0], "DetailData": rows}]

    def cdn_DescribeMapInfo(self, answer, asked):
        answer["MapInfoList"] = [{"Id": int(id), "Name": name} for id, name in DISTRICTS["mainland"].items()]

    def cdn_DescribeCdnDomainLogs(self, answer, asked):
        times = span(asked)
        rows = []
        for area in ("mainland", "overseas"):
            name = f"{times[0]:%Y%m%d%H}"
            package = f"{name}-{area}"
            rows.append(
                {
                    **answer["DomainLogs"][0],
                    "Area": area,
                    "StartTime": asked["StartTime"],
                    "EndTime": f"{times[0] + timedelta(minutes=59, seconds=59):%Y-%m-%d %H:%M:%S}",
                    "LogName": name,
                    "LogPath": self.link(package),
                    "FileSize": len(log_file(package)),
                }
            )
        answer["DomainLogs"] = rows

    def teo_DescribeZones(self, answer, asked):
        answer["Zones"].append({**answer["Zones"][0], "ZoneId": "zone-2noz3g48ev6m", "ZoneName": "example.org"})

    def teo_DescribeAccelerationDomains(self, answer, asked):
        row = {**answer["AccelerationDomains"][0], "ZoneId": asked["ZoneId"]}
        answer["AccelerationDomains"] = [row, {**row, "DomainName": "img.qq.com"}]

    def teo_DescribePurgeTasks(self, answer, asked):
        named = {item["Name"]: item["Values"][0] for item in asked["Filters"]}
        for row in answer["Tasks"]:
            row["JobId"] = named.get("job-id", row["JobId"])
            row["Type"] = named.get("type", row["Type"])
            if "domains" in named:
                row["Target"] = f"http://{named['domains']}/{row['Target'].rpartition('/')[2]}"

    teo_DescribePrefetchTasks = teo_DescribePurgeTasks

    def teo_DescribeTimingL7AnalysisData(self, answer, asked):
        times, series = span(asked), []
        for metric in asked["MetricNames"]:
            value = figures(metric)[0]
            detail = [{"Timestamp": int(time.timestamp()), "Value": value} for time in times]
            row = {"MetricName": metric, "Avg": value, "Max": value, "Sum": value * len(times), "Detail": detail}
            series.append(row)
        answer["Data"][0]["TypeValue"] = series

    def teo_DescribeTopL7AnalysisData(self, answer, asked):
        parts, slots = figures(asked["MetricName"])[1], len(span(asked))
        rows = [{"Key": country, "Value": part * slots} for country, part in zip(COUNTRIES, parts)]
        answer["Data"][0]["DetailData"] = rows

    def teo_DownloadL7Logs(self, answer, asked):
        begin = span(asked)[0]
        for row, hours in zip(answer["Data"], (0, 1)):
            start = begin + timedelta(hours=hours)
            name = f"{start:%Y%m%d-%H}-{asked['Domains'][0]}"
            row.update(
                Domain=asked["Domains"][0],
                LogPacketName=name,
                LogTime=int(start.timestamp()),
                LogStartTime=start.isoformat(),
                LogEndTime=(start + timedelta(hours=1)).isoformat(),
                Url=self.link(name),
                Size=len(log_file(name)),
            )
