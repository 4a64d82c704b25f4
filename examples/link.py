"""A small app in a sandbox, and a signed link that opens it in any browser."""
import http.cookiejar
import json
import os
import ssl
import time
import urllib.error
import urllib.request

from e2b_code_interpreter import Sandbox

APP = """
import http.server
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"<h1>Hello from the sandbox</h1><p>You asked for {self.path}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", 3000), App).serve_forever()
"""

TLS = ssl.create_default_context()
sandbox = Sandbox.create(timeout=900, metadata={"example": "link.py"})
sandbox.files.write("/home/user/app.py", APP)
sandbox.commands.run("python3 app.py", background=True, timeout=0)

# The link: made by the API with the key, opened by whoever has it.
request = urllib.request.Request(
    f"https://api.{os.environ['E2B_DOMAIN']}/sandboxes/{sandbox.sandbox_id}/links", method="POST",
    data=json.dumps({"port": 3000, "ttlSeconds": 900}).encode(),
    headers={"X-API-Key": os.environ["E2B_API_KEY"], "Content-Type": "application/json"})
with urllib.request.urlopen(request, context=TLS) as answer:
    link = json.load(answer)
print("link:", link["url"])
print("good until", link["expiresAt"])

# What a browser does with it: the token becomes a cookie, the address clean.
cookies = http.cookiejar.CookieJar()
browser = urllib.request.build_opener(urllib.request.HTTPSHandler(context=TLS), urllib.request.HTTPCookieProcessor(cookies))
browser.addheaders = [("User-Agent", "Mozilla/5.0"), ("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")]
for attempt in range(100):
    try:
        with browser.open(link["url"]) as page:
            print("opened:", page.url, page.status, page.read().decode())
        break
    except urllib.error.HTTPError as error:
        if error.code != 502 or attempt == 99:
            raise
        time.sleep(0.1)
if "token=" in page.url or [cookie.name for cookie in cookies] != ["__Host-sandgate-preview"]:
    raise SystemExit("the token was not exchanged for a cookie")
