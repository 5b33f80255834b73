"""The cases. Each gets the run, and gives what goes into the JSON under its name; `line` in it is what is printed."""
import json, random, statistics, time
import usage
from client import Client, post_tasks, refresh_body, wait_for, wrk
from machine import Failed, Noise, Sampler, cpu_seconds, is_flat, memory_mb
from stack import DOMAINS, USER, Installation, Sqlite, Vendor

WARM_UP = 3
# Pairs of runs when another server is measured too.
ROUNDS = 2
# What the vendor takes in one call.
PATHS_PER_CALL = 50
ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# The time part of the last possible ULID: a task before it is any task.
NEWEST = "7ZZZZZZZZZ"


class Run:
    """What the cases share. Installations are made when the first case needs them."""

    def __init__(self, servers, options):
        self.servers, self.options, self.quick = servers, options, options.quick
        self.seconds = options.seconds
        self._production = None

    def scaled(self, number, quick):
        return quick if self.quick else number

    def production(self):
        """MariaDB, Redis, and API and worker as processes of their own; the API runs, the worker does not."""
        if self._production is None:
            self._production = Installation(
                self.servers, "production", self.servers.mariadb(), self.servers.redis())
            self._production.prepare()
        return self._production

    def embedded(self):
        """SQLite and the queue in the process, always new; the API runs."""
        database = Sqlite(self.servers.folder)
        database.remove()
        installation = Installation(self.servers, "embedded", database, "memory")
        installation.prepare()
        return installation


def tag():
    """Part of a URL that no other case of any run has."""
    return f"{time.time_ns():x}"


def percentile(values, percent):
    """The nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


# -- requests per second ------------------------------------------------------------------------------------------

def load(run, path, body=None):
    """The same load on the product, and in turn on the other server if there is one."""
    ours = run.production()
    targets = {"overseas": (ours.base, ours.token)}
    if run.options.other:
        targets["other"] = (run.options.other, run.options.other_token)
    watched = [name for name in ("production-api", "mariadb", "redis") if name in run.servers.processes]
    checks, rounds, spent, noise = {}, {name: [] for name in targets}, dict.fromkeys(watched, 0.0), []
    for name, (base, token) in targets.items():
        checks[name] = ask_once(base, token, path, body)
        wrk(base, token, path, body, 1 if run.quick else WARM_UP)
        run.servers.settle(watched)
    must_agree(checks)
    for _ in range(ROUNDS if run.options.other else 1):
        for name, (base, token) in targets.items():
            before = {process: cpu_seconds(run.servers.pid(process)) for process in watched}
            others = Noise(run.servers.pids)
            rounds[name].append(wrk(base, token, path, body, run.seconds))
            if name == "overseas":
                noise.append(others.cores())
                for process in watched:
                    spent[process] += cpu_seconds(run.servers.pid(process)) - before[process]
            run.servers.settle(watched)
    result = merged(rounds["overseas"])
    result["answer"], result["others_used_cores"] = checks["overseas"], max(noise)
    result["cpu_ms_per_request"] = {
        process: round(spent[process] * 1000 / max(result["requests"], 1), 4) for process in watched}
    result["line"] = describe_load(result)
    if "other" in targets:
        other = result["other"] = merged(rounds["other"])
        other["answer"] = checks["other"]
        result["ratio"] = round(result["per_second"] / max(other["per_second"], 0.1), 2)
        result["line"] += f"; other {describe_load(other)}; ratio {result['ratio']}"
    return result


def ask_once(base, token, path, body):
    """One request, to see that there is an answer and how large it is; a load of refusals would be no measurement."""
    fill = lambda text: text.replace("__N__", f"{time.time_ns() // 10_000:016d}")
    status, content, _ = Client(base, token).raw("POST" if body else "GET", fill(path),
                                                 fill(body.decode()).encode() if body else None)
    if status != 200:
        raise Failed(f"{base}{path}: {status} {content[:300].decode(errors='replace')}")
    check = {"bytes": len(content), "tasks": content.count(b'"taskid"')}
    if b'"value"' in content:
        values = [row["value"] for row in json.loads(content)["results"]]
        check |= {"count": len(values), "sum": sum(values)}
    return check


def must_agree(checks):
    """Two servers with the same data have to give the same numbers, or the loads do not compare."""
    found = {name: (check.get("count"), check.get("sum")) for name, check in checks.items()}
    if len(set(found.values())) > 1:
        raise Failed(f"the servers do not agree on count and sum: {found}")


def merged(rounds):
    total = {key: sum(one[key] for one in rounds)
             for key in ("requests", "seconds", "bytes", "bad_status", "broken", "timeouts")}
    total["seconds"] = round(total["seconds"], 3)
    total["per_second"] = round(total["requests"] / total["seconds"], 1)
    for key in ("p50_ms", "p99_ms", "max_ms"):
        total[key] = max(one[key] for one in rounds)
    total["rounds_per_second"] = [one["per_second"] for one in rounds]
    return total


def describe_load(result):
    wrong = result["bad_status"] + result["broken"] + result["timeouts"]
    return (f"{result['per_second']:,.0f} req/s, p50 {result['p50_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms"
            + (f", {wrong} WRONG ANSWERS" if wrong else ""))


def fill_finished(run, count):
    """So many finished tasks of the user, and no others, written past the product."""
    ours = run.production()
    ours.database.clean()
    user = ours.number(f"SELECT id FROM user WHERE email = '{USER}'")
    cdn, place = ours.database.sql("SELECT cdn_id, id FROM property WHERE name = 'd1.example.com'").split()
    day_ago = int(time.time() * 1000) - 86_400_000
    stamp = "".join(ULID_DIGITS[day_ago >> 5 * digit & 31] for digit in reversed(range(10)))
    ours.database.sql(f"""
        INSERT INTO task (id, user_id, cdn_id, property_id, kind, state, step, percent, urls, url_count,
            submitted_count, fetched_count, attempts, due_at, vendor_ids, fetch_failures, request_id,
            created_at, ended_at)
        SELECT CONCAT('{stamp}', LPAD(seq, 16, '0')), {user}, {cdn}, {place}, 'refresh', 'done', 'ended', 100,
            CONCAT('http://d1.example.com/old/', seq, '/a.html|http://d1.example.com/old/', seq, '/b.html'), 2,
            2, 0, 0, {day_ago}, CONCAT('AG_12345/9774@12345-13776-', {day_ago} + seq), '', 'bench',
            {day_ago} + seq, {day_ago} + seq + 1000
        FROM seq_1_to_{count};
        ANALYZE TABLE task""")


def healthz(run):
    return load(run, "/healthz")


def refresh_list_1k(run):
    fill_finished(run, 1000)
    return load(run, f"/level3/refresh_list?login_email={USER}")


def refresh_list_100k(run):
    fill_finished(run, run.scaled(100_000, 20_000))
    return load(run, f"/level3/refresh_list?login_email={USER}")


def refresh_list_distinct(run):
    """As the case before, but no two requests ask the same, so none can share another's answer."""
    fill_finished(run, run.scaled(100_000, 20_000))
    return load(run, f"/level3/refresh_list?login_email={USER}&before={NEWEST}__N__")


def refresh_2urls(run):
    fill_finished(run, run.scaled(100_000, 20_000))
    urls = [f"http://d1.example.com/p/__N__/{page}.html" for page in "ab"]
    result = load(run, "/level3/refresh", refresh_body(USER, urls))
    # Every answer was a row: nothing is counted that was not written.
    written = run.production().number("SELECT COUNT(*) FROM task WHERE step = 'submit'")
    result["rows_written"] = written
    if written < result["requests"]:
        raise Failed(f"{result['requests']} answers, but only {written} rows")
    run.production().database.clean()
    return result


# -- statistics -----------------------------------------------------------------------------------------------------

def statistics_load(run, path):
    usage.seed(run.production())
    return load(run, path)


def bandwidths_1dom_1d(run):
    return statistics_load(run, f"/level3/bandwidths?{usage.one_day(1)}")


def bandwidths_10dom_30d(run):
    return statistics_load(run, f"/level3/bandwidths?{usage.all_days(10)}")


def area_10dom_1d(run):
    return statistics_load(run, f"/level3/fluxs/area?{usage.one_day(10)}")


def area_10dom_30d(run):
    return statistics_load(run, f"/level3/fluxs/area?{usage.all_days(10)}")


def collect_1000(run):
    """One UTC day of 1,000 properties with 20 cities each, read from the vendor and written, by `sync-usage`."""
    count = run.scaled(1000, 60)
    servers, database = run.servers, run.servers.mariadb()
    database.sql("CREATE DATABASE IF NOT EXISTS collect CHARACTER SET utf8mb4; "
                 "GRANT ALL ON collect.* TO overseas@localhost; GRANT ALL ON collect.* TO overseas@'127.0.0.1'", database="")
    vendor = Vendor(servers, "collect-vendor", [f"p{n}.example.com" for n in range(count)])
    ours = Installation(servers, "collect", database, "memory")
    ours.settings["OVERSEAS__DATABASE__URL"] = database.url.rsplit("/", 1)[0] + "/collect"
    ours.settings["OVERSEAS__CDN__LEVEL3__BASE_URL"] = vendor.base
    for words in (["migrate", "up"], ["sync-ag"], ["sync-service"]):
        ours.command(*words)
    number = lambda query: int(database.sql(query, database="collect"))
    waits = lambda: int(database.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'").split()[1])
    before, began = waits(), time.monotonic()
    pid, wait = ours.spawn("sync-usage", "--from", "2026-11-10", "--to", "2026-11-11")
    with Sampler({"command": pid}, every=0.1) as sampler:
        code = wait()
    took = time.monotonic() - began
    if code != 0:
        raise Failed(f"sync-usage ended with {code}")
    days, city_days = number("SELECT COUNT(*) FROM usage_day"), number("SELECT COUNT(*) FROM usage_city_day")
    if (days, city_days) != (count, 20 * count):
        raise Failed(f"{days} days and {city_days} of cities for {count} properties")
    database.sql("ANALYZE TABLE usage_day, usage_city_day", database="collect")
    stored = number("SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = 'collect' "
                    "AND table_name IN ('usage_day', 'usage_city_day')")
    packed = number("SELECT (SELECT SUM(LENGTH(bytes) + LENGTH(requests)) FROM usage_day) "
                    "+ (SELECT SUM(LENGTH(bytes) + LENGTH(requests)) FROM usage_city_day)")
    servers.stop("collect-vendor")
    peak = max((value for _, value in sampler.curves["command"]), default=0)
    result = {"properties": count, "seconds": round(took, 2), "per_second": round(count / took, 1), "peak_rss_mb": peak,
              "row_lock_waits": waits() - before, "bytes_stored": stored, "bytes_packed": packed,
              "mb_a_property_and_year": round(stored * 365 / count / 1e6, 1)}
    result["line"] = (f"{result['per_second']} properties/s, RSS at most {peak} MB, {result['row_lock_waits']} lock waits; "
                      f"{result['mb_a_property_and_year']} MB a property and year with 20 cities")
    return result


# -- many URLs at once ----------------------------------------------------------------------------------------------

def awake(run, installation):
    """Waits until the worker hands over what is posted."""
    vendor = run.servers.vendor()
    since = vendor.count()
    Client(installation.base, installation.token).call(
        "POST", "/level3/refresh", {"login_email": USER, "path": f"http://d50.example.com/{tag()}"})
    wait_for(lambda: vendor.invalidations(since)[0], 30, "the worker's first call to the vendor")
    time.sleep(1)


def post_1000_urls(run):
    ours, vendor = run.production(), run.servers.vendor()
    ours.database.clean()
    ours.start("worker")
    awake(run, ours)
    first, count, name = vendor.clear(), run.scaled(50, 5), tag()
    client, milliseconds = Client(ours.base, ours.token), []
    for post in range(count):
        body = refresh_body(USER, [f"http://d1.example.com/big/{name}/{post}/{page}.html" for page in range(1000)])
        began = time.perf_counter()
        status, content, _ = client.raw("POST", "/level3/refresh", body)
        milliseconds.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise Failed(f"POST of 1000 URLs: {status} {content[:300].decode(errors='replace')}")
    posted = time.time()
    wanted = count * 1000 // PATHS_PER_CALL
    handed = lambda: (calls := vendor.invalidations(first)[0]) and len(calls) >= wanted and calls
    try:
        wait_for(handed, 120, "the vendor's calls", every=1)
    except Failed:
        pass  # What is missing is said below.
    time.sleep(3)
    calls, _ = vendor.invalidations(first)
    ours.stop("worker")
    result = {
        "posts": count, "p50_ms": round(statistics.median(milliseconds), 2),
        "p99_ms": round(percentile(milliseconds, 99), 2), "max_ms": round(max(milliseconds), 2),
        "vendor_calls": len(calls), **check_calls(calls, name, count, 1000),
        "handed_over_after_s": round(max((call["time_ms"] for call in calls), default=0) / 1000 - posted, 2)}
    result["line"] = (
        f"{count} posts: median {result['p50_ms']} ms, p99 {result['p99_ms']} ms; {result['vendor_calls']} vendor calls"
        f" (20 each: {'yes' if result['as_planned'] else 'NO'}), {result['doubled']} paths doubled,"
        f" {result['missing']} missing, the last {result['handed_over_after_s']} s after the last post")
    ours.database.clean()
    return result


def check_calls(calls, name, posts, urls):
    """Whether each post of `urls` URLs became its calls, with every path once."""
    paths, calls_of, start = {}, dict.fromkeys(range(posts), 0), f"/big/{name}/"
    for call in calls:
        for path in call["paths"]:
            paths[path] = paths.get(path, 0) + 1
        for post in {int(path.split("/")[3]) for path in call["paths"] if path.startswith(start)}:
            calls_of[post] += 1
    return {
        "as_planned": all(number == urls // PATHS_PER_CALL for number in calls_of.values()),
        "doubled": sum(1 for times in paths.values() if times > 1),
        "missing": posts * urls - sum(1 for path in paths if path.startswith(start))}


# -- draining -------------------------------------------------------------------------------------------------------

def drain_5000(run):
    count = run.scaled(5000, 500)
    ours = run.production()
    ours.database.clean()
    return drain(run, ours, count, DOMAINS[:1], "worker", 20)


def drain_100k(run):
    count = run.scaled(100_000, 5000)
    ours = run.production()
    ours.database.clean()
    return drain(run, ours, count, DOMAINS, "worker", 90)


def drain_100k_embedded(run):
    count = run.scaled(100_000, 5000)
    ours = run.embedded()
    try:
        return drain(run, ours, count, DOMAINS, "up", 90)
    finally:
        ours.stop("up")


def drain(run, ours, count, domains, part, patience):
    """`count` tasks of two URLs wait, then the worker starts; watches it until the vendor has all of them, and after
    that for so many seconds at most until all are finished."""
    vendor, name = run.servers.vendor(), tag()
    urls = lambda task: [f"http://{domains[task % len(domains)]}/drain/{name}/{task}/{page}.html" for page in "ab"]
    seconds = post_tasks(ours.base, ours.token, USER, (urls(task) for task in range(count)))
    posting = {"per_second": round(count / seconds), "api_rss_mb": memory_mb(run.servers.pid(ours.process("api")))}
    if part == "up":
        ours.stop("api")
    run.servers.settle(["mariadb", ours.process("api")])
    first = vendor.clear()
    watched = {process: run.servers.pid(process) for process in ("mariadb", "redis", "vendor") if process in run.servers.processes}
    before = {process: cpu_seconds(pid) for process, pid in watched.items()}
    began, watched["worker"] = time.time(), ours.start(part)
    with Sampler({"worker": watched["worker"]}) as sampler:
        calls = until_handed_over(run, ours, part, vendor, first, 2 * count)
        spent = {process: cpu_seconds(pid) - before.get(process, 0) for process, pid in watched.items()}
        samples = len(sampler.curves["worker"])
        open_tasks, finished_after = until_finished(ours, began, patience)
    ours.stop(part)
    curve = sampler.curves["worker"]
    result = {"tasks": count, "posting": posting, **rate(calls, count, name), **call_sizes(calls)}
    result["worker_start_to_last_call_s"] = round(calls[-1]["time_ms"] / 1000 - began, 2)
    result["open_at_the_end"], result["all_finished_after_s"] = open_tasks, finished_after
    result["cpu_ms_per_task"] = {process: round(value * 1000 / count, 4) for process, value in spent.items()}
    result["worker_rss_mb"] = {
        "peak": max((value for _, value in curve), default=None), "flat": is_flat(curve[:samples]), "curve": curve}
    result["line"] = describe_drain(result)
    return result


def until_handed_over(run, ours, part, vendor, first, paths):
    """Waits until the vendor has so many paths. The record is only counted at first, since reading it costs time."""
    end = time.monotonic() + 900
    alive = lambda: run.servers.check_alive(ours.process(part)) and time.monotonic() < end
    while vendor.count() < first + paths // PATHS_PER_CALL and alive():
        time.sleep(0.1)
    calls, since = vendor.invalidations(first)
    while sum(len(call["paths"]) for call in calls) < paths and alive():
        time.sleep(0.2)
        more, since = vendor.invalidations(since)
        calls += more
    if time.monotonic() >= end:
        raise Failed(f"the vendor has {sum(len(call['paths']) for call in calls)} of {paths} paths after 900 s")
    # Something that is sent twice would come now.
    time.sleep(1)
    calls += vendor.invalidations(since)[0]
    return sorted(calls, key=lambda call: call["time_ms"])


def until_finished(ours, began, patience):
    """Waits until no task is open; gives how many are, and after how many seconds there were none."""
    end = time.monotonic() + patience
    while True:
        left = ours.number("SELECT COUNT(*) FROM task WHERE step <> 'ended'")
        if left == 0 or time.monotonic() >= end:
            return left, round(time.time() - began, 1) if left == 0 else None
        time.sleep(1)


def rate(calls, count, name):
    """Tasks per second between the first and the last call; the tasks of the first call came before that time."""
    seen = {}
    for call in calls:
        for path in call["paths"]:
            seen[path] = seen.get(path, 0) + 1
    ours = sum(1 for path in seen if path.startswith(f"/drain/{name}/"))
    seconds = (calls[-1]["time_ms"] - calls[0]["time_ms"]) / 1000
    in_first = len({path.rsplit("/", 1)[0] for path in calls[0]["paths"]})
    return {
        "tasks_per_second": round((count - in_first) / max(seconds, 0.001), 1),
        "first_to_last_call_s": round(seconds, 3), "missing": 2 * count - ours, "strange": len(seen) - ours,
        "doubled": sum(1 for times in seen.values() if times > 1)}


def call_sizes(calls):
    sizes = [len(call["paths"]) for call in calls]
    return {"vendor_calls": len(sizes), "paths_per_call": round(statistics.mean(sizes), 1), "fewest_paths": min(sizes)}


def describe_drain(result):
    memory = result["worker_rss_mb"]
    flat = {True: "flat", False: "GROWING", None: "too short to tell if flat"}[memory["flat"]]
    finished = result["all_finished_after_s"]
    return (f"{result['tasks_per_second']:,.0f} tasks/s ({result['tasks']:,} in {result['first_to_last_call_s']} s,"
            f" {result['worker_start_to_last_call_s']} s from the start), {result['vendor_calls']:,} vendor calls of"
            f" {result['paths_per_call']} paths, {result['doubled']} paths doubled, {result['missing']} missing;"
            f" RSS peak {memory['peak']} MB, {flat}; "
            + (f"all finished after {finished} s" if finished is not None
               else f"{result['open_at_the_end']:,} tasks still open at the end"))


# -- at rest --------------------------------------------------------------------------------------------------------

def idle_memory(run):
    ours = run.production()
    ours.database.clean()
    ours.stop("api")
    api, worker = ours.start("api"), ours.start("worker")
    rest = run.scaled(30, 3)
    time.sleep(rest)
    before = {"api": cpu_seconds(api), "worker": cpu_seconds(worker)}
    measured = {"api": memory_mb(api), "worker": memory_mb(worker)}
    measured["both"] = {kind: round(measured["api"][kind] + measured["worker"][kind], 1) for kind in measured["api"]}
    time.sleep(rest / 3)
    used = {name: (cpu_seconds(pid) - before[name]) * 300 / rest for name, pid in (("api", api), ("worker", worker))}
    ours.stop("worker")
    result = {**measured, "idle_cpu_percent": {name: round(value, 2) for name, value in used.items()}}
    result["line"] = "; ".join(
        f"{name} RSS {measured[name]['rss_mb']} MB, PSS {measured[name]['pss_mb']} MB" for name in measured)
    result["line"] += f"; idle processor api {used['api']:.1f} %, worker {used['worker']:.1f} %"
    return result


def handover_latency(run):
    ours = run.production()
    ours.database.clean()
    ours.start("worker")
    try:
        return handover(run, ours)
    finally:
        ours.stop("worker")


def handover_latency_embedded(run):
    ours = run.embedded()
    ours.stop("api")
    ours.start("up")
    try:
        return handover(run, ours)
    finally:
        ours.stop("up")


def handover(run, ours):
    """From the answer to the vendor's call. Both ends are read on this machine's clock; the vendor's record has whole
    milliseconds, cut off, so half a millisecond is added to it."""
    vendor, name, count = run.servers.vendor(), tag(), run.scaled(200, 20)
    awake(run, ours)
    first, answered = vendor.clear(), {}
    client, answers = Client(ours.base, ours.token), []
    for post in range(count):
        body = refresh_body(USER, [f"http://d1.example.com/latency/{name}/{post}"])
        began = time.time()
        status, content, answered[f"/latency/{name}/{post}"] = client.raw("POST", "/level3/refresh", body)
        answers.append((answered[f"/latency/{name}/{post}"] - began) * 1000)
        if status != 200:
            raise Failed(f"POST of one URL: {status} {content[:300].decode(errors='replace')}")
        time.sleep(random.uniform(0.05, 0.25))
    time.sleep(3)
    arrived = {path: call["time_ms"] + 0.5 for call in vendor.invalidations(first)[0] for path in call["paths"]}
    missing = [path for path in answered if path not in arrived]
    if missing:
        raise Failed(f"{len(missing)} of {count} URLs did not reach the vendor within 3 s")
    late = [arrived[path] - moment * 1000 for path, moment in answered.items()]
    result = {"posts": count, "p50_ms": round(percentile(late, 50), 1), "p99_ms": round(percentile(late, 99), 1),
              "mean_ms": round(statistics.mean(late), 1), "max_ms": round(max(late), 1), "min_ms": round(min(late), 1),
              "answer_p50_ms": round(percentile(answers, 50), 2), "answer_p99_ms": round(percentile(answers, 99), 2)}
    result["line"] = (
        f"p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms, max {result['max_ms']} ms from the answer to the vendor's"
        f" call; the answer itself took p50 {result['answer_p50_ms']} ms, p99 {result['answer_p99_ms']} ms")
    return result


# In the order in which they run.
CASES = [
    healthz, refresh_list_1k, refresh_list_100k, refresh_list_distinct, refresh_2urls,
    bandwidths_1dom_1d,
    bandwidths_10dom_30d, area_10dom_1d, area_10dom_30d, collect_1000, post_1000_urls, drain_5000,
    drain_100k, drain_100k_embedded, idle_memory, handover_latency, handover_latency_embedded]
