"""Daily access logs: merging a day beside zcat, sort and gzip, and serving a finished log to many slow clients.

A day has gigabytes, so the delivery is made by processes of their own (log_day.py), and nothing here reads it as a
whole. All that is started is known to `Servers`, which stops it when the run is interrupted.
"""
import hashlib, http.client, os, pathlib, shutil, socket, statistics, subprocess, sys, threading, time, urllib.parse
import log_day
from client import Client
from machine import MB, Failed, Noise, children_seconds, peak_mb
from stack import DOMAINS

MAKER = pathlib.Path(log_day.__file__).resolve()
DOMAIN, DATE = DOMAINS[0], "2016-09-29"
# Of one day and property: one for each five minutes.
FILES = 288
# Pairs of runs; a larger day than this many gigabytes is merged once by each.
ROUNDS, LARGE = 2, 2
# What the product promises of its resident memory, in MB.
MOST_MERGE_MB, MOST_SERVING_MB = 128, 100
# Slow clients, and how many bytes each reads in a second and at a time.
CLIENTS, CLIENT_RATE, CLIENT_PIECE = 50, 2_000_000, 64 * 1024


# -- merging --------------------------------------------------------------------------------------------------------

def log_merge(run):
    """A day made by `sync-logs`, in turns with the reference pipeline on the same files."""
    folder, gigabytes = run.servers.folder / "log-merge", run.options.log_gigabytes
    need_space(run.servers.folder, gigabytes)
    delivery = folder / "delivered"
    day = delivery / DATE.replace("-", "/") / DOMAIN
    ours = run.production()
    settings = {"OVERSEAS__CDN__LEVEL3__LOGS": f"file://{delivery}",
                "OVERSEAS__LOGS__STORE": str(folder / "store"), "OVERSEAS__LOGS__STAGING": str(folder / "staging")}
    try:
        files = deliver(run, day, gigabytes)
        turns = {"reference": lambda: reference(run, folder, files),
                 "overseas": lambda: sync_logs(run, ours, settings)}
        rounds = {name: [] for name in turns}
        for number in range(ROUNDS if gigabytes <= LARGE else 1):
            # Each is first once, so that neither gains by its place.
            for name in list(turns) if number % 2 == 0 else reversed(turns):
                warm(files)
                rounds[name].append(measured(run, turns[name]))
        made = folder / "store" / ours.database.sql("SELECT object FROM log_day WHERE state = 'ready'")
        lines = ours.number("SELECT line_count FROM log_day")
        size = compare(folder / "reference.gz", made)
        if len({turn["sha256"] for turn in rounds["overseas"]}) > 1:
            raise Failed("the same delivery gave two different results")
        return merge_result(rounds, files, lines, size, folder / "reference.gz", made)
    finally:
        # Whatever a failure left running; it would write on.
        for name in [name for name in run.servers.processes if name.startswith(("log-maker-", "reference-", ours.process("sync")))]:
            run.servers.stop(name)
        forget_logs(ours)
        shutil.rmtree(folder, ignore_errors=True)


def need_space(folder, gigabytes):
    """The delivery and two results, each about a quarter of the day, and the whole of it while `sort` works."""
    needed, free = 2 * gigabytes, shutil.disk_usage(folder).free / 1e9
    if free < needed + 1:
        raise Failed(f"{free:.1f} GB free in {folder}, but a day of {gigabytes} GB needs {needed + 1:.1f}; TMPDIR names another place")


def deliver(run, folder, gigabytes):
    """Makes the day, with a process for each core, and gives its files in the order of their names."""
    folder.mkdir(parents=True)
    makers = [f"log-maker-{core}" for core in range(len(os.sched_getaffinity(0)))]
    for core, name in enumerate(makers):
        run.servers.spawn(name, sys.executable, MAKER, folder, DATE, FILES, gigabytes * 1e9 / FILES, core, len(makers))
    for name in makers:
        ended(run.servers, name)
    return sorted(folder.iterdir())


def ended(servers, name):
    """Waits for the end of a process, which has to be a good one."""
    code = servers.processes[name].wait()
    if code != 0:
        servers.check_alive(name)
    servers.stop(name)


def warm(files):
    """The same state for each turn: the files in the system's cache, nothing that waits to be written."""
    os.sync()
    buffer = bytearray(MB)
    for file in files:
        with open(file, "rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def measured(run, turn):
    noise, spent, began = Noise(run.servers.pids), children_seconds(), time.monotonic()
    result = turn()
    took = time.monotonic() - began
    return {"seconds": round(took, 2), "cpu_seconds": round(children_seconds() - spent, 2),
            "others_used_cores": noise.cores(), **result}


def reference(run, folder, files):
    """`zcat files | sort | gzip`. Headers are not filtered, which costs the reference nothing: `#` comes before all
    digits, so they are the first lines of its result, and are left out when the results are compared."""
    scratch = folder / "sort"
    scratch.mkdir(exist_ok=True)
    chain = {"reference-zcat": ["zcat", *(file.name for file in files)],
             "reference-sort": ["sort", "-s", "-k1,2", "-S", "64M", "-T", scratch],
             "reference-gzip": ["gzip", "-6"]}
    environment, before = {**os.environ, "LC_ALL": "C"}, subprocess.DEVNULL
    with open(folder / "reference.gz", "wb") as output:
        for name, command in chain.items():
            process = subprocess.Popen(
                command, stdin=before, stdout=output if name == "reference-gzip" else subprocess.PIPE,
                cwd=files[0].parent, env=environment, start_new_session=True)
            run.servers.processes[name] = process
            if before is not subprocess.DEVNULL:
                before.close()
            before = process.stdout
    codes = {name: run.servers.processes[name].wait() for name in chain}
    if any(codes.values()):
        raise Failed(f"the reference failed, and its message is above: {codes}")
    for name in chain:
        run.servers.stop(name)
    return {}


def sync_logs(run, ours, settings):
    pid, wait = ours.spawn("sync-logs", "--date", DATE, "--domain", DOMAIN, settings=settings)
    peak, over = [0.0], threading.Event()

    def watch():
        # The mark only rises, so what is read last holds all but the last moments.
        while not over.wait(0.02):
            peak[0] = max(peak[0], peak_mb(pid) or 0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    code = wait()
    over.set()
    watcher.join()
    if code != 0:
        run.servers.check_alive(ours.process("sync-logs"))
    run.servers.stop(ours.process("sync-logs"))
    found = ours.database.sql("SELECT state, COALESCE(sha256, '-'), COALESCE(problem, '-') FROM log_day").split("\t")
    state, digest, problem = found
    if state != "ready" or problem != "-":
        raise Failed(f"sync-logs left the day {state}: {problem}")
    return {"peak_rss_mb": round(peak[0], 1), "sha256": digest}


def compare(theirs, ours):
    """Both results byte for byte after decompression, as streams; gives the bytes of the lines."""
    zcats = [subprocess.Popen(["zcat", file], stdout=subprocess.PIPE) for file in (theirs, ours)]
    left, right = (zcat.stdout for zcat in zcats)
    size = 0
    try:
        if not all(left.readline().startswith(b"#") for _ in range(FILES * log_day.HEADER_LINES)):
            raise Failed("the reference lost a header")
        while (pieces := (left.read(MB), right.read(MB))) != (b"", b""):
            if pieces[0] != pieces[1]:
                raise Failed(f"the result is not that of the reference, from some byte after {size:,} on")
            size += len(pieces[0])
    finally:
        # One that still has something to say ends when nobody listens.
        for zcat in zcats:
            zcat.stdout.close()
        codes = [zcat.wait() for zcat in zcats]
    if any(codes):
        raise Failed(f"zcat ended with {codes}")
    return size


def merge_result(rounds, files, lines, size, theirs, ours):
    seconds = {name: round(statistics.median(turn["seconds"] for turn in turns), 2) for name, turns in rounds.items()}
    peak = max(turn["peak_rss_mb"] for turn in rounds["overseas"])
    result = {
        "bytes": size, "lines": lines, "files": len(files), "bytes_delivered": sum(file.stat().st_size for file in files),
        "rounds": rounds, "seconds": seconds, "ratio": round(seconds["overseas"] / seconds["reference"], 2),
        "mb_per_second": {name: round(size / 1e6 / took, 1) for name, took in seconds.items()}, "peak_rss_mb": peak,
        "result_bytes": {"overseas": ours.stat().st_size, "reference": theirs.stat().st_size},
        "others_used_cores": max(turn["others_used_cores"] for turns in rounds.values() for turn in turns)}
    spent = {name: statistics.median(turn["cpu_seconds"] for turn in turns) for name, turns in rounds.items()}
    told = "; ".join(
        f"{name} {seconds[name]} s ({', '.join(str(turn['seconds']) for turn in turns)}), {result['mb_per_second'][name]} MB/s,"
        f" CPU {spent[name]:.1f} s, result {result['result_bytes'][name] / 1e6:.1f} MB,"
        f" others {', '.join(str(turn['others_used_cores']) for turn in turns)}" for name, turns in rounds.items())
    result["line"] = f"{size / 1e9:.2f} GB, {lines:,} lines: {told}; ratio {result['ratio']}; RSS at most {peak} MB; results agree"
    return limited(result, peak, MOST_MERGE_MB)


def limited(result, peak, most):
    """A result that is worth reading also when the memory was too much."""
    if peak >= most:
        result["failed"] = f"{peak} MB resident, which should stay below {most}"
        result["line"] = f"FAILED: {result['failed']}; {result['line']}"
    return result


def forget_logs(ours):
    for table in ("log_day", "log_object"):
        ours.database.sql(f"TRUNCATE TABLE {table}")


# -- serving --------------------------------------------------------------------------------------------------------

def log_serving(run):
    """A finished log over its signed link: many slow clients, then one that reads as quickly as it can."""
    ours, size, seconds = run.production(), int(run.options.log_gigabytes * 1e9), run.scaled(20, 3)
    store = run.servers.folder / "log-serving"
    need_space(run.servers.folder, run.options.log_gigabytes)
    ours.stop("api")
    # Of an API of its own the peak is that of this case.
    ours.start("api", {"OVERSEAS__LOGS__STORE": str(store)})
    try:
        digest = finished_log(ours, store, size)
        base, path = signed_link(ours)
        api, begun = run.servers.pid(ours.process("api")), peak_mb(run.servers.pid(ours.process("api")))
        slow_noise = Noise(run.servers.pids)
        taken = read_slowly(base, path, seconds)
        slow = {"clients": CLIENTS, "seconds": seconds, "bytes": sum(taken), "fewest_bytes": min(taken),
                "peak_rss_mb": peak_mb(api), "others_used_cores": slow_noise.cores()}
        wanted = min(size, CLIENT_RATE * seconds)
        if min(taken) < wanted * 0.9:
            raise Failed(f"a client that reads {CLIENT_RATE / 1e6} MB/s got {min(taken):,} of {wanted:,} bytes in {seconds} s")
        fast_noise, began = Noise(run.servers.pids), time.monotonic()
        read_all(base, path, size)
        took = time.monotonic() - began
        fast = {"bytes": size, "seconds": round(took, 3), "mb_per_second": round(size / 1e6 / took),
                "others_used_cores": fast_noise.cores()}
        # Apart from what is measured, since the sum costs more than the reading.
        sum_of_all = hashlib.sha256()
        read_all(base, path, size, sum_of_all.update)
        if sum_of_all.hexdigest() != digest:
            raise Failed("what was served is not what is in the store")
        # The system adds its counters up roughly, so that a later mark can be a little lower.
        peak = max(slow["peak_rss_mb"], peak_mb(api))
    finally:
        ours.stop("api")
        forget_logs(ours)
        shutil.rmtree(store, ignore_errors=True)
        ours.start("api")
    result = {"file_bytes": size, "slow": slow, "fast": fast, "peak_rss_mb": peak, "rss_before_mb": begun,
              "others_used_cores": max(slow["others_used_cores"], fast["others_used_cores"])}
    result["line"] = (
        f"{size / 1e9:.2f} GB: {CLIENTS} clients at {CLIENT_RATE / 1e6:.0f} MB/s for {seconds} s took {slow['bytes'] / 1e6:,.0f} MB"
        f" (others {slow['others_used_cores']}); one client {fast['mb_per_second']:,} MB/s (others {fast['others_used_cores']});"
        f" RSS of the api at most {peak} MB, {begun} MB before")
    return limited(result, peak, MOST_SERVING_MB)


def finished_log(ours, store, size):
    """A row of a day that is made, and its file. Making a log of that size would take a day of several times as much;
    to the API a file is bytes. They are random, so that nothing on the way can make them fewer. Gives their SHA-256."""
    name, digest = f"{DATE.replace('-', '/')}/bench.log.gz", hashlib.sha256()
    (store / name).parent.mkdir(parents=True)
    with open(store / name, "wb") as output:
        for begin in range(0, size, MB):
            piece = os.urandom(min(MB, size - begin))
            digest.update(piece)
            output.write(piece)
    ours.database.sql(f"""
        INSERT INTO log_day (property_id, day, cdn_id, state, object, size, line_count, sha256, file_count, attempts,
            created_at, made_at)
        SELECT id, DATEDIFF('{DATE}', '1970-01-01'), cdn_id, 'ready', '{name}', {size}, 1, '{digest.hexdigest()}', 1, 0, 1, 1
        FROM property WHERE name = '{DOMAIN}'""")
    os.sync()
    return digest.hexdigest()


def signed_link(ours):
    """The API's address and the path of the link, with its signature."""
    listed = Client(ours.base, ours.token).call("GET", f"/level3/logdownload?domain={DOMAIN}&startDate={DATE}&endDate={DATE}")
    link = urllib.parse.urlsplit(listed["results"][0]["url"])
    if not link.query:
        raise Failed(f"there is no link: {listed}")
    return (link.hostname, link.port), f"{link.path}?{link.query}"


def read_slowly(address, path, seconds):
    """Many clients, each with its own pace; gives the bytes that each got."""
    taken, failures = [0] * CLIENTS, []

    def read(client):
        try:
            # A small window of its own, or the system would take megabytes at once on the client's behalf.
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * CLIENT_PIECE)
            connection.connect(address)
            with opened(address, path, connection) as answer:
                began = time.monotonic()
                while (passed := time.monotonic() - began) < seconds and (piece := answer.read(CLIENT_PIECE)):
                    taken[client] += len(piece)
                    time.sleep(max(0.0, taken[client] / CLIENT_RATE - passed))
            connection.close()
        except (OSError, http.client.HTTPException, Failed) as error:
            failures.append(f"client {client}: {error!r}")

    readers = [threading.Thread(target=read, args=(client,), daemon=True) for client in range(CLIENTS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    if failures:
        raise Failed(f"{len(failures)} clients: {failures[0]}")
    return taken


def opened(address, path, connected=None):
    """The answer to a request for the log, of which nothing but the head has been read. It closes the connection."""
    connection = http.client.HTTPConnection(*address, timeout=120)
    connection.sock = connected
    connection.request("GET", path, headers={"Connection": "close"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise Failed(f"{path}: {answer.status} {answer.read(300).decode(errors='replace')}")
    return answer


def read_all(address, path, size, take=len):
    buffer, got = memoryview(bytearray(MB)), 0
    with opened(address, path) as answer:
        while length := answer.readinto(buffer):
            take(buffer[:length])
            got += length
    if got != size:
        raise Failed(f"{got:,} of {size:,} bytes were served")


LOG_CASES = [log_merge, log_serving]
