"""Speaking to a server: single calls, many calls from threads, and wrk."""
import http.client, json, os, pathlib, subprocess, threading, time, urllib.parse
from machine import Failed

LUA = pathlib.Path(__file__).resolve().parent / "load.lua"
CONNECTIONS = 16


class Client:
    """One connection that is kept. Not for several threads."""

    def __init__(self, base, token=None):
        address = urllib.parse.urlsplit(base)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def raw(self, method, path, body=None):
        """The status, the body, and the moment at which the body had been read."""
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, content, time.time()

    def call(self, method, path, body=None):
        """The JSON of a good answer."""
        data = json.dumps(body).encode() if body is not None else None
        status, content, _ = self.raw(method, path, data)
        if status != 200:
            raise Failed(f"{method} {path}: {status} {content[:300].decode(errors='replace')}")
        return json.loads(content)


def wait_for(condition, seconds, what, every=0.1):
    """Waits until the condition gives something, and gives it."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
            last = error
        time.sleep(every)
    raise Failed(f"waited {seconds} s for {what}" + (f": {last}" if last else ""))


def refresh_body(email, urls):
    return json.dumps({"login_email": email, "path": "|".join(urls)}).encode()


def post_tasks(base, token, email, tasks, threads=CONNECTIONS):
    """Posts one refresh for each list of URLs, from several threads; gives the seconds that it took."""
    waiting, lock, failures = iter(tasks), threading.Lock(), []

    def work():
        client = Client(base, token)
        while not failures:
            with lock:
                urls = next(waiting, None)
            if urls is None:
                return
            status, content, _ = client.raw("POST", "/level3/refresh", refresh_body(email, urls))
            if status != 200:
                failures.append(f"POST /level3/refresh: {status} {content[:300].decode(errors='replace')}")

    began = time.monotonic()
    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise Failed(failures[0])
    return time.monotonic() - began


def wrk(base, token, path, body, seconds):
    """One run of wrk: one thread, 16 connections. A body makes it a POST; see load.lua for the marker __N__."""
    # Counted in 10 microseconds since 1970, so no earlier run can have come as far.
    environment = {**os.environ, "BENCH_TOKEN": token, "BENCH_FIRST": str(time.time_ns() // 10_000)}
    environment.pop("BENCH_BODY", None)
    if body is not None:
        environment["BENCH_BODY"] = body.decode()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "60s", "-s", str(LUA), base + path]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    for line in run.stdout.splitlines():
        if line.startswith("JSON"):
            result = json.loads(line[4:])
            result["per_second"] = round(result["requests"] / result["seconds"], 1)
            return result
    raise Failed(f"wrk: {run.stdout}{run.stderr}")
