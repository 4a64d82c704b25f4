/* h1_write.c - see h1_write.h. */
#include "net/h1_write.h"

#include <stdio.h>
#include <time.h>

#include "net/h1_name.h"
#include "net/h1_scan.h"

struct str h1_reason(int status)
{
    static const struct {
        int status;
        struct str text;
    } table[] = {
        {100, STR("Continue")},
        {101, STR("Switching Protocols")},
        {200, STR("OK")},
        {201, STR("Created")},
        {202, STR("Accepted")},
        {204, STR("No Content")},
        {206, STR("Partial Content")},
        {301, STR("Moved Permanently")},
        {302, STR("Found")},
        {303, STR("See Other")},
        {304, STR("Not Modified")},
        {307, STR("Temporary Redirect")},
        {308, STR("Permanent Redirect")},
        {400, STR("Bad Request")},
        {401, STR("Unauthorized")},
        {403, STR("Forbidden")},
        {404, STR("Not Found")},
        {405, STR("Method Not Allowed")},
        {408, STR("Request Timeout")},
        {409, STR("Conflict")},
        {410, STR("Gone")},
        {411, STR("Length Required")},
        {412, STR("Precondition Failed")},
        {413, STR("Content Too Large")},
        {414, STR("URI Too Long")},
        {415, STR("Unsupported Media Type")},
        {416, STR("Range Not Satisfiable")},
        {417, STR("Expectation Failed")},
        {421, STR("Misdirected Request")},
        {422, STR("Unprocessable Content")},
        {426, STR("Upgrade Required")},
        {429, STR("Too Many Requests")},
        {431, STR("Request Header Fields Too Large")},
        {500, STR("Internal Server Error")},
        {501, STR("Not Implemented")},
        {502, STR("Bad Gateway")},
        {503, STR("Service Unavailable")},
        {504, STR("Gateway Timeout")},
        {505, STR("HTTP Version Not Supported")},
        {507, STR("Insufficient Storage")},
        {508, STR("Loop Detected")},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (table[i].status == status)
            return table[i].text;
    return STR("Unknown");
}

struct str h1_date(int64_t wall_ms, char out[30])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&s, &tm) || tm.tm_year < 0 || tm.tm_year > 8099)
        return STR("Thu, 01 Jan 1970 00:00:00 GMT");
    snprintf(out, 30, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100,
             months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
    return str_from(out, 29);
}

/* ---- pieces ---- */

static char *put(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_number(char *p, uint64_t n)
{
    char digits[20];
    unsigned count = 0;

    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10));
    while (count)
        *p++ = digits[--count];
    return p;
}

static size_t fields_bytes(const struct fields *fields)
{
    size_t n = 0;

    for (unsigned i = 0; i < fields->count; i++)
        n += fields->at[i].name.n + fields->at[i].value.n + 4;
    return n;
}

/* Is it a field that only net may write, at this place? */
static bool is_own(enum h1_name name, bool request, bool upgrade)
{
    switch (name) {
    case H1_CONTENT_LENGTH:
    case H1_TRANSFER_ENCODING:
    case H1_CONNECTION:
    case H1_HOP:
        return true;
    case H1_HOST:
    case H1_EXPECT:
        return request;
    case H1_DATE:
        return !request;
    case H1_UPGRADE:
        return !upgrade || request;
    case H1_WS_KEY:
    case H1_WS_VERSION:
    case H1_WS_ACCEPT:
    case H1_OTHER:
        break;
    }
    return false;
}

static char *put_fields(char *p, const struct fields *fields, bool request,
                        bool upgrade)
{
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *f = &fields->at[i];

        if (is_own(h1_name(f->name), request, upgrade) ||
            !h1_is_token(f->name) || !h1_is_value(f->value))
            continue;
        p = put(p, f->name);
        *p++ = ':';
        *p++ = ' ';
        p = put(p, f->value);
        *p++ = '\r';
        *p++ = '\n';
    }
    return p;
}

static char *put_length(char *p, int64_t length)
{
    if (length == LENGTH_CHUNKED)
        return put(p, STR("Transfer-Encoding: chunked\r\n"));
    if (length < 0)
        return p;
    p = put(p, STR("Content-Length: "));
    p = put_number(p, (uint64_t)length);
    return put(p, STR("\r\n"));
}

/* ---- answers ---- */

/* Status line, Date, Connection, Keep-Alive, length, empty line. */
#define OWN_BYTES 256

size_t h1_answer_bound(const struct answer_head *head)
{
    return OWN_BYTES + head->reason.n + fields_bytes(&head->fields);
}

size_t h1_write_answer(char *p, const struct answer_head *head,
                       const struct h1_answer_extra *extra)
{
    char *begin = p;
    struct str reason = head->reason;
    bool chunks = head->length == LENGTH_CHUNKED;

    if (!reason.n || !h1_is_value(reason))
        reason = h1_reason(head->status);
    p = put(p, STR("HTTP/1.1 "));
    p = put_number(p, (uint64_t)(head->status % 1000));
    *p++ = ' ';
    p = put(p, reason);
    p = put(p, STR("\r\n"));
    p = put_fields(p, &head->fields, false, head->status == 101);
    p = put(p, STR("Date: "));
    p = put(p, extra->date);
    p = put(p, STR("\r\n"));
    if (head->status == 101) {
        p = put(p, STR("Connection: Upgrade\r\n"));
    } else if (!extra->keep) {
        p = put(p, STR("Connection: close\r\n"));
    } else if (extra->keep_alive_s) {
        p = put(p, STR("Keep-Alive: timeout="));
        p = put_number(p, extra->keep_alive_s);
        p = put(p, STR("\r\n"));
    }
    if (head->status != 101 && !(chunks && extra->http10))
        p = put_length(p, head->length);
    return (size_t)(put(p, STR("\r\n")) - begin);
}

/* ---- requests ---- */

size_t h1_request_bound(const struct h1_request_head *head)
{
    return OWN_BYTES + head->target.n + head->host.n +
           fields_bytes(head->fields);
}

/* A space would end the target early, whatever stands behind it. */
static bool is_word(struct str s)
{
    return s.n && h1_is_value(s) && str_find(s, ' ') == s.n &&
           str_find(s, '\t') == s.n;
}

size_t h1_write_request(char *p, const struct h1_request_head *head)
{
    char *begin = p;

    if (!is_word(head->target) || !is_word(head->host))
        return 0;
    p = put(p, method_text(head->method));
    *p++ = ' ';
    p = put(p, head->target);
    p = put(p, STR(" HTTP/1.1\r\nHost: "));
    p = put(p, head->host);
    p = put(p, STR("\r\n"));
    p = put_fields(p, head->fields, true, head->upgrade);
    if (head->upgrade)
        p = put(p, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    p = put_length(p, head->length);
    return (size_t)(put(p, STR("\r\n")) - begin);
}

size_t h1_write_size(char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *begin = p;
    unsigned shift = 60;

    while (shift && !(n >> shift & 15))
        shift -= 4;
    for (;; shift -= 4) {
        *p++ = digits[n >> shift & 15];
        if (!shift)
            break;
    }
    *p++ = '\r';
    *p++ = '\n';
    return (size_t)(p - begin);
}
