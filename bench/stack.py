"""The servers of a run, each in a folder and on a port of its own, all stopped by process id at the end."""
import json, os, pathlib, re, signal, socket, sqlite3, subprocess, time
from client import Client, wait_for
from machine import Failed, cpu_seconds

ADMIN, USER, PASSWORD = "admin@example.com", "user@example.com", "correct horse 9"
DOMAINS = [f"d{n}.example.com" for n in range(1, 51)]
KEY_ID, SECRET = "279000001", "BENCHsecret0123456"
# Seconds from 0 to 100 % at the simulated vendor.
INVALIDATION_SECONDS = 1
GROUP = 12345


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """All processes of a run. MariaDB, Redis and the simulated vendor are started when they are first asked for."""

    def __init__(self, folder, binary):
        self.folder, self.binary = pathlib.Path(folder), binary
        self.processes = {}
        self._vendor = self._mariadb = self._redis = None

    def environment(self, settings=()):
        """Of this shell's settings for the product none counts."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OVERSEAS__")}
        return {**kept, **dict(settings)}

    def spawn(self, name, *command, settings=()):
        self.stop(name)
        log = open(self.folder / f"{name}.log", "ab")
        # A session of its own: Ctrl-C is for this program, which then stops the others in order.
        self.processes[name] = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            env=self.environment(settings), start_new_session=True)
        log.close()
        return self.processes[name]

    def pid(self, name):
        return self.processes[name].pid

    def pids(self):
        return [process.pid for process in self.processes.values()]

    def check_alive(self, name):
        code = self.processes[name].poll()
        if code is not None:
            end = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
            raise Failed(f"{name} ended with {code}:\n{end}")
        return True

    def stop(self, name):
        process = self.processes.get(name)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        del self.processes[name]

    def stop_all(self):
        for name in reversed(list(self.processes)):
            self.stop(name)

    def settle(self, names, most=30):
        """Until what the last load left behind is worked off: wrk hangs up, servers go on."""
        pids = [self.pid(name) for name in names if name in self.processes]
        for _ in range(most * 2):
            before = sum(cpu_seconds(pid) for pid in pids)
            time.sleep(0.5)
            if sum(cpu_seconds(pid) for pid in pids) - before <= 0.03:
                return

    def mariadb(self):
        if self._mariadb is None:
            self._mariadb = Mariadb(self)
        return self._mariadb

    def redis(self):
        if self._redis is None:
            port = free_port()
            self.spawn("redis", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                       "--appendonly", "no", "--dir", self.folder)
            wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 30, "Redis")
            self._redis = f"redis://127.0.0.1:{port}/0"
        return self._redis

    def vendor(self):
        if self._vendor is None:
            self._vendor = Vendor(self)
        return self._vendor

    def complaints(self):
        """What the product's processes wrote into their logs at the level of warnings and errors."""
        found = {}
        for log in sorted(self.folder.glob("*.log")):
            if log.stem in ("mariadb", "redis"):
                continue
            for line in log.read_text(errors="replace").splitlines():
                line = re.sub(r"\x1b\[[0-9;]*m", "", line)
                if match := re.search(r"\b(WARN|ERROR)\b(.*)", line):
                    # What differs from line to line is cut out, so that the same complaint is counted.
                    same = re.sub(r"[0-9A-Z]{26}|\d+", "#", match[1] + match[2])[:300]
                    entry = found.setdefault(f"{log.stem}: {same}", {"count": 0, "first": line[:500]})
                    entry["count"] += 1
        return found


class Mariadb:
    """Durable commits: a commit is on the disk when it is answered, as in production."""

    def __init__(self, servers):
        self.servers, folder, port = servers, servers.folder, free_port()
        installed = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/mariadb", "--skip-test-db",
             "--auth-root-authentication-method=normal", *self._user()], capture_output=True, text=True)
        if installed.returncode != 0:
            raise Failed(f"mariadb-install-db: {installed.stdout[-1000:]}{installed.stderr[-1000:]}")
        servers.spawn("mariadb", "mariadbd", "--no-defaults", f"--datadir={folder}/mariadb", f"--port={port}",
                      f"--socket={folder}/db.sock", f"--pid-file={folder}/db.pid", "--bind-address=127.0.0.1",
                      "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M",
                      "--character-set-server=utf8mb4", *self._user())
        wait_for(lambda: servers.check_alive("mariadb") and self.sql("SELECT 1", database=""), 60, "MariaDB")
        self.sql("CREATE DATABASE overseas CHARACTER SET utf8mb4; "
                 "CREATE USER overseas@'127.0.0.1' IDENTIFIED BY 'overseas'; "
                 "CREATE USER overseas@localhost IDENTIFIED BY 'overseas'; "
                 "GRANT ALL ON overseas.* TO overseas@'127.0.0.1'; GRANT ALL ON overseas.* TO overseas@localhost",
                 database="")
        self.url = f"mysql://overseas:overseas@127.0.0.1:{port}/overseas"

    @staticmethod
    def _user():
        return ["--user=root"] if os.geteuid() == 0 else []

    def sql(self, text, database="overseas"):
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "root")
        command = ["mariadb", "--no-defaults", f"--socket={self.servers.folder}/db.sock", f"--user={user}",
                   "--batch", "--skip-column-names", f"--execute={text}", *([database] if database else [])]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def run(self, text):
        """A statement that is too long for an argument."""
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "root")
        subprocess.run(["mariadb", "--no-defaults", f"--socket={self.servers.folder}/db.sock", f"--user={user}",
                        "--max-allowed-packet=1G", "overseas"], input=text, check=True, capture_output=True, text=True)

    def forget_past(self):
        self.sql("INSERT INTO property_usage (property_id, backfilled_to) SELECT id, 0 FROM property")

    def clean(self):
        for table in ("task", "submission", "task_submission", "property_poll"):
            self.sql(f"TRUNCATE TABLE {table}")


class Sqlite:
    """The embedded database: a file that the product makes."""

    def __init__(self, folder):
        self.file = folder / "embedded.db"
        self.url = f"sqlite://{self.file}"

    def sql(self, text):
        connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        try:
            return "\n".join("\t".join(str(value) for value in row) for row in connection.execute(text))
        finally:
            connection.close()

    def forget_past(self):
        with sqlite3.connect(self.file, timeout=30) as connection:
            connection.execute("INSERT INTO property_usage (property_id, backfilled_to) SELECT id, 0 FROM property")

    def remove(self):
        for file in self.file.parent.glob("embedded.db*"):
            file.unlink()


class Vendor:
    """`overseas simulate`, with 50 properties; it records every call."""

    def __init__(self, servers, name="vendor", properties=DOMAINS):
        data = servers.folder / f"{name}.toml"
        data.write_text(self._data(properties))
        port = free_port()
        self.base, self.edge = f"http://127.0.0.1:{port}", f"127.0.0.1:{free_port()}"
        servers.spawn(name, servers.binary, "simulate", "--data", data, "--listen", f"127.0.0.1:{port}",
                      "--edge-listen", self.edge)
        wait_for(lambda: servers.check_alive(name) and Client(self.base).call("GET", "/_control/config"),
                 30, "the simulator")

    @staticmethod
    def _data(names):
        properties = "".join(f'[[access_groups.services.properties]]\nname = "{name}"\n' for name in names)
        return (f"invalidation_seconds = {INVALIDATION_SECONDS}\n"
                f'[[keys]]\nid = "{KEY_ID}"\nsecret = "{SECRET}"\naccess_group = {GROUP}\n'
                f'[[access_groups]]\nid = {GROUP}\nname = "Bench"\n'
                f'[[access_groups.services]]\nscid = "BBBN56789"\n{properties}')

    def clear(self):
        """Forgets what was recorded; what is recorded from now on has this number or a higher one."""
        client = Client(self.base)
        client.call("DELETE", "/_control/requests")
        return self.count()

    def count(self):
        """How many requests there have been, without reading any of them."""
        return Client(self.base).call("GET", f"/_control/requests?since={10 ** 15}")["next"]

    def summary(self):
        return Client(self.base).call("GET", "/_control/summary")

    def invalidations(self, since):
        """The invalidations from this number on that were carried out, and the number to go on with."""
        answer = Client(self.base).call("GET", f"/_control/requests?since={since}")
        calls = [entry for entry in answer["requests"] if entry["operation"] == "invalidate" and entry["registered"]]
        return calls, answer["next"]


class Installation:
    """The product on one database and queue, with a user to whom all domains are mapped."""

    def __init__(self, servers, name, database, queue):
        self.servers, self.name, self.database = servers, name, database
        self.port, self.token = free_port(), None
        self.base = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "OVERSEAS__DATABASE__URL": database.url,
            "OVERSEAS__QUEUE__URL": queue,
            "OVERSEAS__HTTP__LISTEN": f"127.0.0.1:{self.port}",
            "OVERSEAS__AUTH__SESSION_SECONDS": "86400",
            "OVERSEAS__HTTP__RATE_LIMIT__ENABLED": "false",
            "OVERSEAS__LOGS__STORE": str(servers.folder / f"{name}-logs"),
            "OVERSEAS__LOG__LEVEL": "warn",
            "OVERSEAS__CDN__LEVEL3__VENDOR": "level3",
            "OVERSEAS__CDN__LEVEL3__BASE_URL": servers.vendor().base,
            "OVERSEAS__CDN__LEVEL3__KEY_ID": KEY_ID,
            "OVERSEAS__CDN__LEVEL3__SECRET": SECRET,
        }

    def command(self, *words, stdin=""):
        run = subprocess.run([str(self.servers.binary), *words], input=stdin, capture_output=True, text=True,
                             cwd=self.servers.folder, env=self.servers.environment(self.settings))
        if run.returncode != 0:
            raise Failed(f"overseas {' '.join(words)}: {run.stdout}{run.stderr}")

    def spawn(self, *words, settings=()):
        """A command that runs on; returns its process id and a function that waits for its end."""
        name = self.process(words[0])
        self.servers.spawn(name, self.servers.binary, *words, settings={**self.settings, **dict(settings)})
        return self.servers.pid(name), self.servers.processes[name].wait

    def process(self, part):
        return f"{self.name}-{part}"

    def start(self, part, settings=()):
        """`api`, `worker` or `up`; waits for those that listen."""
        name = self.process(part)
        self.servers.spawn(name, self.servers.binary, part, settings={**self.settings, **dict(settings)})
        if part != "worker":
            wait_for(lambda: self.servers.check_alive(name) and Client(self.base).raw("GET", "/readyz")[0] == 200,
                     30, f"{part} to be ready")
        return self.servers.pid(name)

    def stop(self, part):
        self.servers.stop(self.process(part))

    def prepare(self):
        """Schema, staff, catalogue, user and domains; leaves the API running."""
        self.command("migrate", "up")
        self.command("createsuperuser", "--email", ADMIN, "--password-stdin", stdin=PASSWORD + "\n")
        self.command("sync-ag")
        self.command("sync-service")
        # A worker that starts reads the past of new properties, which would disturb what is measured.
        self.database.forget_past()
        self.start("api")
        client = Client(self.base)
        client.headers["Authorization"] = "Bearer " + self._login(client, ADMIN)
        client.call("POST", "/useful/create/company", {
            "company_name": "Example Company", "company_alias": "example", "owner_name": "Example User",
            "owner_email": USER})
        client.call("POST", "/level3/user", {"login_email": USER, "password": PASSWORD})
        client.call("POST", "/level3/user_domains", {"login_email": USER, "cdn": "level3", "domains": DOMAINS})
        listed = client.call("GET", f"/level3/user_domains?login_email={USER}")
        states = {row["domain"]: row["state"] for row in listed["results"][0]["domains"]}
        if states != dict.fromkeys(DOMAINS, "Active"):
            raise Failed(f"the domains are not mapped: {json.dumps(states)[:300]}")
        self.token = self._login(client, USER)

    @staticmethod
    def _login(client, email):
        return client.call("POST", "/level3/login", {"login_email": email, "password": PASSWORD})["token"]

    def number(self, query):
        return int(self.database.sql(query))
