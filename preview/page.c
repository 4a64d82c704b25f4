/* page.c - see page.h. */
#include "preview/page.h"

#include "base/encode.h"

#define NAME_MAX_BYTES 253 /* of a host, or a sandbox's id: clipped */
#define TEXT_MAX_BYTES 400

/* What is said to people, by error. */
struct words {
    enum err err;
    const char *title;
    const char *lead;
};

static const struct words pages[] = {
    {E_SANDBOX_GONE, "This sandbox has ended",
     "Sandboxes live for a limited time, and what runs in them ends with "
     "them. Whoever sent you here can start a new one and share its link."},
    {E_PORT_CLOSED, "Nothing is listening here yet",
     "The sandbox is running, but no program in it answers on this port."},
    {E_TOKEN_EXPIRED, "This link has expired",
     "Links to a sandbox work for a limited time. Ask whoever sent it for a "
     "new one."},
    {E_TOKEN_REVOKED, "This link was withdrawn",
     "It worked once, but its owner has ended it. Ask for a new one if you "
     "should still have access."},
    {E_TOKEN_INVALID, "This link is not valid",
     "It may have been cut short or changed on its way. Open it again just as "
     "it was sent, or ask for a new one."},
    {E_TOKEN_WRONG_TARGET, "This link does not open this page",
     "It is a valid link, but not for what is asked for here. Open it just as "
     "it was sent, or ask for one that covers this page."},
    {E_TOKEN_MISSING, "A link is needed to see this",
     "This page is shared by signed links only. Open the link that you were "
     "sent; this browser then remembers it for as long as it is valid."},
    {E_TRAFFIC_TOKEN, "This sandbox is private",
     "Programs reach it with its traffic access token; people, with a signed "
     "link to it."},
    {E_ORIGIN, "Not from there",
     "Another site tried to act here in your name, and was refused."},
    {E_FORBIDDEN, "You may not see this",
     "The rules of access of this address do not let this request pass."},
    {E_ROUTE_UNKNOWN, "There is nothing at this address",
     "No sandbox is served under this name. Check the link for a slip."},
    {E_RATE_LIMITED, "Too many requests at once",
     "The sandbox is busy with others. Try again in a moment."},
    {E_BACKEND_GARBAGE, "The app gave an answer that makes no sense",
     "What listens on this port does not speak HTTP as a browser does."},
};

static const struct words unsure = {
    E_SANDBOX_UNKNOWN, "One moment, please",
    "It cannot be told at present whether the sandbox is running. Nothing is "
    "lost; try again in a few seconds."};

static const struct words other = {E_UNKNOWN, "This did not work",
                                   "The request could not be served."};

static const struct words *words_of(const struct preview_page *p)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
        if (pages[i].err == p->err)
            return &pages[i];
    return p->status == 503 || p->status == 504 ? &unsure : &other;
}

static const char style[] =
    ":root{color-scheme:light dark;--b:#f6f7f9;--c:#fff;--t:#1c2330;"
    "--s:#556070;--l:#d9dee6;--a:#0b57d0}"
    "@media(prefers-color-scheme:dark){:root{--b:#12151b;--c:#1b2029;"
    "--t:#e8ebf0;--s:#a3adbb;--l:#323a47;--a:#8ab4f8}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "padding:1.5rem;background:var(--b);color:var(--t);"
    "font:1rem/1.6 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}"
    "main{width:100%;max-width:40rem;background:var(--c);"
    "border:1px solid var(--l);border-radius:.75rem;"
    "padding:clamp(1.25rem,5vw,2.5rem)}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}"
    "p{margin:0 0 1rem}"
    "pre{margin:0 0 1rem;padding:.75rem 1rem;overflow-x:auto;"
    "background:var(--b);border:1px solid var(--l);border-radius:.5rem}"
    "code,dd{font-family:ui-monospace,Menlo,Consolas,monospace;"
    "font-size:.9rem}code{white-space:nowrap}"
    "a{color:var(--a)}a:focus-visible{outline:2px solid var(--a);"
    "outline-offset:3px}"
    "dl{margin:1.5rem 0 0;padding:1rem 0 0;border-top:1px solid var(--l);"
    "display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;"
    "color:var(--s);font-size:.9rem}"
    "dd{margin:0;overflow-wrap:anywhere}";

struct str preview_page_policy(void)
{
    return STR("default-src 'none'; style-src 'unsafe-inline'; "
               "base-uri 'none'; form-action 'none'");
}

/* At most n bytes, not within a character of UTF-8; what is no UTF-8 is not
 * shown. */
static struct str clip(struct str s, size_t n)
{
    if (s.n > n) {
        s.n = n;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return encode_is_utf8(s) ? s : STR("");
}

static void put_fact(struct buf *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_text(out, "<dt>%s</dt><dd>", name);
    encode_html(out, clip(value, NAME_MAX_BYTES));
    buf_put(out, STR("</dd>"));
}

static void put_facts(struct buf *out, const struct preview_page *p)
{
    buf_put(out, STR("<dl>"));
    put_fact(out, "Address", p->host);
    put_fact(out, "Sandbox", p->sandbox);
    if (p->port)
        buf_text(out, "<dt>Port</dt><dd>%u</dd>", p->port);
    buf_text(out, "<dt>Status</dt><dd>%d</dd>", p->status);
    put_fact(out, "Request", p->request);
    buf_put(out, STR("</dl>\n"));
}

/* What to start, so that something is there. */
static void put_hint(struct buf *out, unsigned port)
{
    buf_put(out, STR("<p>Start one in the sandbox, for example</p>\n"));
    buf_text(out, "<pre><code>python3 -m http.server %u</code></pre>\n",
             port ? port : 3000);
    buf_put(out, STR("<p>A development server must listen on this very port, "
                     "on 127.0.0.1 or 0.0.0.0. One that listens on "
                     "<code>localhost</code> may have taken ::1 alone, which "
                     "is not reached: start Vite with "
                     "<code>--host</code>.</p>\n"));
}

/* Would another try fare better without anybody doing anything? */
static bool is_passing(const struct preview_page *p)
{
    return p->err == E_PORT_CLOSED || p->status == 503 || p->status == 504 ||
           p->status == 429;
}

void preview_page_put(const struct preview_page *page, struct buf *out)
{
    const struct words *words = words_of(page);
    bool better = words == &other && page->text.n;

    buf_put(out, STR("<!doctype html>\n<html lang=\"en\">\n<head>\n"
                     "<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" "
                     "content=\"width=device-width,initial-scale=1\">\n"
                     "<meta name=\"robots\" content=\"noindex\">\n<title>"));
    encode_html(out, str_of(words->title));
    buf_put(out, STR("</title>\n<style>"));
    buf_put(out, str_of(style));
    buf_put(out, STR("</style>\n</head>\n<body>\n<main>\n<h1>"));
    encode_html(out, str_of(words->title));
    buf_put(out, STR("</h1>\n<p>"));
    encode_html(out, better ? clip(page->text, TEXT_MAX_BYTES)
                            : str_of(words->lead));
    buf_put(out, STR("</p>\n"));
    if (page->err == E_TOKEN_WRONG_TARGET && page->text.n) {
        buf_put(out, STR("<p>"));
        encode_html(out, clip(page->text, TEXT_MAX_BYTES));
        buf_put(out, STR(".</p>\n"));
    }
    if (page->err == E_PORT_CLOSED)
        put_hint(out, page->port);
    if (is_passing(page))
        buf_put(out, STR("<p><a href=\"\">Try again</a></p>\n"));
    put_facts(out, page);
    buf_put(out, STR("</main>\n</body>\n</html>\n"));
}
