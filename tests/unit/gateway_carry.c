#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/token.h"
#include "base/clock.h"
#include "tests/unit/gateway_fake.h"

TestSuite(carry, .init = fake_start, .fini = fake_stop);

#define PORT "3000-" FAKE_ID ".sandgate.localhost"
#define SENT \
    "X-Forwarded-For=192.0.2.1 X-Forwarded-Host=" PORT " X-Forwarded-Proto=" \
    "http X-Sandgate-Hop=1"
#define CLOSED \
    "all 502 {\"sandboxId\":\"" FAKE_ID \
    "\",\"message\":\"The sandbox is running but port is not " \
    "open\",\"port\":3000,\"code\":502}; free; "

Test(carry, passes_a_request_on_and_its_answer_back)
{
    fake_request("GET " PORT " /a//b/%2e?x=%00y\nAccept: */*\nE2b-Sandbox-Id: "
                 "x\nForwarded: for=1\nKeep-Alive: 5",
                 0);
    cr_expect_str_eq(
        fake_said(),
        "find 3000; start GET 127.0.0.1:4000 /a//b/%2e?x=%00y host=" PORT
        " length=-2 idempotent Accept=*/* " SENT "; ");
    fake_call_head(200, 5);
    cr_expect_str_eq(fake_said(), "head 200 X-App=1; ");
    fake_call("hello");
    fake_call_end();
    cr_expect_str_eq(fake_said(),
                     "say hello; end; call free; port left; free; ");
}

Test(carry, streams_both_ways_with_back_pressure)
{
    fake_request("POST " PORT " /", LENGTH_CHUNKED);
    cr_expect_str_eq(fake_said(),
                     "find 3000; start POST 127.0.0.1:4000 / "
                     "host=" PORT " length=-1 fresh " SENT "; resume 4; ");
    fake_client("1");
    fake.call_full = true;
    fake_client("2");
    cr_expect_str_eq(fake_said(), "send 1; send 2; pause 1; ");
    fake.call_full = false;
    fake.call_events->on_room(fake.call_arg);
    fake_client_end();
    cr_expect_str_eq(fake_said(), "resume 1; send end; ");
    fake_call_head(200, LENGTH_CHUNKED);
    fake.full = true;
    fake_call("a");
    cr_expect_str_eq(fake_said(), "head 200 X-App=1; say a; call pause 2; ");
    fake_room();
    cr_expect_str_eq(fake_said(), "call resume 2; ");
    fake_call_end();
    cr_expect_str_eq(fake_said(), "end; call free; port left; free; ");
}

Test(carry, says_continue_when_the_upstream_is_chosen)
{
    fake_request("PUT " PORT " /\nExpect: 100-continue", 3);
    cr_expect_str_eq(fake_said(), "find 3000; start PUT 127.0.0.1:4000 / "
                                  "host=" PORT " length=3 fresh " SENT
                                  "; continue; resume 4; ");
}

static void pass(int64_t ms)
{
    fake_time(clock_ms() + ms);
}

Test(carry, carries_a_tunnel_with_half_closes)
{
    fake_request("GET " PORT " /ws\nUpgrade: websocket\nConnection: "
                 "Upgrade\nSec-WebSocket-Key: k",
                 0);
    cr_expect_str_eq(
        fake_said(),
        "find 3000; start GET 127.0.0.1:4000 /ws host=" PORT
        " length=-2 fresh idempotent upgrade Sec-WebSocket-Key=k " SENT "; ");
    fake_call_head(101, LENGTH_NONE);
    cr_expect_str_eq(fake_said(), "head 101 X-App=1; resume 4; ");
    fake_client("to");
    fake_call("from");
    fake_call_end();
    cr_expect_str_eq(fake_said(), "send to; say from; end; ");
    fake_client("last");
    fake_client_end();
    cr_expect_str_eq(fake_said(),
                     "send last; send end; call free; port left; free; ");
}

/* The sandbox server would end both halves, with an answer under way. */
Test(carry, tells_the_clients_half_close_when_the_app_is_quiet)
{
    fake_request("GET " PORT " /ws\nUpgrade: websocket\nConnection: "
                 "Upgrade\nSec-WebSocket-Key: k",
                 0);
    fake_call_head(101, LENGTH_NONE);
    fake_client("to");
    fake_said();
    fake_client_end();
    pass(1990);
    fake_call("under way");
    pass(1990);
    cr_expect_str_eq(fake_said(), "say under way; ");
    pass(20);
    cr_expect_str_eq(fake_said(), "send end; ");
    fake_call("last");
    fake_call_end();
    cr_expect_str_eq(fake_said(),
                     "say last; end; call free; port left; free; ");
}

/* Nor is it quiet as long as the client does not take what it said. */
Test(carry, waits_for_a_half_closed_client_that_reads_slowly)
{
    fake_request("GET " PORT " /ws\nUpgrade: websocket\nConnection: "
                 "Upgrade\nSec-WebSocket-Key: k",
                 0);
    fake_call_head(101, LENGTH_NONE);
    fake_client_end();
    fake.full = true;
    fake_call("much");
    fake_said();
    for (int i = 0; i < 5; i++)
        pass(2100);
    cr_expect_str_eq(fake_said(), "");
    fake.full = false;
    fake_room();
    pass(2100);
    pass(2100);
    cr_expect_str_eq(fake_said(), "call resume 2; send end; ");
}

/* An app that has closed its socket takes nothing more. */
Test(carry, ends_a_tunnel_well_whose_app_had_said_all)
{
    fake_request("GET " PORT " /ws\nUpgrade: websocket\nConnection: "
                 "Upgrade\nSec-WebSocket-Key: k",
                 0);
    fake_call_head(101, LENGTH_NONE);
    fake_call("last");
    fake_call_end();
    fake_client("more");
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(), "call free; close after; port left; free; ");
}

Test(carry, tells_a_closed_port_by_a_fresh_connection_without_a_byte)
{
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(), "call free; port left; " CLOSED);
    fake_turn();
    /* A connection that had served before proves nothing. */
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake.facts.reused = true;
    fake_call_cut(E_CUT);
    cr_expect_str_eq(
        fake_said(),
        "call free; port left; all 503 {\"sandboxId\":\"" FAKE_ID
        "\",\"message\":\"The connection to the sandbox was lost\",\"code\":"
        "503}; free; ");
}

Test(carry, asks_once_more_for_a_forward_that_is_not_there)
{
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake.facts = (struct call_facts){0};
    fake_call_cut(E_BACKEND_DOWN);
    cr_expect_str_eq(fake_said(),
                     "port forget; call free; port left; find 3000; start GET "
                     "127.0.0.1:4000 / host=" PORT " length=-2 idempotent " SENT
                     "; ");
    fake_call_cut(E_BACKEND_DOWN);
    cr_expect_str_eq(fake_said(), "port forget; call free; port left; " CLOSED);
}

Test(carry, cuts_what_the_upstream_cut)
{
    fake_request("GET " PORT " /", 0);
    fake_call_head(200, 1000);
    fake_call("part");
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(), "call free; port left; cut; free; ");
}

Test(carry, cuts_the_upstream_when_the_client_leaves)
{
    fake_request("GET " PORT " /", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_said();
    fake_gone();
    cr_expect_str_eq(fake_said(), "call free; port left; free; ");
}

Test(carry, goes_over_the_back_ends_proxy)
{
    fake.prefix = STR("/v1/sandboxes/x/expose/3000");
    fake_request("GET " PORT " /a/../b//c?q", 0);
    cr_expect_str_eq(
        fake_said(),
        "find 3000; start GET 127.0.0.1:4000 "
        "/v1/sandboxes/x/expose/3000/a/%2E%2E/b/%2Fc?q host=127.0.0.1:4000 "
        "length=-2 idempotent " SENT " Accept-Encoding=identity; ");
    /* The app's own 502 has a body. */
    fake_call_head(502, LENGTH_CHUNKED);
    cr_expect_str_eq(fake_said(), "");
    fake_call("mine");
    fake_call_end();
    cr_expect_str_eq(fake_said(), "head 502 X-App=1; say mine; end; call free; "
                                  "port left; free; ");
    fake_turn();
    /* A closed port's has none. */
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake_call_head(502, 0);
    fake_call_end();
    cr_expect_str_eq(fake_said(), "call free; port left; " CLOSED);
    fake_turn();
    /* What the proxy cannot tell, we do not tell either. */
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake_call_head(502, 22);
    fake_call("no route to guest port");
    fake_call_end();
    cr_expect(strstr(fake_said(), "all 503 "));
    fake_turn();
    /* A long body is the app's at once. */
    fake_request("GET " PORT " /", 0);
    fake_said();
    fake_call_head(502, LENGTH_CHUNKED);
    fake_call("0123456789012345678901234567890123456789");
    fake_call("0123456789012345678901234567890123456789");
    cr_expect_str_eq(fake_said(),
                     "head 502 X-App=1; say "
                     "0123456789012345678901234567890123456789; say "
                     "0123456789012345678901234567890123456789; ");
}

Test(carry, keeps_our_secrets_from_the_app)
{
    char token[AUTH_TOKEN_LENGTH + 1], request[1024];

    auth_token_envd(fake.conf.secret, fake.sandbox->id, fake.sandbox->life,
                    token);
    snprintf(request, sizeof(request),
             "GET " PORT " /\nX-Access-Token: %s\nX-API-Key: " FAKE_KEY
             "\nAuthorization: Bearer " FAKE_KEY "\nX-Other: %s",
             token, token);
    fake_request(request, 0);
    cr_expect_str_eq(fake_said(),
                     "find 3000; start GET 127.0.0.1:4000 / host=" PORT
                     " length=-2 idempotent " SENT "; ");
    fake_turn();
    /* The same fields with other values are the app's. */
    fake_gone();
    fake_turn();
    fake_said();
    fake.key_found = ABSENT;
    fake_request("GET " PORT " /\nX-Access-Token: app\nX-API-Key: " FAKE_KEY,
                 0);
    cr_expect_str_eq(fake_said(),
                     "find 3000; start GET 127.0.0.1:4000 / host=" PORT
                     " length=-2 idempotent X-Access-Token=app "
                     "X-API-Key=" FAKE_KEY " " SENT "; ");
}

Test(carry, names_the_sandbox_when_it_was_called_by_header)
{
    static struct str direct[] = {STR("localhost")};

    fake.conf.direct_hosts = direct;
    fake.conf.direct_host_count = 1;
    fake_request("GET localhost /\nE2b-Sandbox-Id: " FAKE_ID
                 "\nE2b-Sandbox-Port: 3000",
                 0);
    cr_expect_str_eq(fake_said(),
                     "find 3000; start GET 127.0.0.1:4000 / host=" PORT
                     " length=-2 idempotent " SENT "; ");
}

Test(carry, ends_a_circle_through_the_gateway)
{
    fake_request("GET " PORT " /\nX-Sandgate-Hop: 3", 0);
    cr_expect(strstr(fake_said(), " X-Sandgate-Hop=4; "));
    fake_gone();
    fake_turn();
    fake_said();
    fake_request("GET " PORT " /\nX-Sandgate-Hop: 4", 0);
    cr_expect_str_eq(
        fake_said(),
        "find 3000; port left; all 508 {\"sandboxId\":\"" FAKE_ID
        "\",\"message\":\"The request goes in a circle: it has come through "
        "this gateway too often\",\"code\":508}; free; ");
}

Test(carry, gives_the_app_a_harmless_request_id_only)
{
    fake_request("GET " PORT " /\nX-Request-Id: a-1", 0);
    cr_expect(strstr(fake_said(), " X-Request-Id=a-1 "));
    fake_gone();
    fake_turn();
    fake_said();
    fake_request("GET " PORT " /\nX-Request-Id: a\"b", 0);
    cr_expect_not(strstr(fake_said(), "a\"b"));
}

Test(carry, tells_what_the_way_to_the_port_said)
{
    fake.port_err = E_RATE_LIMITED;
    fake_request("GET " PORT " /", 0);
    cr_expect_str_eq(fake_said(),
                     "find 3000; port left; all 429 {\"sandboxId\":\"" FAKE_ID
                     "\",\"message\":\"Too many requests\",\"code\":429}; "
                     "free; ");
}

Test(carry, shows_a_page_to_a_browser)
{
    fake_request("GET " PORT " /\nUser-Agent: Mozilla/5.0\nAccept: text/html",
                 0);
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect(strstr(fake_said(), "<h1>Nothing is listening here yet</h1>"));
}
