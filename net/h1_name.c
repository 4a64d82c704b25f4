/* h1_name.c - see h1_name.h. */
#include "net/h1_name.h"

/* By length first: most names are told apart by it. */
static const struct {
    struct str text;
    enum h1_name name;
} known[] = {
    {STR("te"), H1_HOP},
    {STR("host"), H1_HOST},
    {STR("date"), H1_DATE},
    {STR("proxy"), H1_HOP},
    {STR("expect"), H1_EXPECT},
    {STR("upgrade"), H1_UPGRADE},
    {STR("trailer"), H1_HOP},
    {STR("connection"), H1_CONNECTION},
    {STR("keep-alive"), H1_HOP},
    {STR("content-length"), H1_CONTENT_LENGTH},
    {STR("proxy-connection"), H1_HOP},
    {STR("transfer-encoding"), H1_TRANSFER_ENCODING},
    {STR("sec-websocket-key"), H1_WS_KEY},
    {STR("sec-websocket-accept"), H1_WS_ACCEPT},
    {STR("sec-websocket-version"), H1_WS_VERSION},
};

/* First row of each length, up to 21; 0 where there is none but at length 2. */
#define LONGEST 21
static const unsigned char first[LONGEST + 2] = {
    [3] = 1,   [4] = 1,   [5] = 3,   [6] = 4,   [7] = 5,   [8] = 7,   [9] = 7,
    [10] = 7,  [11] = 9,  [12] = 9,  [13] = 9,  [14] = 9,  [15] = 10, [16] = 10,
    [17] = 11, [18] = 13, [19] = 13, [20] = 13, [21] = 14, [22] = 15};

enum h1_name h1_name(struct str name)
{
    if (name.n > LONGEST)
        return H1_OTHER;
    for (unsigned i = first[name.n]; i < first[name.n + 1]; i++)
        if (str_ieq(name, known[i].text))
            return known[i].name;
    return H1_OTHER;
}

/* Names that decide who calls, what is reached, or how bytes are framed. */
static const struct str protected[] = {
    STR("host"),           STR("transfer-encoding"),
    STR("authorization"),  STR("proxy-authorization"),
    STR("cookie"),         STR("set-cookie"),
    STR("expect"),         STR("origin"),
    STR("forwarded"),      STR("via"),
    STR("date"),           STR("x-access-token"),
    STR("x-api-key"),      STR("x-real-ip"),
    STR("x-request-id"),   STR("x-sandbox-id"),
    STR("true-client-ip"), STR("idempotency-key"),
};

static const struct str families[] = {
    STR("content-"), STR("x-forwarded-"), STR("e2b-"),
    STR("x-e2b-"),   STR("connect-"),     STR("sec-"),
};

bool h1_is_protected(struct str name)
{
    for (unsigned i = 0; i < sizeof(protected) / sizeof(*protected); i++)
        if (str_ieq(name, protected[i]))
            return true;
    for (unsigned i = 0; i < sizeof(families) / sizeof(*families); i++)
        if (name.n > families[i].n && str_istarts(name, families[i]))
            return true;
    return false;
}

bool h1_is_disguised(struct str name)
{
    char plain[32];

    /* No protected name is longer, and families are known by their begin. */
    if (str_find(name, '_') == name.n)
        return false;
    if (name.n > sizeof(plain))
        name.n = sizeof(plain);
    for (size_t i = 0; i < name.n; i++)
        plain[i] = name.p[i];
    for (size_t i = 0; i < name.n; i++)
        if (plain[i] == '_')
            plain[i] = '-';
    return h1_is_protected(str_from(plain, name.n));
}
