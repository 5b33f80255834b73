"""Makes a day of access logs as a vendor delivers it: gzip files of some minutes each, for one property.

    log_day.py FOLDER DATE FILES BYTES FIRST STEP

writes the files FIRST, FIRST + STEP, .. of FILES into the folder, each of about so many bytes before compression. The
case in logs.py runs one for each core. The same arguments always give the same files.

Lines are put together from pools of requests, clients, numbers and agents, so that making them is quick while they
compress like real ones, to about a quarter. Requests come as in life, a few of them very often. A line is late by up
to SPREAD, as at a server that writes down a request when it is answered: within a file lines are a little out of
order, and a file ends after the next one has begun.
"""
import gzip, itertools, pathlib, random, sys

DAY = 86_400_000
SPREAD = 20_000
# Lines that are made at a time.
BATCH = 50_000
# Each file begins with so many lines that are none of the log.
HEADER = ("#Version: 1.0\n#Fields: date time cached cs-request c-ip sc-bytes cs-bytes sc-body time-taken sc-status "
          "cs(User-Agent) cs(Referer) cs(Cookie) edge\n")
HEADER_LINES = HEADER.count("\n")

AGENTS = [
    "curl/7.32.0", "Wget/1.14 (linux-gnu)", "Dalvik/2.1.0 (Linux; U; Android 6.0.1; SM-G920F Build/MMB29K)",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; rv:49.0) Gecko/20100101", "Lavf/57.25.100", "okhttp/3.4.1", "VLC/2.2.4 LibVLC/2.2.4",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "AppleCoreMedia/1.0.0.14A403 (iPhone; U)"]
FOLDERS = ["a", "img", "css", "js", "video/hls", "download", "static/assets", "live/channel", "media"]
WORDS = ["banner", "player", "index", "segment", "product", "thumb", "update", "intro", "main", "poster"]
ENDINGS = ["jpg", "png", "ts", "m3u8", "js", "css", "zip", "mp4"]


class Pools:
    """What lines are made of; the same for all files."""

    def __init__(self):
        chance = random.Random(1)
        number, choice = chance.randrange, chance.choice
        path = lambda: f"/{choice(FOLDERS)}/{number(1000)}/{choice(WORDS)}-{number(1 << 24):x}.{choice(ENDINGS)}"
        query = lambda: choice(["", "", "", f"?v={number(100)}", f"?session={number(1 << 48):x}"])
        referer = lambda: choice(["-", f"http://www.example.com/{choice(WORDS)}/{number(500)}.html"])
        self.requests = [f'{choice("yyyn")} "GET {path()}{query()} HTTP/1.1"' for _ in range(20_000)]
        self.popularity = list(itertools.accumulate(1 / rank for rank in range(1, len(self.requests) + 1)))
        self.clients = [f"{number(1, 224)}.{number(256)}.{number(256)}.{number(1, 255)}" for _ in range(30_000)]
        self.numbers = [f"{int(chance.lognormvariate(9, 2))} {number(90, 400)} {number(20_000)} {number(2000)} "
                        f"{choice([200] * 9 + [206, 206, 304, 404])}" for _ in range(50_000)]
        self.ends = [f'"{choice(AGENTS)}" "{referer()}" "-" {number(1000)}\n' for _ in range(20_000)]

    def lines(self, chance, clock, times):
        count, choices = len(times), chance.choices
        columns = zip(times, choices(self.requests, cum_weights=self.popularity, k=count), choices(self.clients, k=count),
                      choices(self.numbers, k=count), choices(self.ends, k=count))
        return [f"{clock[time // 1000]}.{time % 1000:03d} {request} {client} {numbers} {end}"
                for time, request, client, numbers, end in columns]


def main(folder, date, files, size, first, step):
    pools = Pools()
    clock = [f"{date} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(DAY // 1000)]
    sample = pools.lines(random.Random(2), clock, [0] * 10_000)
    count = max(1, round(size / (sum(map(len, sample)) / len(sample))))
    for file in range(first, files, step):
        chance = random.Random(1000 + file)
        begin, pause = DAY * file / files, DAY / files / count
        minutes = int(begin) // 60_000
        name = f"access_{date.replace('-', '')}_{minutes // 60:02d}{minutes % 60:02d}_{file:06d}.gz"
        with gzip.open(pathlib.Path(folder) / name, "wb", compresslevel=1) as output:
            output.write(HEADER.encode())
            for batch in range(0, count, BATCH):
                times = [min(int(begin + line * pause + chance.random() * SPREAD), DAY - 1)
                         for line in range(batch, min(batch + BATCH, count))]
                output.write("".join(pools.lines(chance, clock, times)).encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
