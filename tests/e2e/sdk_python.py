"""sdk_python - the published Python SDK, unmodified, against a gateway.

Run in the environment that ./quickstart sh gives.  Arguments: words; only
checks whose name has one of them run.
"""
import asyncio
import hashlib
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from importlib.metadata import version

import e2b
from e2b import (AsyncSandbox, AuthenticationException, CommandExitException, FileNotFoundException,
                 InvalidArgumentException, NotFoundException, RateLimitException, SandboxException,
                 SandboxNotFoundException, TimeoutException)
from e2b import Sandbox as BaseSandbox
from e2b_code_interpreter import Sandbox

from gateway_parts import Gateway
from report import Report, equal, raises, true

report = Report(f"python e2b {version('e2b')}, code-interpreter {version('e2b-code-interpreter')}")
OTHER = os.environ["SANDGATE_OTHER_KEY"]


def fetch(url, data=None, headers=None, method=None):
    """(status, bytes, headers) of a plain HTTPS request."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(), timeout=30) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


# ---- control plane ----

def create_tells_what_was_asked():
    sandbox = BaseSandbox.create("base", timeout=60, metadata={"who": "ann", "a b": "c&d=é%"}, envs={"X": "1"})
    try:
        info = sandbox.get_info()
        equal(info.sandbox_id, sandbox.sandbox_id)
        equal(info.metadata, {"who": "ann", "a b": "c&d=é%"})
        equal(info.template_id, "base")
        equal(info.state.value, "running")
        left = (info.end_at - info.started_at).total_seconds()
        true(55 <= left <= 65, f"life of {left} s")
        true(sandbox.is_running(), "it runs")
        equal(sandbox.commands.run("echo $X").stdout, "1\n")
    finally:
        equal(sandbox.kill(), True)
    equal(sandbox.kill(), False)
    equal(sandbox.is_running(), False)


def list_filters_and_pages():
    tag = os.urandom(4).hex()
    made = [BaseSandbox.create("base", timeout=60, metadata={"run": tag, "n &=%é": f"{n} ü"}) for n in range(3)]
    try:
        query = e2b.SandboxQuery(metadata={"run": tag})
        pages = BaseSandbox.list(query=query, limit=2)
        first = pages.next_items()
        true(pages.has_next, "a second page")
        second = pages.next_items()
        true(not pages.has_next, "no third page")
        equal([item.sandbox_id for item in first + second], [s.sandbox_id for s in reversed(made)])
        exact = BaseSandbox.list(query=e2b.SandboxQuery(metadata={"n &=%é": "1 ü", "run": tag})).next_items()
        equal([item.sandbox_id for item in exact], [made[1].sandbox_id])
        full = BaseSandbox.list(query=query, limit=3)
        equal(len(full.next_items()), 3)
        true(not full.has_next, "no token on a page that is exactly full and last")
    finally:
        for sandbox in made:
            sandbox.kill()
    equal(BaseSandbox.list(query=e2b.SandboxQuery(metadata={"run": tag})).next_items(), [])


def connect_extends_and_never_shortens(sandbox):
    before = sandbox.get_info().end_at
    again = BaseSandbox.connect(sandbox.sandbox_id, timeout=10)
    equal(again.get_info().end_at, before)
    equal(again.commands.run("echo again").stdout, "again\n")
    BaseSandbox.connect(sandbox.sandbox_id, timeout=3000)
    true(sandbox.get_info().end_at > before, "it was extended")
    sandbox.set_timeout(900)
    after = sandbox.get_info()
    true(abs(after.end_at.timestamp() - time.time() - 900) < 10, f"end {after.end_at}")


def other_team_sees_nothing(sandbox):
    unknown = "i" + "0" * 20
    for call in (lambda **k: BaseSandbox.connect(k["id"], api_key=OTHER),
                 lambda **k: BaseSandbox.get_info(k["id"], api_key=OTHER),
                 lambda **k: BaseSandbox.set_timeout(k["id"], 10, api_key=OTHER)):
        mine = str(raises(SandboxNotFoundException, call, id=sandbox.sandbox_id))
        none = str(raises(SandboxNotFoundException, call, id=unknown))
        equal(mine.replace(sandbox.sandbox_id, unknown), none)
    equal(BaseSandbox.kill(sandbox.sandbox_id, api_key=OTHER), False)
    ids = [item.sandbox_id for item in BaseSandbox.list(api_key=OTHER).next_items()]
    true(sandbox.sandbox_id not in ids, "not in the other team's list")
    true(sandbox.is_running(), "it lives on")


def bad_keys_are_refused():
    raises(AuthenticationException, BaseSandbox.create, "base", api_key="e2b_" + "0" * 40)
    raises(AuthenticationException, BaseSandbox.create, "base", api_key="nonsense")


def promises_that_are_not_kept_are_refused():
    error = raises(SandboxException, BaseSandbox.create, "base", lifecycle={"on_timeout": "pause"})
    true("autoPause" in str(error), str(error))
    error = raises(SandboxException, BaseSandbox.create, "base", network={"deny_out": ["0.0.0.0/0"]})
    true("denyOut" in str(error), str(error))
    raises((SandboxException, NotFoundException), BaseSandbox.create, "no-such-template", text="404")
    raises(SandboxException, BaseSandbox.create, "base", timeout=10 ** 7, text="400")


def idempotency_key_gives_the_first_sandbox():
    key = "run-" + os.urandom(4).hex()
    first = BaseSandbox.create("base", timeout=60, idempotency_key=key)
    try:
        second = BaseSandbox.create("base", timeout=60, idempotency_key=key)
        equal(second.sandbox_id, first.sandbox_id)
        raises(SandboxException, BaseSandbox.create, "base", timeout=61, idempotency_key=key)
        other = BaseSandbox.create("base", timeout=60, idempotency_key=key, api_key=OTHER)
        true(other.sandbox_id != first.sandbox_id, "keys are per team")
        other.kill()
    finally:
        first.kill()


def limits_of_a_team_are_rate_limits():
    """A gateway of its own, before the fake server; the SDK waits as it is told, then raises."""
    g = Gateway(limits="team_sandboxes: 2")
    at = {"api_key": g.key, "api_url": f"http://127.0.0.1:{g.port}"}
    ids = [BaseSandbox.create("base", **at).sandbox_id for _ in range(2)]
    raises(RateLimitException, BaseSandbox.create, "base", retries=0, text="as many sandboxes as it may have at a time: 2", **at)
    threading.Timer(1, lambda: BaseSandbox.kill(ids[0], **at)).start()
    began = time.monotonic()
    BaseSandbox.create("base", **at)
    true(time.monotonic() - began >= 1, "it was made when there was a place")
    equal(len(g.consistent()), 2)
    g.kill_9()  # the SDK keeps its connections
    g.end()


def expiry_ends_it():
    sandbox = BaseSandbox.create("base", timeout=2)
    true(sandbox.is_running(), "it runs at first")
    time.sleep(3.5)
    equal(sandbox.is_running(), False)
    raises(TimeoutException, sandbox.commands.run, "true", text="not found")


# ---- commands ----

def command_results(sandbox):
    run = sandbox.commands.run("echo out; echo err >&2")
    equal((run.stdout, run.stderr, run.exit_code), ("out\n", "err\n", 0))
    error = raises(CommandExitException, sandbox.commands.run, "echo x; exit 3")
    equal((error.exit_code, error.stdout), (3, "x\n"))
    equal(sandbox.commands.run("whoami; pwd; echo $HOME").stdout, "user\n/home/user\n/home/user\n")
    equal(sandbox.commands.run("whoami; pwd; echo $HOME", user="root").stdout, "root\n/root\n/root\n")
    equal(sandbox.commands.run("pwd", cwd="/tmp").stdout, "/tmp\n")
    equal(sandbox.commands.run("sudo whoami").stdout, "root\n")
    quoted = "it's \"$A\" \\ `x` é ' \n end"
    equal(sandbox.commands.run('printf %s "$A"', envs={"A": quoted}).stdout, quoted)
    equal(sandbox.commands.run("echo $E2B_SANDBOX $E2B_SANDBOX_ID").stdout, f"true {sandbox.sandbox_id}\n")
    error = raises(CommandExitException, sandbox.commands.run, "no-such-program")
    equal(error.exit_code, 127)


def command_errors(sandbox):
    raises(InvalidArgumentException, sandbox.commands.run, "true", cwd="/no/such", text="cwd '/no/such' does not exist")
    raises(AuthenticationException, sandbox.commands.run, "true", user="nobody-here", text="invalid username")
    start = time.monotonic()
    raises(TimeoutException, sandbox.commands.run, "sleep 30", timeout=1)
    true(time.monotonic() - start < 5, "the deadline is kept")
    true("sleep 30" not in sandbox.commands.run("ps -eo args").stdout, "the deadline has killed it")


def stdin_is_refused_clearly(sandbox):
    raises(SandboxException, sandbox.commands.run, "cat", stdin=True, timeout=5)


def output_streams(sandbox):
    seen = []
    run = sandbox.commands.run("for i in 1 2 3; do echo $i; sleep 0.3; done", on_stdout=lambda t: seen.append((time.monotonic(), t)))
    equal(run.stdout, "1\n2\n3\n")
    true(seen[-1][0] - seen[0][0] > 0.4, "pieces come as they are written")
    run = sandbox.commands.run("head -c 5000000 /dev/zero | tr '\\0' 'x'")
    equal(len(run.stdout), 5000000)
    run = sandbox.commands.run("python3 -c \"print('é' * 100000)\"")
    equal(run.stdout, "é" * 100000 + "\n")


def background_connect_list_kill(sandbox):
    handle = sandbox.commands.run("echo begun; sleep 60", background=True)
    pid = handle.pid
    equal(sandbox.commands.run(f"cat /proc/{pid}/comm").stdout.strip() in ("bash", "sleep"), True)
    row = next(item for item in sandbox.commands.list() if item.pid == pid)
    equal((row.cmd, row.args), ("/bin/bash", ["-l", "-c", "echo begun; sleep 60"]))
    handle.disconnect()
    true(any(item.pid == pid for item in sandbox.commands.list()), "a disconnect does not kill")
    again = sandbox.commands.connect(pid)
    equal(sandbox.commands.kill(pid), True)
    error = raises(CommandExitException, again.wait)
    equal(error.exit_code, -1)
    equal(sandbox.commands.kill(pid), False)
    raises(NotFoundException, sandbox.commands.connect, 4000000)
    raises(CommandExitException, sandbox.commands.run, f"kill -0 {pid}", user="root")


def exits_are_kept(sandbox):
    handle = sandbox.commands.run("sleep 0.5; exit 7", background=True)
    handle.disconnect()
    time.sleep(1.5)
    error = raises(CommandExitException, lambda: sandbox.commands.connect(handle.pid).wait())
    equal(error.exit_code, 7)


def quiet_commands_live_on(sandbox):
    equal(sandbox.commands.run("sleep 3; echo done").stdout, "done\n")


# ---- files ----

def files_round_trip(sandbox):
    files = sandbox.files
    info = files.write("notes/a.txt", "hello é\n")
    equal((info.name, info.path), ("a.txt", "/home/user/notes/a.txt"))
    equal(files.read("/home/user/notes/a.txt"), "hello é\n")
    equal(files.read("notes/a.txt", format="bytes"), bytearray("hello é\n".encode()))
    equal(sandbox.commands.run("stat -c '%U:%G %a' notes notes/a.txt").stdout, "user:user 755\nuser:user 644\n")
    files.write("notes/a.txt", b"")
    equal(files.read("notes/a.txt"), "")
    sandbox.commands.run("chmod 600 notes/a.txt")
    files.write("notes/a.txt", "again")
    equal(sandbox.commands.run("stat -c %a notes/a.txt; cat notes/a.txt").stdout, "600\nagain")
    data = os.urandom(3_000_000)
    files.write("/tmp/blob with 'quotes' é.bin", data)
    equal(bytes(files.read("/tmp/blob with 'quotes' é.bin", format="bytes")), data)
    got = b"".join(files.read("/tmp/blob with 'quotes' é.bin", format="stream"))
    equal(hashlib.sha256(got).digest(), hashlib.sha256(data).digest())


def files_many(sandbox):
    written = sandbox.files.write_files([{"path": f"many/{n}/f.txt", "data": f"file {n}"} for n in range(5)])
    equal([item.path for item in written], [f"/home/user/many/{n}/f.txt" for n in range(5)])
    for n in range(5):
        equal(sandbox.files.read(f"many/{n}/f.txt"), f"file {n}")
    listed = sandbox.files.list("many", depth=2)
    equal([item.path for item in listed],
          [p for n in range(5) for p in (f"/home/user/many/{n}", f"/home/user/many/{n}/f.txt")])
    equal([item.type.value for item in listed[:2]], ["dir", "file"])


def files_changes(sandbox):
    files = sandbox.files
    equal(files.make_dir("fresh/deep"), True)
    equal(files.make_dir("fresh/deep"), False)
    equal(files.exists("fresh/deep"), True)
    equal(files.exists("fresh/none"), False)
    files.write("fresh/x", "x")
    equal(files.rename("fresh/x", "fresh/y").path, "/home/user/fresh/y")
    equal(files.exists("fresh/x"), False)
    info = files.get_info("fresh/y")
    equal((info.name, info.size, info.mode, info.permissions, info.owner, info.group),
          ("y", 1, 0o644, "-rw-r--r--", "user", "user"))
    sandbox.commands.run("ln -s /home/user/fresh/y fresh/link; ln -s nowhere fresh/broken")
    equal(files.get_info("fresh/link").symlink_target, "/home/user/fresh/y")
    files.remove("fresh")
    equal(files.exists("fresh"), False)
    files.remove("fresh")
    raises((FileNotFoundException, NotFoundException), files.read, "no/such")
    raises((FileNotFoundException, NotFoundException), files.get_info, "no/such")
    raises((FileNotFoundException, NotFoundException), files.list, "no/such")
    raises((FileNotFoundException, NotFoundException), files.rename, "no/such", "other")
    raises(InvalidArgumentException, files.read, "/home/user")
    raises(InvalidArgumentException, files.list, "/etc/passwd")
    raises(AuthenticationException, files.write, "x", "y", user="nobody-here")


def files_as_root(sandbox):
    sandbox.files.write("/root/secret", "r", user="root")
    equal(sandbox.commands.run("stat -c %U /root/secret", user="root").stdout, "root\n")
    sandbox.files.write("byroot", "r", user="root")
    equal(sandbox.files.read("/root/byroot"), "r")


def signed_urls(sandbox):
    sandbox.files.write("signed é.txt", "by link")
    url = sandbox.download_url("signed é.txt", use_signature_expiration=60)
    status, body, _ = fetch(url)
    equal((status, body), (200, b"by link"))
    status, body, _ = fetch(url.replace("signature=v1_", "signature=v1_x"))
    equal((status, body), (401, b'{"code":401,"message":"invalid signature"}\n'))
    status, body, _ = fetch(sandbox.download_url("signed é.txt", use_signature_expiration=-5))
    equal((status, body), (401, b'{"code":401,"message":"signature is already expired"}\n'))
    status, _, _ = fetch(url.split("&signature")[0])
    equal(status, 401)
    status, body, _ = fetch(sandbox.upload_url("up.bin"), data=b"raw bytes",
                            headers={"Content-Type": "application/octet-stream"})
    equal((status, body), (200, b'[{"name":"up.bin","path":"/home/user/up.bin","type":"file"}]'))
    equal(sandbox.files.read("up.bin"), "raw bytes")


# ---- code ----

def code_results(sandbox):
    run = sandbox.run_code("x = 20\nx + 1")
    equal((run.text, run.error, run.execution_count), ("21", None, 1))
    equal(sandbox.run_code("x * 2").text, "40")
    run = sandbox.run_code("print('out'); import sys; print('err', file=sys.stderr)")
    equal((run.logs.stdout, run.logs.stderr), (["out\n"], ["err\n"]))
    run = sandbox.run_code("def f():\n    return 1 / 0\nf()")
    equal((run.error.name, run.error.value), ("ZeroDivisionError", "division by zero"))
    true("f()" in run.error.traceback and "\x1b" not in run.error.traceback, run.error.traceback)
    equal(sandbox.run_code("import os; os.getcwd()").text, "/home/user")
    run = sandbox.run_code("import os; os.environ['Q']", envs={"Q": "it's \"quoted\" \\ é"})
    equal(run.text.encode().decode("unicode_escape") if "\\x" in run.text else run.text, run.text)
    true("it" in run.text and "quoted" in run.text, run.text)
    equal(sandbox.run_code("'Q' in os.environ").text, "False")


def code_rich(sandbox):
    run = sandbox.run_code("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()")
    true(run.results and run.results[0].png.startswith("iVBOR"), f"{run.results} {run.error}")
    run = sandbox.run_code("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', None]})")
    true("<table" in run.results[0].html and run.results[0].is_main_result, "a table")
    run = sandbox.run_code("from IPython.display import display, Markdown, Latex\ndisplay(Markdown('# hi'))\ndisplay(Latex('$x$'))\n1")
    equal([bool(r.markdown) for r in run.results], [True, False, False])
    equal(run.results[1].latex, "$x$")


def code_survives_its_children(sandbox):
    run = sandbox.run_code("import subprocess\nsubprocess.run(['echo', 'child'])\nimport os\nos.system('echo two')\n5")
    equal((run.error, run.text), (None, "5"))
    equal("".join(run.logs.stdout), "child\ntwo\n")
    equal(sandbox.run_code("6").text, "6")


def code_is_interrupted(sandbox):
    raises(TimeoutException, sandbox.run_code, "import time\nwhile True: time.sleep(0.1)", timeout=2)
    start = time.monotonic()
    equal(sandbox.run_code("7").text, "7")
    true(time.monotonic() - start < 10, "the next run is not held up")


def code_streams(sandbox):
    seen = []
    sandbox.run_code("import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.4)",
                     on_stdout=lambda message: seen.append(time.monotonic()))
    true(len(seen) == 3 and seen[-1] - seen[0] > 0.5, f"lines come as they are printed: {seen}")


def code_runs_one_after_the_other(sandbox):
    order, threads = [], []
    for n in range(3):
        thread = threading.Thread(target=lambda n=n: order.append((n, sandbox.run_code(f"import time; time.sleep(0.5); {n}").text)))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    equal(sorted(order), [(n, str(n)) for n in range(3)])


def unlisted_code_calls_are_clear(sandbox):
    raises(Exception, sandbox.run_code, "1", language="cobol")


# ---- ports ----

def ports_answer(sandbox):
    sandbox.commands.run("mkdir -p web && echo hi > web/a.txt && cd web && exec python3 -m http.server 8000", background=True)
    url = f"https://{sandbox.get_host(8000)}"
    for _ in range(100):
        status, body, _ = fetch(url + "/a.txt")
        if status != 502:
            break
        equal(b"port is not open" in body, True)
        time.sleep(0.05)
    equal((status, body), (200, b"hi\n"))
    status, body, headers = fetch(f"https://{sandbox.get_host(8001)}/")
    equal((status, body), (502, b'{"sandboxId":"%s","message":"The sandbox is running but port is not open","port":8001,"code":502}'
                           % sandbox.sandbox_id.encode()))
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(url + "/a.txt")[0])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(found, [200] * 20)


def killed_mid_run():
    sandbox = BaseSandbox.create("base", timeout=60)
    handle = sandbox.commands.run("sleep 30", background=True)
    timer = threading.Timer(0.5, sandbox.kill)
    timer.start()
    raises(TimeoutException, handle.wait, text="killed or reached its end of life")
    timer.join()


def killed_mid_code():
    sandbox = Sandbox.create(timeout=60)
    sandbox.run_code("1")
    timer = threading.Timer(1.0, sandbox.kill)
    timer.start()
    raises(TimeoutException, sandbox.run_code, "import time; time.sleep(30)", text="The sandbox was killed")
    timer.join()


def wrong_token_is_refused(sandbox):
    url = f"https://{sandbox.get_host(49983)}/process.Process/List"
    for headers in ({}, {"X-Access-Token": "0" * 64}):
        status, body, _ = fetch(url, data=b"{}", headers={"Content-Type": "application/json", **headers})
        equal(status, 401)
        true(body.startswith(b'{"code":401,'), body)


async def async_tour():
    sandbox = await AsyncSandbox.create("base", timeout=60)
    try:
        runs = await asyncio.gather(*(sandbox.commands.run(f"sleep 0.2; echo {n}") for n in range(8)))
        equal([run.stdout for run in runs], [f"{n}\n" for n in range(8)])
        await sandbox.files.write("a", "async")
        equal(await sandbox.files.read("a"), "async")
        handle = await sandbox.commands.run("sleep 30", background=True)
        true(await handle.kill(), "killed")
        equal(await sandbox.is_running(), True)
    finally:
        true(await sandbox.kill(), "killed")


report.check("create tells what was asked", create_tells_what_was_asked)
report.check("list filters and pages", list_filters_and_pages)
report.check("bad keys are refused", bad_keys_are_refused)
report.check("promises that are not kept are refused", promises_that_are_not_kept_are_refused)
report.check("an idempotency key gives the first sandbox", idempotency_key_gives_the_first_sandbox)
report.check("limits of a team are rate limits", limits_of_a_team_are_rate_limits)
report.check("expiry ends it", expiry_ends_it)
box = BaseSandbox.create("base", timeout=600)
for test in (connect_extends_and_never_shortens, other_team_sees_nothing, command_results, command_errors,
             stdin_is_refused_clearly, output_streams, background_connect_list_kill, exits_are_kept,
             quiet_commands_live_on, files_round_trip, files_many, files_changes, files_as_root, signed_urls,
             ports_answer, wrong_token_is_refused):
    report.check(test.__name__.replace("_", " "), test, box)
box.kill()
code = Sandbox.create(timeout=600)
for test in (code_results, code_rich, code_survives_its_children, code_is_interrupted, code_streams,
             code_runs_one_after_the_other, unlisted_code_calls_are_clear):
    report.check(test.__name__.replace("_", " "), test, code)
code.kill()
report.check("killed mid-run", killed_mid_run)
report.check("killed mid-code", killed_mid_code)
report.check("async tour", lambda: asyncio.run(async_tour()))
report.end()
