#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/net_rig.h"

Test(server, answers_and_keeps_the_connection)
{
    struct rig r;
    struct raw c;

    rig_open(&r, NULL, false);
    raw_connect(&c, &r);
    for (int i = 1; i <= 2; i++) {
        raw_send(&c, STR("GET /a?b HTTP/1.1\r\nHost: X.y:80\r\n\r\n"));
        RIG_UNTIL(&r, &c, raw_has(&c, "GET /a?b x.y "));
        cr_expect(raw_has(&c, "HTTP/1.1 200 OK\r\n"));
        cr_expect(raw_has(&c, "Keep-Alive: timeout=600\r\n"));
        cr_expect(raw_has(&c, "Date: "));
        buf_empty(&c.got);
        cr_expect_eq(r.requests, (unsigned)i);
    }
    cr_expect_eq(c.end, SEEN_OPEN);
    raw_close(&c);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 0);
    rig_close(&r);
}

Test(server, closes_after_an_answer_with_fin)
{
    struct rig r;
    struct raw c;

    rig_open(&r, NULL, false);
    raw_connect(&c, &r);
    raw_send(&c, STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_FIN);
    cr_expect(raw_has(&c, "Connection: close\r\n"));
    raw_close(&c);
    rig_close(&r);
}
