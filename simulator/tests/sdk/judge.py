#!/usr/bin/env python3
"""Stands in for Tencent Cloud's CDN (`cdn`) or EdgeOne (`teo`), and judges each request by what is the vendor's own.

    judge.py cdn|teo SECRET_ID SECRET_KEY

Listens on a free port of 127.0.0.1 and prints its address. The signature is computed anew by the vendor's SDK from what has
arrived; names, types and what is needed are held against `api.json` of `tccli`, and then against its texts (rules.py).
What is right is answered with the official sample (samples.py), which is judged as well, and the rest is refused. `GET
/_judge/report` tells how often each action was called, what was wrong, and which actions the vendor has. Ends when its
standard input does.
"""

import json
import os
import re
import sys
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rules
from description import Description
from samples import FEIGNED_LOGS, Samples, log_file
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import RequestInternal

VERSIONS = {"cdn": "v20180606", "teo": "v20220901"}
AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/ ]+)/(\d{4}-\d\d-\d\d)/(\w+)/tc3_request, "
    r"SignedHeaders=content-type;host, Signature=([0-9a-f]{64})"
)
# Headers that the vendor's documentation of common parameters names, and those that its SDK adds.
COMMON = {"action", "language", "region", "timestamp", "token", "version"} | {"requestclient", "traceid"}
MINUTES = 5


def unrepeated(pairs):
    names = Counter(name for name, _ in pairs)
    for name, count in names.items():
        if count > 1:
            raise ValueError(f"{name} stands there {count} times")
    return dict(pairs)


def no_number(text):
    raise ValueError(f"{text} is no number of JSON")


class Judge:
    """Judges the requests of one client, one at a time."""

    def __init__(self, service, secret_id, secret_key):
        self.lock, self.calls, self.violations = threading.Lock(), Counter(), []
        self.description = Description(service, VERSIONS[service], self.violations.append)
        self.service, self.secret_id, self.secret_key = service, secret_id, secret_key
        self.signer = CommonClient(service, self.description.version, Credential(secret_id, secret_key), "")
        self.address = self.samples = None

    def listens_at(self, address):
        self.address = address
        self.samples = Samples(self.description, f"http://{address}")

    def complain(self, text):
        self.violations.append(f"{self.service}: {text}")

    def report(self):
        with self.lock:
            actions = sorted(self.description.actions)
            return {"calls": dict(self.calls), "violations": list(self.violations), "actions": actions}

    def answer(self, method, path, headers, body):
        """Judges a request; gives the members of the answer."""
        with self.lock:
            before = len(self.violations)
            action = self.judge_headers(method, path, headers)
            self.judge_signature(method, path, headers, body)
            request = self.read(body)
            if action is not None and request is not None:
                self.calls[action] += 1
                self.judge_request(action, request)
            if len(self.violations) > before:
                message = "; ".join(self.violations[before:])
                return {"Error": {"Code": "InvalidParameter", "Message": message}, "RequestId": "none"}
            answer = self.samples.answer(action, request)
            self.description.judge_answer(action, answer)
            return answer

    def judge_request(self, action, request):
        before = len(self.violations)
        self.description.judge_request(action, request)
        # The rules rely on the types.
        if len(self.violations) == before:
            rules.judge(self.description, action, request)

    def judge_headers(self, method, path, headers):
        """Gives the action, if there is such a one."""
        if (method, path) != ("POST", "/"):
            self.complain(f"{method} {path} instead of POST /")
        found = {name.lower(): headers.get_all(name) for name in headers}
        for name, values in found.items():
            if len(values) > 1:
                self.complain(f"{name} stands there {len(values)} times")
            if name.startswith("x-tc-") and name[5:] not in COMMON:
                self.complain(f"{name} is not documented")
        if headers.get("Transfer-Encoding") is not None:
            self.complain("the body comes in chunks")
        action = headers.get("X-TC-Action")
        for name, wanted in [
            ("X-TC-Version", self.description.version),
            ("Content-Type", "application/json"),
            ("Host", self.address),
        ]:
            if headers.get(name) != wanted:
                self.complain(f"{name} is {headers.get(name)} instead of {wanted}")
        if headers.get("X-TC-Language") not in (None, "zh-CN", "en-US"):
            self.complain(f"X-TC-Language is {headers['X-TC-Language']}")
        timestamp = headers.get("X-TC-Timestamp", "")
        if not re.fullmatch(r"\d{1,12}", timestamp) or abs(time.time() - int(timestamp)) > MINUTES * 60:
            self.complain(f"X-TC-Timestamp is {timestamp or 'missing'}, which is not now")
        if action not in self.description.actions:
            self.complain(f"there is no action {action}")
            return None
        return action

    def judge_signature(self, method, path, headers, body):
        found = AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        if found is None:
            return self.complain("Authorization is not of the documented form")
        secret_id, date, service, signature = found.groups()
        timestamp = headers.get("X-TC-Timestamp", "")
        day = datetime.fromtimestamp(int(timestamp) if timestamp.isdecimal() else 0, timezone.utc)
        scope = (self.secret_id, day.strftime("%Y-%m-%d"), self.service)
        if (secret_id, date, service) != scope:
            return self.complain(f"Credential is of {secret_id}/{date}/{service} instead of {'/'.join(scope)}")
        # The vendor's own code, from the canonical request to the signature.
        request = RequestInternal(self.address, method, path, header=headers, data=body)
        if signature != self.signer._get_tc3_signature(None, request, date, service, self.secret_key):
            self.complain("the signature is wrong")
        return None

    def read(self, body):
        try:
            request = json.loads(body.decode("utf-8"), object_pairs_hook=unrepeated, parse_constant=no_number)
        except ValueError as error:
            return self.complain(f"the body cannot be read: {error}")
        if not isinstance(request, dict):
            return self.complain("the body is no object")
        return request


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    judge = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.judge.answer(self.command, self.path, self.headers, body)
        self.send("application/json", json.dumps({"Response": answer}).encode())

    def do_GET(self):
        if self.path == "/_judge/report":
            self.send("application/json", json.dumps(self.judge.report()).encode())
        elif self.path.startswith(FEIGNED_LOGS):
            self.send("application/gzip", log_file(self.path.removeprefix(FEIGNED_LOGS).partition("?")[0]))
        else:
            self.do_POST()

    do_PUT = do_POST

    def send(self, media_type, body):
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main(service, secret_id, secret_key):
    judge = Judge(service, secret_id, secret_key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"judge": judge}))
    judge.listens_at(f"127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://{judge.address}", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
