"""rest - the server's own state and the /v1 calls on it."""

import asyncio
import datetime
import ipaddress
import posixpath
import random
import re
import time
import urllib.parse

from box import (connect, exec as exec_module, expose, forward, jsontext,
                 preview, sandbox as sandbox_module, service, socket_exec,
                 watch, runcode)

ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}\Z")
ENDPOINT = "http://localhost:8080"
IDEMPOTENCY_S = 24 * 3600
SMALL_BODY_BYTES = 32 << 20

BAD_ID = ("must be 1-64 characters of [a-zA-Z0-9_-], starting with a letter "
          "or digit (no dots, no slashes)")

ENVELOPES = {
    "invalid_json": (
        400, "request body is not valid JSON",
        "Send a JSON body matching the sandbox API contract for this "
        "endpoint."),
    "timeout_too_large": (
        400, "the requested timeout exceeds the server ceiling",
        "Request a timeout at or below the ceiling reported in the context "
        "(max_timeout_s); the server never silently reduces a requested "
        "timeout, it rejects it so the deadline you set is the deadline you "
        "get."),
    "not_found": (
        404, "no such sandbox",
        "Confirm the sandbox id exists and is Ready before calling."),
    "body_too_large": (
        413, "request body exceeds the size limit",
        "Reduce the payload; file content is hex-encoded and bounded by the "
        "server."),
    "internal": (
        500, "an internal error occurred",
        "Retry the request; if it persists, inspect the forkd or "
        "sandbox-server logs."),
}

_NETWORK = {"block": bool, "egress": str, "allow_domains": [str],
            "allow_cidrs": [str], "inbound": str, "inbound_cidrs": [str]}
_TEMPLATE = {"id": str, "init_wait_seconds": int, "network": _NETWORK,
             "workload": object, "resources": object}


class Refused(Exception):
    """An answer with an error envelope."""

    def __init__(self, code, cause, status=None, context=None):
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.status = status or ENVELOPES[code][0]
        self.context = context


def invalid(cause):
    """A 400; all of them carry the same code."""
    return Refused("invalid_json", cause)


def now_text():
    """RFC 3339 with nanoseconds."""
    nanos = time.time_ns()
    whole = datetime.datetime.fromtimestamp(nanos // 10 ** 9,
                                            datetime.timezone.utc)
    fraction = f"{nanos % 10 ** 9:09d}".rstrip("0")
    return (whole.strftime("%Y-%m-%dT%H:%M:%S")
            + (f".{fraction}" if fraction else "") + "Z")


class Template:
    """A name and a network."""

    def __init__(self, name, network):
        self.name = name
        self.network = network
        self.created_at = now_text()
        self.creation_ms = 0

    def shown(self):
        """Its JSON."""
        network = self.network
        out = {"block": True} if network.get("block") else {}
        out["egress"] = network.get("egress") or "deny"
        for key in ("allow_domains", "allow_cidrs"):
            if network.get(key):
                out[key] = network[key]
        out["inbound"] = network.get("inbound") or "deny"
        if network.get("inbound_cidrs"):
            out["inbound_cidrs"] = network["inbound_cidrs"]
        return {"id": self.name, "ready": True,
                "created_at": self.created_at,
                "creation_time_ms": self.creation_ms, "network": out}


class Record:
    """A listed sandbox; box is None when its route is gone."""

    def __init__(self, name, template, network, box, fork_ms):
        self.name = name
        self.template = template
        self.network = network
        self.box = box
        self.created_at = now_text()
        self.fork_ms = fork_ms
        self.deadline = None
        self.paused = False

    def shown(self):
        """Its JSON; the network's keys are not the template's."""
        network = self.network
        out = {"egress": network.get("egress") or "deny"}
        for ours, theirs in (("allow_domains", "allow"),
                             ("block", "blockNetwork"),
                             ("allow_cidrs", "allowCidrs")):
            if network.get(ours):
                out[theirs] = network[ours]
        out["inbound"] = network.get("inbound") or "deny"
        if network.get("inbound_cidrs"):
            out["inboundCidrs"] = network["inbound_cidrs"]
        return {"id": self.name, "template_id": self.template,
                "endpoint": ENDPOINT, "created_at": self.created_at,
                "fork_time_ms": self.fork_ms, "network": out}


class Keys:
    """Idempotency keys: which resource each made, or that one is at it."""

    def __init__(self):
        self.known = {}      # key -> (kind, name, time)
        self.busy = set()

    def replay(self, key, kind):
        """The name that the key made before, or None."""
        if not key:
            return None
        if key in self.busy:
            raise Refused("internal", "a create with this Idempotency-Key is "
                          "already in progress; retry shortly")
        found = self.known.get(key)
        if (found and found[0] == kind
                and time.time() - found[2] < IDEMPOTENCY_S):
            return found[1]
        return None

    def begin(self, key):
        if key:
            self.busy.add(key)

    def end(self, key, kind=None, name=None):
        """Without a name the create failed: the key is free again."""
        if key:
            self.busy.discard(key)
            if name:
                self.known[key] = (kind, name, time.time())


class App:
    """Everything the server knows, and where each request goes."""

    def __init__(self, options, nursery, faults):
        self.options = options
        self.nursery = nursery
        self.faults = faults
        self.templates = {}
        self.sandboxes = {}
        self.keys = Keys()
        self.rpcs = dict(service.RPCS)
        self.rpcs["ExecStream"] = ("server-stream", exec_module.exec_stream)
        self.rpcs["Watch"] = ("server-stream", watch.watch)
        self.rpcs["RunCodeStream"] = ("server-stream",
                                      runcode.run_code_stream)

    # -- answers --------------------------------------------------------

    def answer(self, response, value):
        """200 with JSON."""
        response.simple(200, [("Content-Type", "application/json")],
                        jsontext.plain(value) + b"\n")

    def envelope(self, response, refused):
        """An error."""
        status, text, remedy = ENVELOPES[refused.code]
        status = refused.status
        error = {"code": refused.code, "message": text,
                 "cause": refused.cause, "remediation": remedy}
        if refused.context:
            error["context"] = refused.context
        response.simple(status, [("Content-Type", "application/json")],
                        jsontext.plain({"error": error}) + b"\n",
                        close=status == 413)

    def fail(self, response, status, cause):
        """An error by its status: 400, 404, else internal."""
        code = {400: "invalid_json", 404: "not_found"}.get(status,
                                                           "internal")
        self.envelope(response, Refused(code, cause, status))

    @staticmethod
    def text(response, status, text, extra=()):
        """A plain text answer."""
        response.simple(status, [
            *extra, ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff")], text.encode() + b"\n")

    def not_found(self, response):
        """404."""
        self.text(response, 404, "404 page not found")

    # -- routing --------------------------------------------------------

    async def handle(self, request, response):
        """Answer one request."""
        path = request.target.partition("?")[0]
        if self.options.test_hooks and path == "/box/test":
            request.conn.exempt = True
            await self._test(request, response)
            return
        await self.faults.delay()
        if request.target == "*" and request.method == "OPTIONS":
            response.simple(200, [])
            return
        if self._redirect(request, response, path):
            return
        if path.startswith(connect.PREFIX):
            method = path[len(connect.PREFIX):]
            if method == "Exec" and request.method == "GET":
                await socket_exec.serve(self, request, response)
                return
            await connect.serve(self, request, response, method)
            return
        try:
            await self._route(request, response, path)
        except jsontext.Wrong:
            self.envelope(response, invalid("invalid json"))
        except Refused as refused:
            self.envelope(response, refused)

    def _redirect(self, request, response, path):
        """Paths that are not clean are sent to the clean one."""
        if path == connect.PREFIX[:-1]:
            clean = connect.PREFIX
        else:
            clean = posixpath.normpath(path) if path else "/"
            if clean.startswith("//"):
                clean = clean[1:]
            if path.endswith("/") and clean != "/":
                clean += "/"
            if clean == path:
                return False
        query = request.target.partition("?")[2]
        place = clean + (f"?{query}" if query else "")
        if request.method in ("GET", "HEAD"):
            response.simple(307, [
                ("Content-Type", "text/html; charset=utf-8"),
                ("Location", place)],
                f'<a href="{place}">Temporary Redirect</a>.\n\n'.encode())
        else:
            response.simple(307, [("Location", place)])
        return True

    async def _route(self, request, response, path):
        parts = path.split("/")[1:]
        if len(parts) >= 4 and parts[:2] == ["v1", "sandboxes"] \
                and parts[3] == "expose":
            await self._expose(request, response, path, parts)
            return
        routes = _ROUTES.get(path)
        argument = None
        if routes is None and parts[:2] == ["v1", "sandboxes"]:
            tail = "/".join(parts[3:])
            routes = _SANDBOX_ROUTES.get(tail if len(parts) > 3 else
                                         "" if parts[2:3] != [""] else None)
            if routes is not None:
                argument = urllib.parse.unquote(parts[2])
                if not parts[2]:
                    routes = None
        if routes is None:
            self.not_found(response)
            return
        method = "GET" if request.method == "HEAD" else request.method
        handler = routes.get(method)
        if handler is None:
            allowed = sorted(set(routes) | ({"HEAD"} if "GET" in routes
                                            else set()))
            self.text(response, 405, "Method Not Allowed",
                      [("Allow", ", ".join(allowed))])
            return
        if argument is None:
            await handler(self, request, response)
        else:
            await handler(self, request, response, argument)

    async def _expose(self, request, response, path, parts):
        if len(parts) < 5 or not parts[4]:
            self.not_found(response)
            return
        await expose.serve(self, request, response, parts[2], parts[4])

    # -- handlers -------------------------------------------------------

    async def health(self, _, response):
        """GET /v1/health."""
        self.answer(response, {"mock": False,
                               "sandboxes": len(self.sandboxes),
                               "status": "ok",
                               "templates": len(self.templates)})

    async def list_templates(self, _, response):
        """GET /v1/templates."""
        rows = [t.shown() for t in self.templates.values()]
        random.shuffle(rows)
        self.answer(response, rows)

    async def list_sandboxes(self, _, response):
        """GET /v1/sandboxes."""
        rows = [s.shown() for s in self.sandboxes.values()]
        random.shuffle(rows)
        self.answer(response, rows)

    async def create_template(self, request, response):
        """POST /v1/templates."""
        asked = jsontext.fields(await request.body(), _TEMPLATE)
        name = asked.get("id", "")
        if not name:
            raise invalid("id is required")
        if not ID.match(name):
            raise invalid(f"invalid id: {BAD_ID}")
        network = asked.get("network", {})
        _check_network(network)
        key = request.get("idempotency-key")
        before = self.keys.replay(key, "template")
        if before in self.templates:
            self.answer(response, self.templates[before].shown())
            return
        template = Template(name, network)
        self.templates[name] = template
        self.keys.end(key, "template", name)
        self.answer(response, template.shown())

    def _replayed(self, request, response):
        key = request.get("idempotency-key")
        before = self.keys.replay(key, "sandbox")
        if before in self.sandboxes:
            self.answer(response, self.sandboxes[before].shown())
            return True
        return False

    async def fork(self, request, response):
        """POST /v1/fork."""
        asked = jsontext.fields(await request.body(),
                                {"template": str, "id": str})
        name, template = asked.get("id", ""), asked.get("template", "")
        if not ID.match(name):
            raise invalid(f"invalid id: {BAD_ID}")
        if not ID.match(template):
            raise invalid(f"invalid template: {BAD_ID}")
        if self._replayed(request, response):
            return
        found = self.templates.get(template)
        if found is None:
            raise Refused("not_found", f'template "{template}" not found')
        await self._create(request, response, name, template, found.network,
                           None)

    async def live_fork(self, request, response, source):
        """POST /v1/sandboxes/{source}/fork."""
        asked = jsontext.fields(await request.body(),
                                {"id": str, "pause_source": bool})
        if not ID.match(source):
            raise invalid(f"invalid source id: {BAD_ID}")
        name = asked.get("id", "")
        if not ID.match(name):
            raise invalid(f"invalid id: {BAD_ID}")
        if self._replayed(request, response):
            return
        found = self.sandboxes.get(source)
        if found is None or found.box is None:
            raise Refused("not_found", f'sandbox "{source}" not found')
        await self._create(request, response, name, found.template,
                           found.network, found.box)

    async def _create(self, request, response, name, template, network,
                      source):
        key = request.get("idempotency-key")
        self.keys.begin(key)
        begun = time.monotonic()
        old = self.sandboxes.get(name)
        done = None
        try:
            if self.faults.refuse_fork:
                raise sandbox_module.Unable("refused by a test switch")
            # Not cancelled when the client leaves: the real one runs on.
            box = await asyncio.shield(asyncio.ensure_future(
                self.nursery.make(name, source)))
            done = name
        except sandbox_module.Unable as problem:
            if old is not None and old.box is not None:
                await self._end(old)
                old.box = None
            raise Refused("internal",
                          f'fork "{name}": {problem}') from None
        finally:
            self.keys.end(key, "sandbox", done)
        if old is not None and old.box is not None:
            await self._end(old)
        fork_ms = round((time.monotonic() - begun) * 1000, 3)
        record = Record(name, template, network, box, fork_ms)
        self.sandboxes[name] = record
        self.answer(response, record.shown())

    async def _end(self, record):
        await self.nursery.remove(record.box)

    async def delete(self, _, response, name):
        """DELETE /v1/sandboxes/{id}."""
        record = self.sandboxes.pop(name, None)
        if record is None:
            raise Refused("not_found", f'sandbox "{name}" not found')
        if record.box is not None:
            await self._end(record)
        self.answer(response, {"id": name, "status": "terminated"})

    async def _small(self, request, wanted):
        body = await request.body(SMALL_BODY_BYTES)
        if body is None:
            raise Refused("body_too_large", "request body too large")
        return jsontext.fields(body, wanted)

    async def set_timeout(self, request, response):
        """POST /v1/set_timeout: stored, nothing more."""
        asked = await self._small(request, {"sandbox": str,
                                            "timeout_seconds": int})
        name = asked.get("sandbox", "")
        seconds = asked.get("timeout_seconds", 0)
        if seconds <= 0:
            raise invalid("timeout_seconds must be a positive number of "
                          "seconds")
        most = self.options.max_exec_timeout_seconds
        if most and seconds > most:
            raise Refused("timeout_too_large", f"requested timeout {seconds}s"
                          f" exceeds the ceiling of {most}s",
                          context={"max_timeout_s": most,
                                   "requested_s": seconds, "sandbox": name})
        deadline = int(time.time()) + seconds
        if name in self.sandboxes:
            self.sandboxes[name].deadline = deadline
        self.answer(response, {"deadline_unix": deadline, "status": "ok",
                               "timeout_seconds": seconds})

    async def pause(self, request, response):
        """POST /v1/pause: a flag."""
        asked = await self._small(request, {"sandbox": str})
        if asked.get("sandbox") in self.sandboxes:
            self.sandboxes[asked["sandbox"]].paused = True
        self.answer(response, {"status": "paused"})

    async def resume(self, request, response):
        """POST /v1/resume."""
        asked = await self._small(request, {"sandbox": str})
        if asked.get("sandbox") in self.sandboxes:
            self.sandboxes[asked["sandbox"]].paused = False
        self.answer(response, {"status": "running"})

    async def forward(self, request, response, name):
        """POST /v1/sandboxes/{id}/forward."""
        asked = jsontext.fields(await request.body(), {"guest_port": int})
        port = asked.get("guest_port", 0)
        if not 1 <= port <= 65535:
            raise invalid(f"guest_port {port} out of range 1-65535")
        record = self.sandboxes.get(name)
        if record is None:
            raise Refused("not_found", f'sandbox "{name}" not found')
        try:
            host = await forward.open_forward(record.box, name, port)
        except forward.Unable as problem:
            raise Refused("not_found", f'open forward for sandbox "{name}" '
                          f"to guest port {port}: {problem}") from None
        self.answer(response, {"guest_port": port, "host": host})

    async def preview(self, request, response):
        """POST /v1/preview."""
        options = self.options
        if not options.preview_domain:
            self.envelope(response, Refused("internal", preview.NOT_ENABLED,
                                            501))
            return
        asked = jsontext.fields(await request.body(), {"sandbox": str,
                                                       "port": int})
        name, port = asked.get("sandbox", ""), asked.get("port", 0)
        if not name:
            raise invalid("sandbox is required")
        if not 1 <= port <= 65535:
            raise invalid(f"port {port} out of range 1-65535")
        if name not in self.sandboxes:
            raise Refused("not_found", f'sandbox "{name}" not found')
        expires = int(time.time()) + options.preview_ttl_seconds
        token = preview.token(options.preview_secret, name, port, expires)
        self.answer(response, {
            "expires_unix": expires,
            "url": f"https://{name}.{options.preview_domain}/?token={token}"})

    async def _test(self, request, response):
        """POST /box/test: the switches; forget_all is a restart."""
        if request.method != "POST":
            response.simple(405, [("Allow", "POST")])
            return
        try:
            wanted = jsontext.json.loads(await request.body())
            forget = bool(wanted.pop("forget_all", False))
            unknown = self.faults.set(wanted)
        except (ValueError, AttributeError, TypeError):
            response.simple(400, [("Content-Type", "text/plain")],
                            b"a JSON object of switches is wanted\n")
            return
        if unknown:
            response.simple(400, [("Content-Type", "text/plain")],
                            f"unknown switch: {unknown[0]}\n".encode())
            return
        if forget:
            records = list(self.sandboxes.values())
            self.sandboxes.clear()
            self.templates.clear()
            self.keys = Keys()
            for record in records:
                if record.box is not None:
                    await self._end(record)
        self.answer(response, {
            "sandboxes": {record.name: record.box.pid
                          for record in self.sandboxes.values()
                          if record.box is not None}})


def _check_network(network):
    for key in ("egress", "inbound"):
        if network.get(key, "") not in ("", "deny", "allow"):
            raise invalid(f'invalid network config: {key} must be "deny" or '
                          f'"allow", got {jsontext.quote(network[key])}')
    for key in ("allow_cidrs", "inbound_cidrs"):
        for text in network.get(key, []):
            if not _is_cidr(text):
                raise invalid(
                    f"invalid network config: {key}: parse CIDR allow entry "
                    f"{jsontext.quote(text)}: invalid CIDR address: {text}")


def _is_cidr(text):
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


_ROUTES = {
    "/v1/health": {"GET": App.health},
    "/v1/templates": {"GET": App.list_templates,
                      "POST": App.create_template},
    "/v1/fork": {"POST": App.fork},
    "/v1/sandboxes": {"GET": App.list_sandboxes},
    "/v1/set_timeout": {"POST": App.set_timeout},
    "/v1/pause": {"POST": App.pause},
    "/v1/resume": {"POST": App.resume},
    "/v1/preview": {"POST": App.preview},
}
_SANDBOX_ROUTES = {
    "": {"DELETE": App.delete},
    "fork": {"POST": App.live_fork},
    "forward": {"POST": App.forward},
}
