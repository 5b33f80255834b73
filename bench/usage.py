"""Statistics beside another server: its data, and the loads.

The numbers are a pure function, the same as in the comparison's seed: 50 domains x 30 days of totals, 10 domains x 30
days x 20 cities. They are written past the product, as packs (shared/src/domain/usage/pack.rs), so the loads do not wait
for the collector.
"""
import struct, subprocess

START, STEP, DAY, SLOTS = 1470268800, 300, 86400, 288
DAYS = 30
CITIES = ["Miami", "Seoul", "Tokyo", "London", "Paris", "Frankfurt", "Singapore", "Hong Kong", "Sydney", "New York",
          "Los Angeles", "Chicago", "Dallas", "Seattle", "Toronto", "Amsterdam", "Madrid", "Milan", "Stockholm", "Mumbai"]


def total(domain, index):
    return (domain * 7919 + index * 104729) % 1000003 * 997


def city_bytes(domain, index, city):
    return (domain * 7919 + index * 104729 + city * 15485863) % 100003 * 97


def city_requests(domain, index, city):
    return (domain + index + city) % 500


def pack(values):
    """A day of which every slot is known: version 1 and that flag, the width, the values."""
    width = (max(values).bit_length() + 7) // 8
    return bytes([0x81, width]) + b"".join(struct.pack("<Q", value)[:width] for value in values)


def rows(properties, days):
    """The statements, some megabytes each."""
    yield "INSERT INTO city (name) VALUES " + ",".join(f"('{name}')" for name in CITIES)
    for domain, property_id in properties:
        totals, cities = [], []
        for day in range(days):
            slots = range(day * SLOTS, (day + 1) * SLOTS)
            number = START // DAY + day
            values, zeros = [total(domain, i) for i in slots], [0] * SLOTS
            totals.append(f"({property_id},{number},{sum(values)},0,{max(values)},X'{pack(values).hex()}',X'{pack(zeros).hex()}')")
            if domain <= 10:
                for city in range(1, len(CITIES) + 1):
                    values, asked = [city_bytes(domain, i, city) for i in slots], [city_requests(domain, i, city) for i in slots]
                    cities.append(f"({property_id},{number},(SELECT id FROM city WHERE name = '{CITIES[city - 1]}'),"
                                  f"{sum(values)},{sum(asked)},X'{pack(values).hex()}',X'{pack(asked).hex()}')")
        yield "INSERT INTO usage_day (property_id, day, total_bytes, total_requests, peak_bytes, bytes, requests) VALUES " + ",".join(totals)
        if cities:
            yield ("INSERT INTO usage_city_day (property_id, day, city_id, total_bytes, total_requests, bytes, requests) VALUES "
                   + ",".join(cities))


def seed(installation, days=DAYS):
    database = installation.database
    if int(database.sql("SELECT COUNT(*) FROM usage_day")):
        return
    found = database.sql("SELECT name, id FROM property WHERE name LIKE 'd%.example.com'").split("\n")
    properties = []
    for line in found:
        name, property_id = line.split()
        properties.append((int(name.split(".")[0][1:]), int(property_id)))
    for statement in rows(sorted(properties), days):
        database.run(statement)
    database.sql("ANALYZE TABLE usage_day, usage_city_day")


def domains(count):
    return "&".join(f"domain.{n}=d{n + 1}.example.com" for n in range(count))


def one_day(count):
    middle = START + DAYS // 2 * DAY
    return f"{domains(count)}&startTime={middle}&endTime={middle + DAY}"


def all_days(count):
    return f"{domains(count)}&startTime={START}&endTime={START + DAYS * DAY}"
