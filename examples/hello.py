"""A program written for E2B's cloud: only E2B_DOMAIN and the key say where."""
import ssl
import time
import urllib.request

from e2b_code_interpreter import Sandbox

sandbox = Sandbox.create(timeout=120, metadata={"example": "hello.py"})
print("created", sandbox.sandbox_id)
try:
    run = sandbox.commands.run("echo hello from $(whoami) in $(pwd)")
    print("command:", run.stdout.strip())

    sandbox.files.write("/home/user/notes/today.txt", "written by Python\n")
    print("file:", sandbox.files.read("/home/user/notes/today.txt").strip())
    print("listing:", [entry.name for entry in sandbox.files.list("/home/user/notes")])

    execution = sandbox.run_code(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 4, 9, 16])\n"
        "plt.show()\n"
        "sum(range(10))")
    if execution.error:
        raise SystemExit(execution.error.traceback)
    plot = next(result.png for result in execution.results if result.png)
    print("code:", execution.text, "and a plot of", len(plot), "base64 characters")

    sandbox.commands.run("python3 -m http.server 8000", background=True)
    url = f"https://{sandbox.get_host(8000)}/notes/today.txt"
    for attempt in range(50):
        try:
            with urllib.request.urlopen(url, context=ssl.create_default_context()) as answer:
                print("web:", url, answer.status, answer.read().decode().strip())
            break
        except urllib.error.HTTPError as error:
            if error.code != 502 or attempt == 49:
                raise
            time.sleep(0.1)
finally:
    print("killed:", sandbox.kill())
