/* h1_refuse.c - see h1_refuse.h. */
#include "net/h1_refuse.h"

#include <stdio.h>

#include "net/h1_stream.h"
#include "net/h1_write.h"

/* The field that a refusal of that status must have beside the usual ones. */
static struct field demanded(int status)
{
    if (status == 405)
        return (struct field){
            STR("Allow"), STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")};
    if (status == 426)
        return (struct field){STR("Sec-WebSocket-Version"), STR("13")};
    return (struct field){STR("Retry-After"), STR("1")};
}

void h1_refuse(struct io *io, int status)
{
    bool more = status == 405 || status == 426 || status == 503;
    struct field rows[] = {{STR("Content-Type"), STR("application/json")},
                           {STR("Cache-Control"), STR("no-store")},
                           demanded(status)};
    char text[128];
    struct answer_head head = {.status = status,
                               .fields = {rows, more ? 3u : 2u, 3}};
    struct h1_answer_extra extra = {.date = h1_stream_date(io->loop)};
    struct str reason = h1_reason(status);
    char *room;

    snprintf(text, sizeof(text), "{\"code\":%d,\"message\":\"%.*s\"}", status,
             STR_FMT(reason));
    head.length = (int64_t)strlen(text);
    room = io_room(io, h1_answer_bound(&head));
    io_grew(io, h1_write_answer(room, &head, &extra));
    io_say(io, str_of(text));
}
