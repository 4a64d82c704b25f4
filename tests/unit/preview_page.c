#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "preview/page.h"

static bool has(const struct buf *page, const char *what)
{
    return str_find_str(buf_str(page), str_of(what)) < buf_len(page);
}

/* Every error has a page that is small, whole and asks for nothing from
 * elsewhere.  PAGES=DIR writes them there, to be looked at. */
Test(preview_page, is_small_whole_and_alone)
{
    const char *folder = getenv("PAGES");
    size_t most = 0;

    for (int e = E_OK + 1; e < E_COUNT; e++) {
        struct preview_page page = {.err = (enum err)e,
                                    .status = 401,
                                    .text = STR("Said by the table"),
                                    .host = STR("3000-i0abc.p.example"),
                                    .port = 3000,
                                    .sandbox = STR("i0abc")};
        struct buf out;

        buf_init(&out, PREVIEW_PAGE_MAX);
        if (e == E_PORT_CLOSED || e == E_SANDBOX_GONE)
            page.status = 502;
        if (e == E_SANDBOX_UNKNOWN)
            page.status = 503;
        preview_page_put(&page, &out);
        cr_expect_not(out.failed, "%s", err_name((enum err)e));
        cr_expect(
            str_starts(buf_str(&out), STR("<!doctype html>\n<html lang")));
        cr_expect(str_ends(buf_str(&out), STR("</html>\n")));
        cr_expect(has(&out, "<h1>") && has(&out, "<title>") &&
                  has(&out, "prefers-color-scheme:dark") &&
                  has(&out, "width=device-width") && has(&out, "<main>"));
        cr_expect_not(has(&out, "<script") || has(&out, "http://") ||
                      has(&out, "https://") || has(&out, "src=") ||
                      has(&out, "url(") || has(&out, "@import") ||
                      has(&out, "<link") || has(&out, "onload"));
        if (buf_len(&out) > most)
            most = buf_len(&out);
        if (folder) {
            char path[400];
            FILE *f;

            snprintf(path, sizeof(path), "%s/%s.html", folder,
                     err_name((enum err)e));
            f = fopen(path, "w");
            cr_assert_not_null(f);
            fwrite(buf_str(&out).p, 1, buf_len(&out), f);
            fclose(f);
        }
        buf_clear(&out);
    }
    printf("largest page: %zu bytes\n", most);
}

Test(preview_page, says_what_to_do)
{
    static const struct {
        enum err err;
        int status;
        const char *says;
    } rows[] = {
        {E_SANDBOX_GONE, 502, "<h1>This sandbox has ended</h1>"},
        {E_PORT_CLOSED, 502, "python3 -m http.server 3000"},
        {E_PORT_CLOSED, 502, "<code>--host</code>"},
        {E_PORT_CLOSED, 502, "<a href=\"\">Try again</a>"},
        {E_PORT_CLOSED, 502, "<dt>Request</dt><dd>0a1b</dd>"},
        {E_TOKEN_EXPIRED, 401, "<h1>This link has expired</h1>"},
        {E_TOKEN_REVOKED, 401, "withdrawn"},
        {E_TOKEN_INVALID, 401, "not valid"},
        {E_TOKEN_WRONG_TARGET, 403, "does not open this page"},
        {E_TOKEN_WRONG_TARGET, 403, "<p>&lt;why&gt; &amp; what.</p>"},
        {E_TOKEN_MISSING, 401, "signed links only"},
        {E_ORIGIN, 403, "Another site"},
        {E_SANDBOX_UNKNOWN, 503, "One moment"},
        {E_STORE, 503, "One moment"},
        {E_BAD_PORT, 400, "&lt;why&gt; &amp; what"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct preview_page page = {.err = rows[i].err,
                                    .status = rows[i].status,
                                    .text = STR("<why> & what"),
                                    .port = 3000,
                                    .request = STR("0a1b")};
        struct buf out;

        buf_init(&out, PREVIEW_PAGE_MAX);
        preview_page_put(&page, &out);
        cr_expect(has(&out, rows[i].says), "%s", rows[i].says);
        buf_clear(&out);
    }
}

/* Whatever stood in a request, at its longest. */
Test(preview_page, escapes_and_clips_what_is_not_ours)
{
    static char long_host[20000], long_text[20000];
    struct preview_page page = {.err = E_BAD_REQUEST,
                                .status = 400,
                                .host = {long_host, sizeof(long_host)},
                                .text = {long_text, sizeof(long_text)},
                                .sandbox = STR("\"><script>alert(1)</script>")};
    struct buf out;

    memset(long_host, '"', sizeof(long_host));
    memset(long_text, '\'', sizeof(long_text));
    buf_init(&out, PREVIEW_PAGE_MAX);
    preview_page_put(&page, &out);
    cr_expect_not(out.failed);
    cr_expect_not(has(&out, "<script"));
    cr_expect(has(&out, "&quot;&gt;&lt;script&gt;"));
    buf_empty(&out);
    page.host = STR("\xff\xfe");
    page.sandbox = STR("");
    preview_page_put(&page, &out);
    cr_expect_not(has(&out, "\xff"));
    buf_clear(&out);
}

/* A character of UTF-8 is shown whole or not at all. */
Test(preview_page, clips_between_characters)
{
    static char text[402];
    struct preview_page page = {
        .err = E_BAD_REQUEST, .status = 400, .text = {text, sizeof(text)}};
    struct buf out;

    memset(text, 'a', 399);
    memcpy(text + 399, "\xe2\x82\xac", 3);
    buf_init(&out, PREVIEW_PAGE_MAX);
    preview_page_put(&page, &out);
    cr_expect_not(has(&out, "\xe2"));
    cr_expect(has(&out, "aaa</p>"));
    buf_clear(&out);
}
