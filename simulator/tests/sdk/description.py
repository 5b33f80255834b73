"""The vendor's own description of a service's API: `api.json` of `tccli`, which names each action's members and types.

Whoever holds something against it hands in what is to be done with a complaint. Used by drive.py for the simulator's
answers, and by judge.py for our client's requests.
"""

import json
import re
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

FORMS = {
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "datetime": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "datetime_iso": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"),
}
INTEGERS = {"int64": range(-(1 << 63), 1 << 63), "uint64": range(1 << 64)}


class Description:
    """The vendor's description of a service."""

    def __init__(self, service, version, complain):
        self.service, self.complain = service, complain
        described = self.file(version, "api.json")
        self.version = described["metadata"]["apiVersion"]
        self.objects, self.actions = described["objects"], described["actions"]
        self.examples = self.file(version, "examples.json")["actions"]

    def file(self, version, name):
        # Found and not imported: the package itself would need modules that are not installed with it.
        folder = Path(find_spec("tccli").submodule_search_locations[0], "services", self.service, version)
        return json.loads((folder / name).read_text(encoding="utf-8"))

    def members(self, name):
        return {member["name"]: member for member in self.objects[name]["members"]}

    def input(self, action):
        return self.members(self.actions[action]["input"])

    def judge_answer(self, action, answer):
        self.judge_object(f"{self.service} {action}", self.actions[action]["output"], answer, False)

    def judge_request(self, action, request):
        self.judge_object(f"{self.service} {action}", self.actions[action]["input"], request, True)

    def judge_object(self, place, name, value, is_request):
        members = self.members(name)
        for unknown in sorted(value.keys() - members.keys()):
            self.complain(f"{place}: {unknown} is not described")
        for member in members.values():
            inner = f"{place}.{member['name']}"
            found = value.get(member["name"])
            if found is not None:
                self.judge_value(inner, member, found, is_request)
            elif is_request and member["name"] in value:
                self.complain(f"{inner}: null, which no request may say")
            elif member.get("required") if is_request else self.is_always_answered(member):
                self.complain(f"{inner}: missing or null, which is not described")

    @staticmethod
    def is_always_answered(member):
        # May be null, or is there only in certain cases.
        optional = "null" in member["document"] or "仅当" in member["document"]
        return not optional and member.get("output_required") is not False

    def judge_value(self, place, member, value, is_request):
        kind, of = member["type"], member["member"]
        if kind == "list":
            if not isinstance(value, list):
                return self.complain(f"{place}: no list")
            for item in value:
                self.judge_item(place, of, item, is_request)
        elif kind == "object":
            self.judge_item(place, of, value, is_request)
        elif not self.is_scalar(kind, of, value):
            self.complain(f"{place}: {value!r} is no {of}")
        # In an answer, a time that is not there yet is empty.
        elif of in FORMS and (is_request or value != "") and not self.is_time(of, value):
            self.complain(f"{place}: {value!r} is no {of}")

    def judge_item(self, place, of, value, is_request):
        if of in self.objects:
            if not isinstance(value, dict):
                return self.complain(f"{place}: {value!r} is no object")
            return self.judge_object(place, of, value, is_request)
        if not self.is_scalar("int" if of in INTEGERS else of, of, value):
            self.complain(f"{place}: {value!r} is no {of}")

    @staticmethod
    def is_scalar(kind, of, value):
        if isinstance(value, bool):
            return kind == "bool"
        is_of_kind = isinstance(value, {"string": str, "int": int, "float": (int, float)}.get(kind, ()))
        return is_of_kind and (of not in INTEGERS or value in INTEGERS[of])

    @staticmethod
    def is_time(of, value):
        try:
            datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return False
        return FORMS[of].fullmatch(value) is not None

    def sample(self, member):
        """Some value of a member's type."""
        kind, of = member["type"], member["member"]
        if of in self.objects:
            item = {m["name"]: self.sample(m) for m in self.objects[of]["members"] if m.get("required")}
        else:
            item = {"int": 1, "int64": 1, "uint64": 1, "float": 1, "bool": True}.get(of, "text")
        return [item] if kind == "list" else item
