"""What the benchmark needs from this machine: programs, processor time, memory, and how quiet it is."""
import contextlib, os, pathlib, platform, resource, shutil, subprocess, sys, threading, time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1024 * 1024

# The program, and Debian's package that has it. The packages without a service of their own are preferred.
PROGRAMS = {
    "wrk": "wrk",
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "redis-server": "redis-server",
}
# Debian starts a server as soon as it is installed, unless this file says no.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


class Failed(Exception):
    """The benchmark cannot go on; the text says why and what to do."""


def need_programs(without=()):
    """Finds all programs; as root it installs the packages of those that are missing, otherwise it names them."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    packages = sorted({package for program, package in PROGRAMS.items()
                       if program not in without and not shutil.which(program)})
    if not packages:
        return
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    install = [*command, "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"missing here: {' '.join(packages)} (Debian's packages); install them, or run this as root")
    print(f"installing {' '.join(packages)}", flush=True)
    ours = not POLICY.exists()
    try:
        if ours:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run([*command, "update"], env=environment, check=False)
        if subprocess.run(install, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
            raise Failed(f"could not install {' '.join(packages)}; apt-get's message is above")
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def describe(binary):
    """What a reader of the numbers has to know."""
    def first_line(*command):
        out = subprocess.run(command, capture_output=True, text=True)
        return ((out.stdout or out.stderr).splitlines() or [""])[0].strip()
    model = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cores": len(os.sched_getaffinity(0)),
        "processor": model[0] if model else platform.machine(),
        "memory_gb": round(memory / MB / 1024),
        "kernel": platform.release(),
        "overseas": first_line(str(binary), "--version"),
        "mariadb": first_line("mariadbd", "--version"),
        "redis": first_line("redis-server", "--version"),
        "wrk": first_line("wrk", "--version"),
        "python": platform.python_version(),
    }


def cpu_seconds(pid):
    """Processor time of a process and of its children that have ended; 0 if it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def memory_mb(pid):
    """RSS and PSS in MB."""
    found = {}
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Rss", "Pss"):
                found[name.lower() + "_mb"] = round(int(rest.split()[0]) / 1024, 1)
    return found


def rss_mb(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / MB
    except OSError:
        return None


def peak_mb(pid):
    """The most RSS that the process ever had."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    return None


def children_seconds():
    """Processor time of the children that have ended, and of theirs."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


class Noise:
    """How much of the processors others used: all that was used, less what this program and its children used."""

    def __init__(self, live_pids):
        self.live_pids = live_pids
        self.before = self._read()

    def _read(self):
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
        mine = resource.getrusage(resource.RUSAGE_SELF)
        own = mine.ru_utime + mine.ru_stime + children_seconds()
        own += sum(cpu_seconds(pid) for pid in self.live_pids())
        # The work of the loopback network is done for us, and is counted as nobody's.
        return time.monotonic(), (user + nice + system + irq + steal) / TICKS, own

    def cores(self):
        """In cores: 0 is a quiet machine."""
        then, busy, own = self.before
        now, busy_now, own_now = self._read()
        return max(0.0, round(((busy_now - busy) - (own_now - own)) / max(now - then, 0.001), 2))


class Sampler:
    """The RSS of processes each half second, from `start` to `stop`, as (seconds since the start, MB)."""

    def __init__(self, pids, every=0.5):
        self.pids, self.every = pids, every
        self.curves = {name: [] for name in pids}
        self.began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(self.every):
            for name, pid in self.pids.items():
                value = rss_mb(pid)
                if value is not None:
                    self.curves[name].append((round(time.monotonic() - self.began, 1), round(value, 1)))


def is_flat(curve):
    """Whether memory stopped growing: the last quarter against the second one, 5 % or 2 MB at most."""
    values = [value for _, value in curve]
    if len(values) < 8:
        return None
    quarter = len(values) // 4
    middle = lambda part: sorted(part)[len(part) // 2]
    second, last = middle(values[quarter:2 * quarter]), middle(values[-quarter:])
    return last - second <= max(second * 0.05, 2.0)


def build(root, binary):
    if binary.exists():
        return
    if binary != root / "target/release/overseas":
        raise Failed(f"there is no {binary}")
    print("cargo build --release --locked", flush=True)
    if subprocess.run(["cargo", "build", "--release", "--locked"], cwd=root).returncode != 0:
        raise Failed("the release build failed; cargo's messages are above")


def say(text):
    print(text, flush=True)


def warn(text):
    print(f"warning: {text}", file=sys.stderr, flush=True)
